//! The live view. What there is no room for is left out from below; no size and no figure is too small or too
//! large for it.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span, Text},
    widgets::{Paragraph, Sparkline, Wrap},
};

use super::{
    history::Rates,
    sections::{self, per_second},
    state::State,
};
use crate::cli::text::span;

/// From these heights on there are empty lines between the parts, and higher curves.
const ROOMY: u16 = 22;
const TALL: u16 = 32;
/// Width of what stands in front of a curve.
const RATE_WIDTH: u16 = 22;
/// Lines that a message may take.
const TROUBLE_LINES: u16 = 3;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let mut page = Page { rest: frame.area() };
    let (height, width) = (page.rest.height, usize::from(page.rest.width));
    let gap = u16::from(height >= ROOMY);
    head(frame, page.take(1), state);
    if let Some(trouble) = &state.trouble {
        let trouble = match &state.seen {
            Some((at, _)) => format!("{trouble}; trying on. What is shown was seen {} ago.", span(at.elapsed())),
            None => format!("{trouble}; trying on."),
        };
        let lines = (trouble.chars().count() / width.max(1) + 1).min(usize::from(TROUBLE_LINES)) as u16;
        let text = Paragraph::new(Line::styled(trouble, state.look.bad())).wrap(Wrap { trim: true });
        frame.render_widget(text, page.take(lines));
    }
    let Some((_, figures)) = &state.seen else { return };
    page.take(gap);
    let curve_height = if height >= TALL { 3 } else { 1 + gap };
    curves(frame, [page.take(curve_height), page.take(curve_height)], state);
    page.take(gap);
    let look = state.look;
    for lines in [sections::latency(figures, look, width), sections::state(figures, look, width)] {
        page.lines(frame, lines);
        page.take(gap);
    }
    let foot = gap.min(page.rest.height);
    page.rest.height -= foot;
    let mut shards = sections::shards(figures, Some(&state.history), look, width);
    let room = usize::from(page.rest.height);
    if shards.len() > room && room > 2 {
        let hidden = shards.len() - (room - 1);
        shards.truncate(room - 1);
        shards.push(Line::styled(format!("  and {hidden} more"), look.label()));
    }
    page.lines(frame, shards);
    let foot = Rect { y: page.rest.y + page.rest.height, height: foot, ..page.rest };
    let every = humantime::format_duration(state.every);
    frame.render_widget(Line::styled(format!("every {every}   q quits"), look.label()), foot);
}

fn head(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let grade = Span::styled(state.grade().to_uppercase(), state.look.grade(state.grade()));
    let width = u16::try_from(grade.width() + 1).unwrap_or(u16::MAX);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)]).areas(area);
    frame.render_widget(Line::styled(state.title(), state.look.label()), left);
    frame.render_widget(Line::from(grade).right_aligned(), right);
}

/// Two rates over time, in one scale.
fn curves(frame: &mut Frame<'_>, [received, stored]: [Rect; 2], state: &State) {
    let columns = usize::from(received.width.saturating_sub(RATE_WIDTH));
    let newest: Vec<Rates> = state.history.newest(columns).collect();
    let highest = newest.iter().flat_map(|rates| [rates.received, rates.stored]).flatten().fold(1.0, f64::max);
    let mut draw = |name: &str, rate: fn(Rates) -> Option<f64>, area: Rect| {
        let [text, curve] = Layout::horizontal([Constraint::Length(RATE_WIDTH), Constraint::Fill(1)]).areas(area);
        let label = Span::styled(format!("{name:<9}"), state.look.label());
        let now = Span::raw(format!("{:>11}", per_second(rate(state.history.now()))));
        frame.render_widget(Line::from(vec![label, now]), text);
        let values = newest.iter().map(|rates| rate(*rates).map(|rate| rate.round() as u64));
        // The newest at the right edge from the beginning on.
        let missing = columns.saturating_sub(newest.len());
        let values: Vec<Option<u64>> = std::iter::repeat_n(None, missing).chain(values).collect();
        frame.render_widget(Sparkline::default().data(values).max(highest as u64).style(state.look.good()), curve);
    };
    draw("received", |rates| rates.received, received);
    draw("stored", |rates| rates.stored, stored);
}

/// The part of the screen that is still empty.
struct Page {
    rest: Rect,
}

impl Page {
    /// The next so many lines, or as many as there are.
    fn take(&mut self, height: u16) -> Rect {
        let height = height.min(self.rest.height);
        let taken = Rect { height, ..self.rest };
        self.rest.y += height;
        self.rest.height -= height;
        taken
    }

    fn lines(&mut self, frame: &mut Frame<'_>, lines: Vec<Line<'static>>) {
        let area = self.take(u16::try_from(lines.len()).unwrap_or(u16::MAX));
        frame.render_widget(Text::from(lines), area);
    }
}
