//! The library's public API, held against the list in `docs/public-api.txt`, so that every change of it is seen.
//!
//! `scripts/public-api` runs this, `scripts/public-api --record` writes the list anew. Another compiler may write
//! the same API in other words: then a difference is said and is no failure.

#![cfg(test)]

use std::{
    env, fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const LIST: &str = "docs/public-api.txt";
/// Where it says so, the list is written and not compared.
const RECORD: &str = "PUBLIC_API_RECORD";

#[test]
fn the_public_api_is_the_one_on_record() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiler = output(Command::new("rustc").arg("--version"));
    let head = format!("# The library's public API, by {}: see scripts/public-api.\n", compiler.trim());
    let recorded = fs::read_to_string(root.join(LIST)).unwrap_or_default();
    let is_recording = env::var(RECORD).as_deref() == Ok("1");
    let is_same_compiler = recorded.starts_with(&head);
    let listed = match listed(&describe(root)) {
        Err(error) if !is_same_compiler && !is_recording => return say(&format!("the API was not listed: {error}")),
        listed => head + &listed.unwrap(),
    };
    if is_recording {
        return fs::write(root.join(LIST), listed).unwrap();
    }
    let differences = differences(&recorded, &listed);
    if !is_same_compiler {
        return say(&format!("another compiler than {LIST} has sees:\n{differences}"));
    }
    assert!(
        differences.is_empty(),
        "not as in {LIST}; where it is meant so, scripts/public-api --record:\n{differences}"
    );
}

/// Has rustdoc describe the library as JSON; the file.
fn describe(root: &Path) -> PathBuf {
    // The stable rustdoc can do it and needs to be told that it may. Were the variable set for all that cargo
    // runs, build scripts would see it, and everything would be compiled anew.
    let rustdoc = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rustdoc");
    fs::write(&rustdoc, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n").unwrap();
    fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755)).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).env("RUSTDOC", &rustdoc);
    output(cargo.args("rustdoc --quiet --locked --lib -- -Z unstable-options --output-format json".split(' ')));
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("doc/event_pipeline.json")
}

/// One line for each public item; what the compiler gives all types, and what is derived, is left out.
fn listed(description: &Path) -> public_api::Result<String> {
    let api = public_api::Builder::from_rustdoc_json(description)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// The lines that only one of them has.
fn differences(recorded: &str, listed: &str) -> String {
    let only = |sign: char, these: &str, those: &str| -> String {
        let those: Vec<&str> = those.lines().collect();
        let only = these.lines().filter(|line| !line.starts_with('#') && !those.contains(line));
        only.map(|line| format!("{sign} {line}\n")).collect()
    };
    only('-', recorded, listed) + &only('+', listed, recorded)
}

/// What a program says that has to succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Heard also when the test passes.
fn say(message: &str) {
    std::io::stderr().write_all(format!("{message}\n").as_bytes()).unwrap();
}

#[test]
fn a_change_of_the_api_is_a_difference() {
    let recorded = "# head\npub fn a::kept()\npub fn a::gone()\n";
    assert_eq!(
        differences(recorded, "# other\npub fn a::kept()\npub fn a::new()\n"),
        "- pub fn a::gone()\n+ pub fn a::new()\n"
    );
    assert_eq!(differences(recorded, recorded), "");
}
