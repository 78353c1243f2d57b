//! The layers: file, environment, flags, each applied over the one before.

use std::{collections::HashMap, ffi::OsString, fs, path::Path};

use toml::{Table, Value};

use super::{ConfigError, SETTINGS, Setting, Settings, error::Origin, table::PREFIX, units::show_size};
use crate::journal::SEGMENTS_MIN;

/// Ends the name of a variable that names a file with the value.
const FILE_SUFFIX: &str = "_FILE";
/// What a record takes beyond the event's text is less than that text: a body's events never take
/// more than this many times its bytes.
const RECORD_TO_BODY_MAX: u64 = 2;
/// Most files of the journal: each is open.
const SEGMENTS_MAX: u64 = 32_768;
/// The same for the room that they take in the journal, where a large commit may leave a hole.
const ROOM_TO_BODY_MAX: u64 = 2 * RECORD_TO_BODY_MAX + 1;

impl Settings {
    /// Resolves the settings: `flags` over `environment` over `file` over the
    /// defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for an unknown key, a value that is wrong, and values that do not go
    /// together.
    pub fn load(
        flags: &[(&'static Setting, String)],
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers { settings: Self::default(), origins: HashMap::new() };
        if let Some(file) = file {
            layers.apply_file(file)?;
        }
        layers.apply_environment(environment)?;
        for (setting, text) in flags {
            layers.apply(setting, text, Origin::Flag(setting.key))?;
        }
        check(&mut layers.settings, &|key| layers.origins.get(key).cloned().unwrap_or(Origin::Default))?;
        Ok(layers.settings)
    }
}

struct Layers {
    settings: Settings,
    /// Where the value came from, of each key that is no default.
    origins: HashMap<&'static str, Origin>,
}

impl Layers {
    fn apply(&mut self, setting: &'static Setting, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let wrong = |problem: String| ConfigError::value(setting.key, &origin, &problem);
        setting.set(&mut self.settings, text).map_err(wrong)?;
        self.origins.insert(setting.key, origin);
        Ok(())
    }

    fn apply_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let text = fs::read_to_string(file).map_err(|error| ConfigError::file(file, error))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            // Without the line itself, which may hold a password.
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            ConfigError::file(file, format_args!("line {line}: {}", error.message()))
        })?;
        self.apply_table(&table, "", file)
    }

    fn apply_table(&mut self, table: &Table, section: &str, file: &Path) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{section}{name}");
            let unknown =
                || ConfigError::unknown_key(&key, file, nearest(&key, SETTINGS.iter().map(|known| known.key)));
            match (by_key(&key), value) {
                // A dot belongs between section and name, not into a name in quotes.
                _ if name.contains('.') => return Err(unknown()),
                (Some(setting), value) => {
                    let origin = Origin::File(file.to_owned());
                    let text = text_of(value).ok_or_else(|| {
                        let problem =
                            format!("is {} but must be a string, a number or a list of strings", kind_of(value));
                        ConfigError::value(setting.key, &origin, &problem)
                    })?;
                    self.apply(setting, &text, origin)?;
                }
                (None, Value::Table(inner)) if is_section(&key) => self.apply_table(inner, &format!("{key}."), file)?,
                (None, _) => return Err(unknown()),
            }
        }
        Ok(())
    }

    fn apply_environment(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        let ours: HashMap<String, OsString> = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        for setting in SETTINGS {
            let name = setting.variable();
            let file_name = format!("{name}{FILE_SUFFIX}");
            let origin = |name: &str| Origin::Variable(name.to_owned());
            let wrong = |name: &str, problem: String| ConfigError::value(setting.key, &origin(name), &problem);
            match (ours.get(&name), ours.get(&file_name)) {
                (None, None) => {}
                (Some(_), Some(_)) => return Err(ConfigError::twice(setting.key, &name, &file_name)),
                (Some(value), None) => {
                    let text = value.to_str().ok_or_else(|| wrong(&name, "is not UTF-8".to_owned()))?;
                    self.apply(setting, text, origin(&name))?;
                }
                (None, Some(path)) => {
                    let text = fs::read_to_string(path).map_err(|error| {
                        wrong(&file_name, format!("cannot read {}: {error}", Path::new(path).display()))
                    })?;
                    self.apply(setting, text.trim_end_matches(['\r', '\n']), origin(&file_name))?;
                }
            }
        }
        let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        let is_known = |name: &str| {
            known.iter().filter_map(|known| name.strip_prefix(known)).any(|rest| ["", FILE_SUFFIX].contains(&rest))
        };
        let mut unknown: Vec<&String> = ours
            .iter()
            .filter(|(name, value)| !is_known(name) && !is_service_link(name, value))
            .map(|(name, _)| name)
            .collect();
        unknown.sort();
        match unknown.first() {
            None => Ok(()),
            Some(name) => Err(ConfigError::unknown_variable(name, nearest(name, known.iter().map(String::as_str)))),
        }
    }
}

/// What no setting can check alone: that every legal request fits into an empty shard. `origin` says
/// where a setting's value came from.
pub(super) fn check(settings: &mut Settings, origin: &dyn Fn(&'static str) -> Origin) -> Result<(), ConfigError> {
    let (queue, http) = (&settings.pipeline.queue, &settings.http);
    let too_small = |queue, request, least: &str| Err(too_small(settings, origin, queue, request, least));
    if (queue.events as usize) < http.max_batch_events {
        return too_small("queue.max_events", "http.max_batch_events", &http.max_batch_events.to_string());
    }
    let bytes = RECORD_TO_BODY_MAX * http.max_body_bytes as u64;
    if queue.bytes < bytes {
        return too_small("queue.max_bytes", "http.max_body_bytes", &show_size(bytes));
    }
    let journal = &settings.pipeline.journal;
    let room = ROOM_TO_BODY_MAX * http.max_body_bytes as u64;
    let least = SEGMENTS_MIN * journal.segment_bytes + room;
    if journal.max_bytes < least {
        return too_small("journal.max_bytes", "http.max_body_bytes", &show_size(least));
    }
    if journal.max_bytes / journal.segment_bytes > SEGMENTS_MAX {
        let problem = format!(
            "{} makes more than {SEGMENTS_MAX} files of `journal.max_bytes` = {}, all of them open; it must be at \
             least {}",
            show_size(journal.segment_bytes),
            show_size(journal.max_bytes),
            show_size((journal.max_bytes / SEGMENTS_MAX).next_multiple_of(4096)),
        );
        return Err(ConfigError::value("journal.segment_bytes", &origin("journal.segment_bytes"), &problem));
    }
    settings.pipeline.journal.ready_bytes = room;
    Ok(())
}

fn too_small(
    settings: &Settings,
    origin: &dyn Fn(&'static str) -> Origin,
    queue: &'static str,
    request: &'static str,
    least: &str,
) -> ConfigError {
    let value = |key| by_key(key).map_or_else(String::new, |setting| setting.show(settings));
    ConfigError::value(
        queue,
        &origin(queue),
        &format!(
            "{} is less than a request may need, which could then never be accepted: with `{request}` = {} ({}) \
             it must be at least {least}",
            value(queue),
            value(request),
            origin(request),
        ),
    )
}

pub(super) fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn is_section(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Array(parts) => Some(parts.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.join(",")),
        _ => None,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Table(_) => "a section",
        Value::Array(_) => "a list of other things",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        _ => "a date",
    }
}

/// Whether Kubernetes made this variable, for a service whose name begins with ours.
fn is_service_link(name: &str, value: &OsString) -> bool {
    let is_link = || value.to_str().is_some_and(|value| value.contains("://"));
    // Everything behind the last `PORT` of a word of its own, as in `…PORT_8080_TCP_ADDR`.
    let behind_port = || {
        let words: Vec<&str> = name.split('_').collect();
        let port = words.windows(2).rposition(|pair| pair[0] == "PORT" && is_number(pair[1]))?;
        Some(words[port + 2..].join("_"))
    };
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    if name.ends_with("_PORT") && is_link() {
        return true;
    }
    behind_port().is_some_and(|rest| {
        let (protocol, part) = rest.split_once('_').unwrap_or((&rest, ""));
        ["TCP", "UDP", "SCTP"].contains(&protocol) && ["", "PROTO", "PORT", "ADDR"].contains(&part)
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The name that was probably meant: at most three letters away.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (distance(name, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, known)| known)
}

/// How many letters have to be put in, taken out or changed to make `from` into `to`.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, from) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (left, to) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[left + 1];
            row[left + 1] = changed.min(diagonal + 1).min(row[left] + 1);
        }
    }
    row[to.len()]
}
