//! Tells the crate which commit it is built from, for `--version`.
//!
//! Read from git's files, so that it works where git is not installed and only those files are
//! there, as in a container build. Without a repository the commit is `unknown`.
//!
//! The variable does not begin with `EVENT_PIPELINE_`: cargo hands it on to what it runs, where
//! that would be an unknown setting.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Hex digits of the commit's hash that are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let root = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let hash = commit(&root).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_GIT_HASH={hash}");
    // Bugs for the tests to find (`src/planted.rs`): never in a binary that is to be used.
    println!("cargo::rerun-if-env-changed=BUILD_PLANTED_BUGS");
    if env::var_os("BUILD_PLANTED_BUGS").is_some_and(|value| value == "1") {
        println!("cargo::rustc-cfg=planted");
    }
}

fn commit(root: &Path) -> Option<String> {
    let own = git_dir(&root.join(".git"))?;
    let head = read(&own.join("HEAD"))?;
    // Changes with every commit, while a branch's own file may only appear with the next one.
    read(&own.join("logs/HEAD"));
    let hash = match head.strip_prefix("ref: ") {
        None => head,
        Some(name) => {
            // A linked worktree has its own HEAD, but shares the branches.
            let shared = fs::read_to_string(own.join("commondir")).map_or(own.clone(), |dir| own.join(dir.trim()));
            read(&shared.join(name)).or_else(|| packed(&shared.join("packed-refs"), name))?
        }
    };
    let short = hash.get(..DIGITS)?;
    short.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| short.to_owned())
}

/// `.git` itself, or the directory that it names where it is a file.
fn git_dir(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = fs::read_to_string(git).ok()?;
    Some(git.parent()?.join(text.strip_prefix("gitdir: ")?.trim()))
}

fn packed(file: &Path, name: &str) -> Option<String> {
    let line = |line: &str| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned);
    read(file)?.lines().find_map(line)
}

/// The file's text, and cargo runs this again when it changes.
fn read(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    println!("cargo::rerun-if-changed={}", file.display());
    Some(text.trim().to_owned())
}
