//! The live view's loop, and the terminal, which is given back as it was however this ends: by a key, a
//! signal, an error or a panic.

use std::{thread, time::Duration};

use anyhow::{Context as _, bail};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers},
};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{source::Source, state::State, view};

/// How often the screen is drawn anew where nothing happens: ages grow.
const REDRAW: Duration = Duration::from_secs(1);
/// Events of the terminal, and answers, that wait to be shown.
const WAITING_MAX: usize = 16;

/// Shows the view until somebody ends it.
///
/// # Errors
/// Where the terminal cannot be used.
pub(super) async fn run(source: Source, mut state: State) -> anyhow::Result<()> {
    // Before the terminal changes: a signal must not leave it changed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut screen = Screen::open()?;
    let mut events = watch_terminal()?;
    let mut samples = ask(source, state.every);
    let mut redraw = interval(REDRAW);
    loop {
        screen.terminal.draw(|frame| view::draw(frame, &state)).context("cannot draw on the terminal")?;
        select! {
            event = events.recv() => match event {
                Some(Ok(Event::Key(key))) if is_end(key) => break,
                // Another size, too, is drawn with the next round.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("cannot read from the terminal"),
                None => bail!("the terminal is gone"),
            },
            asked = samples.recv() => state.take(asked.context("nobody asks the service any more")?),
            _ = redraw.tick() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => break,
        }
    }
    screen.close()
}

fn is_end(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
        _ => false,
    }
}

/// Asks the service again and again, beside the view, which must not stand still while an answer is awaited.
fn ask(mut source: Source, every: Duration) -> mpsc::Receiver<anyhow::Result<super::source::Sample>> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if sender.send(source.sample().await).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Keys and sizes, read by a thread that ends with the process: there is no other way to stop reading.
fn watch_terminal() -> anyhow::Result<mpsc::Receiver<std::io::Result<Event>>> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let watch = move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            if sender.blocking_send(event).is_err() || is_last {
                return;
            }
        }
    };
    thread::Builder::new().name("terminal".to_owned()).spawn(watch).context("cannot watch the terminal")?;
    Ok(receiver)
}

/// The terminal while it is ours.
struct Screen {
    terminal: DefaultTerminal,
    is_open: bool,
}

impl Screen {
    /// Takes the terminal; a panic gives it back before it is told.
    fn open() -> anyhow::Result<Self> {
        let opened = ratatui::try_init().inspect_err(|_| {
            // It may have come half-way.
            let _ = ratatui::try_restore();
        });
        let terminal = opened.context("cannot use the terminal; --once and --json need none")?;
        Ok(Self { terminal, is_open: true })
    }

    fn close(mut self) -> anyhow::Result<()> {
        self.is_open = false;
        self.terminal.show_cursor().and_then(|()| ratatui::try_restore()).context("cannot give the terminal back")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_open {
            // After an error this is the best that can be done, and the error is told next.
            let _ = self.terminal.show_cursor();
            let _ = ratatui::try_restore();
        }
    }
}
