//! `event-pipeline top`: a real service in a real terminal, and what scripts and people without one get.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::kit::{
    server::{Server, binary, run},
    terminal::Terminal,
    until,
};

const BATCH: &str = r#"[{"type":"user_action","source":"web"},{"type":"system_log","source":"system"}]"#;

/// `top` for that address, ten times a second.
fn top(address: SocketAddr, flags: &[&str]) -> Command {
    top_every("100ms", address, flags)
}

fn top_every(interval: &str, address: SocketAddr, flags: &[&str]) -> Command {
    let mut command = binary();
    command.arg("top").args(["--url", &format!("http://{address}"), "--interval", interval]).args(flags);
    command
}

/// A service that has two events stored.
fn server() -> Server {
    let server = Server::start(&[("shards", "2")]);
    assert_eq!(server.post("/events/batch", BATCH).status, 200);
    server
}

/// A process that does not outlive the test, however that ends.
struct Killed(Child);

impl Killed {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.end();
    }
}

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    let server = server();
    for (way, keys) in [("q", "q"), ("Esc", "\x1b"), ("Ctrl-C", "\x03"), ("SIGTERM", ""), ("SIGHUP", "")] {
        let mut terminal = Terminal::start(&top(server.address(), &[]), 80, 24);
        terminal.shows("every 100ms");
        assert!(terminal.is_taken() && !terminal.is_given_back(), "{way}");
        if let Some(signal) = way.strip_prefix("SIG") {
            let status = Command::new("kill").arg(format!("-{signal}")).arg(terminal.pid().to_string()).status();
            assert!(status.unwrap().success());
        } else {
            // A key that means nothing changes nothing.
            terminal.press("x");
            terminal.press(keys);
        }
        assert_eq!(terminal.ended(), Some(0), "{way}");
        until(way, || terminal.is_given_back());
    }
}

#[test]
fn it_shows_what_the_service_counts_as_it_changes() {
    let server = server();
    let terminal = Terminal::start(&top(server.address(), &[]), 100, 30);
    for words in ["PASS", "http://127.0.0.1", "received", "acknowledging", "store    up for", "rejected 0", "oldest"] {
        terminal.shows(words);
    }
    assert_eq!(server.post("/events", "{}").status, 400);
    terminal.shows("rejected 1");
    until("a rate that is not zero", || {
        assert_eq!(server.post("/events/batch", BATCH).status, 200);
        let screen = terminal.screen();
        let line = screen.lines().find(|line| line.starts_with("stored")).unwrap_or_default();
        line.contains("/s") && !line.contains(" 0/s")
    });
}

#[test]
fn another_size_is_drawn_anew() {
    let server = server();
    let terminal = Terminal::start(&top_every("1h", server.address(), &[]), 100, 30);
    let last_line = |terminal: &Terminal| terminal.screen().lines().last().unwrap_or_default().to_owned();
    until("the first size", || last_line(&terminal).starts_with("every 1h") && terminal.screen().lines().count() == 30);
    terminal.resize(40, 12);
    terminal.shows("p50");
    assert!(terminal.screen().lines().count() <= 12, "{}", terminal.screen());
    terminal.resize(120, 40);
    until("the last size", || last_line(&terminal).starts_with("every 1h") && terminal.screen().lines().count() == 40);
    terminal.resize(1, 1);
    terminal.resize(80, 24);
    terminal.shows("every 1h");
}

#[test]
fn a_service_that_comes_and_goes_is_followed() {
    let dir = TempDir::new().unwrap();
    let address = nobody();
    let mut terminal = Terminal::start(&top(address, &[]), 100, 24);
    terminal.shows("UNKNOWN");
    terminal.shows("trying on");
    // The kit's server would take a port of its own.
    let mut service = binary();
    service.args(["serve", "--listen", &address.to_string()]).arg("--data_dir").arg(dir.path().join("data"));
    let mut service = Killed(service.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    terminal.shows("PASS");
    until("no trouble", || !terminal.screen().contains("trying on"));
    service.end();
    terminal.shows("What is shown was seen");
    terminal.press("q");
    assert_eq!(terminal.ended(), Some(0));
    until("the terminal", || terminal.is_given_back());
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let server = server();
    // Foreground or background of any kind.
    let is_coloured = |written: &str| {
        ["\x1b[3", "\x1b[4", "\x1b[9", "\x1b[10"].iter().any(|code| {
            written.match_indices(code).any(|(at, _)| {
                let rest: String = written[at + 2..].chars().take_while(|c| c.is_ascii_digit() || *c == ';').collect();
                let is_style = written[at + 2 + rest.len()..].starts_with('m');
                let first = rest.split(';').next().and_then(|number| number.parse::<u8>().ok()).unwrap_or_default();
                is_style && matches!(first, 30..=38 | 40..=48 | 90..=107)
            })
        })
    };
    for (value, expected) in [("1", false), ("", true)] {
        let mut command = top(server.address(), &[]);
        command.env("NO_COLOR", value);
        let terminal = Terminal::start(&command, 80, 24);
        terminal.shows("every 100ms");
        assert_eq!(is_coloured(&terminal.written()), expected, "NO_COLOR={value}: {:?}", terminal.written());
    }
}

#[test]
fn once_prints_text_for_people() {
    let server = server();
    let (code, out, err) = run(&mut top(server.address(), &["--once"]));
    assert_eq!(code, 0, "{err}");
    for words in ["2 since the start", "p99.9", "store    up for", "shard", "events   depth 0"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(!out.contains('\x1b'), "{out:?}");

    // The settings say where the service is, too.
    let listen = server.address().to_string();
    let (code, out, err) = run(binary().args(["top", "--once", "--listen", &listen]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(&format!("http://{listen}")), "{out}");
}

#[test]
fn json_is_a_line_each_time() {
    let server = server();
    let (code, out, err) = run(&mut top(server.address(), &["--once", "--json"]));
    assert_eq!((code, out.lines().count()), (0, 1), "{err}");
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&line["metrics"]["events_received"], &line["health"]["status"]), (&2.into(), &"pass".into()));

    let mut child = Killed(top(server.address(), &["--json"]).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().take(3);
    for line in lines {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(line["metrics"]["shards"].as_array().unwrap().len(), 2);
        assert!(line["at"].as_str().unwrap().ends_with('Z'));
    }
    // The reader is gone, which is no failure.
    let mut status = None;
    until("its end", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn a_service_that_is_not_there_ends_once_with_1() {
    let address = nobody();
    for flags in [&["--once"][..], &["--once", "--json"]] {
        let (code, out, err) = run(&mut top(address, flags));
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(&format!("http://{address}")) && err.contains("--url"), "{err}");
    }
    let mut child = Killed(top(address, &["--json"]).stdout(Stdio::piped()).spawn().unwrap());
    let line = BufReader::new(child.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert!(line["error"].as_str().unwrap().contains(&address.to_string()), "{line}");
}

#[test]
fn another_program_is_not_taken_for_the_service() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (mut line, mut writer) = (String::new(), stream.try_clone().unwrap());
            let mut reader = BufReader::new(stream);
            while line != "\r\n" {
                line.clear();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"hello\":123}";
            let _ = std::io::Write::write_all(&mut writer, answer);
        }
    });
    let (code, _, err) = run(&mut top(address, &["--once"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no event-pipeline"), "{err}");
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let (code, out, err) = run(&mut top(nobody(), &[]));
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("--once") && err.contains("--json"), "{err}");
    for flags in [["--interval", "soon"], ["--interval", "1ms"], ["--url", "https://h"]] {
        let (code, _, err) = run(binary().arg("top").args(flags));
        assert_eq!(code, 2, "{flags:?}: {err}");
        assert!(err.contains(flags[0]), "{err}");
    }
}
