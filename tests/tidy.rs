//! Rules about the files themselves, which a compiler does not check.

#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use event_pipeline::config::SETTINGS;

/// The layers, lowest first: each may use those before it.
const LAYERS: [&str; 11] =
    ["abort", "unhurried", "planted", "sync", "event", "metrics", "journal", "storage", "pipeline", "http", "cli"];
/// Knows the options of all layers, and is known to the command line alone.
const CONFIG: &str = "config";
const LINES_MAX: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below `dir`, and their text.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let (mut found, mut left) = (Vec::new(), vec![root().join(dir)]);
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.expect("an entry that was listed can be read").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                found.push((path.strip_prefix(root()).expect("it was found below the root").to_owned(), text));
            }
        }
    }
    found
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let dirs = ["src", "tests", "benches", "examples", "loom-tests"];
    let build = (PathBuf::from("build.rs"), read("build.rs"));
    let sources: Vec<_> = dirs.into_iter().flat_map(sources).chain([build]).collect();
    assert!(sources.len() > 50, "the files are elsewhere");
    sources
}

/// The modules at the crate's root that a file names, such as `event` in `use crate::{event::Id}`.
fn root_modules(text: &str) -> Vec<String> {
    fn first_word(text: &str) -> &str {
        let text = text.trim_start();
        &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
    }
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = text.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let mut modules = Vec::new();
    for (at, name) in code.match_indices("crate::") {
        let rest = &code[at + name.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            modules.push(first_word(rest).to_owned());
            continue;
        };
        let (mut depth, mut begin) = (0, 0);
        for (at, c) in list.char_indices() {
            match c {
                ',' | '}' if depth == 0 => {
                    modules.push(first_word(&list[begin..at]).to_owned());
                    begin = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    modules.retain(|module| !module.is_empty());
    modules
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == module)
}

#[test]
fn imports_point_down_the_layers() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(own) = path.iter().nth(1).and_then(|part| part.to_str()).map(|part| part.trim_end_matches(".rs"))
        else {
            continue;
        };
        let top = LAYERS.len() - 1;
        let height = match own {
            "lib" | "main" => continue,
            CONFIG => top - 1,
            own => layer(own).unwrap_or_else(|| panic!("{} belongs to no layer", path.display())),
        };
        for used in root_modules(&text) {
            let allowed = match used.as_str() {
                CONFIG => own == CONFIG || height == top,
                used => layer(used).is_some_and(|used| used <= height),
            };
            if !allowed {
                wrong.push(format!("{}: {own} must not use {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::event::Id;\nuse crate::{\n    http::{Server, Options},\n    sync::Gate,\n};\n\
                // crate::cli\nfn f() -> crate::storage::Row {}\nuse crate::{metrics::Metrics};\n";
    assert_eq!(root_modules(text), ["event", "http", "sync", "storage", "metrics"]);
}

#[test]
fn no_file_is_longer_than_one_can_read() {
    let long: Vec<_> = all_sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:?}");
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let sources = all_sources();
    let silent: Vec<_> = sources
        .iter()
        .filter(|(_, text)| {
            text.lines().next().and_then(|line| line.strip_prefix("//! ")).is_none_or(|head| head.len() < 10)
        })
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "no `//!` head: {silent:?}");
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let mut table = String::from("| key | default | reload | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = match setting.default_text() {
            none if none == "none" => none,
            value => format!("`{value}`"),
        };
        table.push_str(&format!(
            "| `{}` | {default} | {} | {} |\n",
            setting.key,
            setting.reload_text(),
            setting.meaning
        ));
    }
    let readme = read("README.md");
    let (_, rest) = readme.split_once("<!-- settings -->\n").expect("the README has a place for the settings");
    let (shown, _) = rest.split_once("<!-- /settings -->").expect("the README marks where the settings end");
    assert!(shown.trim() == table.trim(), "the README's settings should be:\n\n{table}");
}

#[test]
fn the_given_services_are_unchanged() {
    let compose = read("docker-compose.yml");
    assert!(compose.starts_with(GIVEN_SERVICES), "{compose}");
}

#[test]
fn deployments_set_only_what_there_is() {
    let names = SETTINGS.iter().map(|setting| setting.variable());
    let variables: Vec<String> = names.flat_map(|name| [format!("{name}_FILE"), name]).collect();
    let systemd = "deploy/systemd/event-pipeline.service";
    for file in ["Dockerfile", "docker-compose.yml", systemd, "deploy/kubernetes/event-pipeline.yaml"] {
        let text = read(file);
        let names = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("EVENT_PIPELINE_"));
        let names: Vec<_> = names.collect();
        assert!(!names.is_empty(), "{file} sets nothing");
        for name in names {
            assert!(variables.iter().any(|variable| variable == name), "{file}: {name}");
        }
    }
}

#[test]
fn every_deployment_gives_time_to_stop() {
    let duration = |text: &str| humantime::parse_duration(text).unwrap();
    let default = |key: &str| SETTINGS.iter().find(|setting| setting.key == key).unwrap().default_text();
    let manifest = read("deploy/kubernetes/event-pipeline.yaml");
    let set = |variable: &str| {
        let (_, rest) = manifest.split_once(&format!("{variable}, value: ")).unwrap();
        rest[..rest.find('}').unwrap()].to_owned()
    };
    let defaults = (default("shutdown.drain_delay"), default("shutdown.grace"));
    let own = (set("EVENT_PIPELINE_SHUTDOWN__DRAIN_DELAY"), set("EVENT_PIPELINE_SHUTDOWN__GRACE"));
    for (file, line, unit, (delay, grace)) in [
        ("docker-compose.yml", "stop_grace_period: ", "", &defaults),
        ("deploy/systemd/event-pipeline.service", "TimeoutStopSec=", "", &defaults),
        ("deploy/kubernetes/event-pipeline.yaml", "terminationGracePeriodSeconds: ", "s", &own),
    ] {
        let text = read(file);
        let period = text.lines().find_map(|text| text.trim().strip_prefix(line)).unwrap_or_else(|| panic!("{file}"));
        let (period, needed) = (duration(&format!("{period}{unit}")), duration(delay) + duration(grace));
        assert!(period > needed, "{file}: {period:?} is not longer than {needed:?}");
    }
}

#[test]
fn the_manual_knows_every_alert() {
    let (alerts, manual) = (read("deploy/prometheus/alerts.yml"), read("docs/OPERATIONS.md"));
    let names: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 5);
    for name in names {
        assert!(manual.contains(&format!("| `{name}` |")), "{name}");
    }
}

/// The services that were given, which others rely on as they are.
const GIVEN_SERVICES: &str = r#"services:
  mysql:
    image: mysql:8.0
    container_name: event-pipeline-mysql
    environment:
      MYSQL_ROOT_PASSWORD: testpass
      MYSQL_DATABASE: eventdb
    ports:
      - "3306:3306"
    healthcheck:
      test: ["CMD", "mysqladmin", "ping", "-h", "localhost"]
      timeout: 20s
      retries: 10

  mysql-init:
    image: mysql:8.0
    depends_on:
      mysql:
        condition: service_healthy
    command: |
      mysql -h mysql -uroot -ptestpass eventdb -e "
      CREATE TABLE IF NOT EXISTS processed_events (
        id VARCHAR(36) PRIMARY KEY,
        type ENUM('user_action', 'sensor_data', 'system_log') NOT NULL,
        source VARCHAR(50) NOT NULL,
        user_id VARCHAR(50),
        processed_data JSON,
        processing_time_ms INT,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        processed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        
        INDEX idx_type_created (type, created_at),
        INDEX idx_user_created (user_id, created_at)
      );"
    restart: "no"
"#;
