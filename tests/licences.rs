//! What the dependencies may be: under licences that let the program be given away under MIT, and from
//! the one public registry.

#![cfg(test)]

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

/// Each of these lets the program be used and given away under MIT.
const ALLOWED: [&str; 9] =
    ["0BSD", "Apache-2.0", "BSD-3-Clause", "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"];
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The system that the service runs on, as far as packages differ.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// All packages that the service, its tests and its benches are made of, but for its own.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let Value::Array(mut packages) = metadata["packages"].take() else { panic!("there are no packages") };
    packages.retain(|package| !package["source"].is_null());
    assert!(packages.len() > 50, "there are only {}", packages.len());
    packages
}

fn is_allowed(licence: &str) -> bool {
    let expression = Expression::parse_mode(licence, ParseMode::LAX);
    // An exception only ever allows more.
    let is_known = |name: &str| ALLOWED.contains(&name);
    expression.is_ok_and(|expression| {
        expression.evaluate(|wanted| wanted.license.id().is_some_and(|licence| is_known(licence.name)))
    })
}

#[test]
fn every_package_may_be_given_away() {
    let name = |package: &Value| format!("{} {}: {}", package["name"], package["version"], package["license"]);
    let packages = packages();
    let refused: Vec<_> =
        packages.iter().filter(|package| !package["license"].as_str().is_some_and(is_allowed)).map(name).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_package_comes_from_the_public_registry() {
    let strangers: Vec<_> = packages()
        .into_iter()
        .filter(|package| package["source"] != REGISTRY)
        .map(|package| package["id"].clone())
        .collect();
    assert!(strangers.is_empty(), "{strangers:#?}");
}

#[test]
fn one_allowed_choice_is_enough_and_all_of_a_sum_are_needed() {
    for good in ["MIT", "GPL-3.0-only OR MIT", "MIT/Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC AND MIT"] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "SSPL-1.0", "no licence"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}
