//! What the program says of itself: help, completions in a real shell, the manual.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::kit::server::{binary, run};

/// Runs lines in bash after the completions were sourced; what they print.
fn in_bash(lines: &str) -> String {
    let (code, script, err) = run(binary().args(["completions", "bash"]));
    assert_eq!(code, 0, "{err}");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-eu"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut bash = bash.spawn().unwrap();
    bash.stdin.take().unwrap().write_all(format!("{script}\n{lines}\n").as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What bash offers behind these words, the last of which is being typed.
fn completed(words: &[&str]) -> Vec<String> {
    let typed = words.last().unwrap();
    let before = words.iter().rev().nth(1).unwrap();
    let out = in_bash(&format!(
        "spec=$(complete -p event-pipeline) function=${{spec#*-F }}\n\
         COMP_WORDS=({}) COMP_CWORD={} COMPREPLY=()\n\
         ${{function%% *}} event-pipeline '{typed}' '{before}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
    ));
    out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_words() {
    for (words, expected) in [
        (&["event-pipeline", "ch"][..], &["check"][..]),
        (&["event-pipeline", "journal", "re"], &["replay"]),
        (&["event-pipeline", "top", "--on"], &["--once"]),
        (&["event-pipeline", "--ack", ""], &["queued", "durable", "stored"]),
        (&["event-pipeline", "serve", "--log.format", ""], &["text", "json"]),
        (&["event-pipeline", "completions", "z"], &["zsh"]),
    ] {
        assert_eq!(completed(words), expected, "{words:?}");
    }
    assert!(completed(&["event-pipeline", "bench", "--batch"]).contains(&"--batch.linger".to_owned()));
}

#[test]
fn every_shell_has_completions_and_others_are_refused() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = run(binary().args(["completions", shell]));
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("dead-letters") && out.contains("shutdown.grace"), "{shell}: {out}");
    }
    let (code, _, err) = run(binary().args(["completions", "tcsh"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("zsh"), "it says which there are: {err}");
}

#[test]
fn completions_and_manual_need_no_right_settings() {
    for arguments in [&["completions", "bash"][..], &["man"]] {
        let (code, _, err) = run(binary().args(arguments).env("EVENT_PIPELINE_ACK", "fast"));
        assert_eq!(code, 0, "{err}");
    }
}

#[test]
fn the_manual_is_printed_and_written() {
    let (code, page, err) = run(binary().arg("man"));
    assert_eq!(code, 0, "{err}");
    for words in [".TH EVENT", ".SH EXAMPLES", "batch.linger", "EXIT STATUS"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let dir = TempDir::new().unwrap();
    let pages = dir.path().join("share/man1");
    let (code, said, err) = run(binary().args(["man", "--dir"]).arg(&pages));
    assert_eq!(code, 0, "{err}");
    assert!(said.contains(pages.to_str().unwrap()), "{said}");
    assert_eq!(fs::read_to_string(pages.join("event-pipeline.1")).unwrap().trim_end(), page.trim_end());
    for name in ["serve", "check", "top", "bench", "journal-replay", "dead-letters-discard", "completions", "man"] {
        assert!(pages.join(format!("event-pipeline-{name}.1")).is_file(), "{name}");
    }
    let (code, _, err) = run(binary().args(["man", "--dir", "/dev/null/pages"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("/dev/null/pages"), "{err}");
}

#[test]
fn the_short_help_of_a_command_fits_a_screen() {
    for command in ["bench", "top", "check", "migrate"] {
        let (code, short, _) = run(binary().args([command, "-h"]));
        assert_eq!(code, 0);
        assert!(short.lines().count() <= 40, "{command}: {short}");
        assert!(!short.contains("--journal.keep"), "{command}: {short}");
        let (code, long, _) = run(binary().args([command, "--help"]));
        assert_eq!(code, 0);
        assert!(long.contains("--journal.keep") && long.contains("Settings:"), "{command}: {long}");
    }
}
