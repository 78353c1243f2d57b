//! The parameters of a request's query: decoded, each of them known, and given once.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use super::problem::Problem;
use crate::event::{EventType, Micros, Source, USER_ID_CHARS_MAX};

/// What a query has, by names that a route knows. Values are decoded when they are asked for.
#[derive(Debug)]
pub(super) struct Parameters<'a>(SmallVec<[(&'static str, &'a str); 7]>);

impl<'a> Parameters<'a> {
    /// Reads a query that may have these parameters and no others.
    pub(super) fn read(query: Option<&'a str>, names: &[&'static str]) -> Result<Self, Problem> {
        let mut given = SmallVec::new();
        for parameter in query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = percent_decode_str(name).decode_utf8_lossy();
            let Some(known) = names.iter().copied().find(|known| *known == name) else {
                return Err(invalid(format!("there is no parameter `{name}`; there are {}", names.join(", "))));
            };
            if given.iter().any(|(before, _)| *before == known) {
                return Err(invalid(format!("`{known}` is given twice")));
            }
            given.push((known, value));
        }
        Ok(Self(given))
    }

    /// The value of a parameter, in which a plus sign is a space, as in forms.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Problem> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        if value.contains('+') {
            let spaced = value.replace('+', " ");
            return Ok(Some(Cow::Owned(decode(name, &spaced)?.into_owned())));
        }
        decode(name, value).map(Some)
    }

    /// The type of events in `type`.
    pub(super) fn kind(&self) -> Result<Option<EventType>, Problem> {
        let kind = |text: Cow<'_, str>| {
            EventType::from_name(&text).ok_or_else(|| one_of("type", &EventType::ALL.map(EventType::as_str)))
        };
        self.text("type")?.map(kind).transpose()
    }

    /// The source of events in `source`.
    pub(super) fn source(&self) -> Result<Option<Source>, Problem> {
        let source = |text: Cow<'_, str>| {
            Source::from_name(&text).ok_or_else(|| one_of("source", &Source::ALL.map(Source::as_str)))
        };
        self.text("source")?.map(source).transpose()
    }

    /// The user in `user_id`: one that events may have.
    pub(super) fn user_id(&self) -> Result<Option<String>, Problem> {
        let Some(user_id) = self.text("user_id")? else { return Ok(None) };
        if !(1..=USER_ID_CHARS_MAX).contains(&user_id.chars().count()) || user_id.chars().any(char::is_control) {
            let detail =
                format!("`user_id` is not 1 to {USER_ID_CHARS_MAX} characters, none of them a control character");
            return Err(invalid(detail));
        }
        Ok(Some(user_id.into_owned()))
    }

    /// A time. A plus sign in it is the one of its zone, which many forget to encode.
    pub(super) fn time(&self, name: &'static str) -> Result<Option<Micros>, Problem> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        let time = Micros::parse_any_rfc3339(&decode(name, value)?);
        time.map(Some).map_err(|error| invalid(format!("`{name}`: {error}")))
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| *value)
    }
}

/// The answer to a parameter that cannot be used; `detail` names it.
pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::bad_request("invalid_parameter", detail)
}

fn one_of(name: &str, names: &[&str]) -> Problem {
    invalid(format!("`{name}` is none of {}", names.join(", ")))
}

fn decode<'v>(name: &str, value: &'v str) -> Result<Cow<'v, str>, Problem> {
    percent_decode_str(value).decode_utf8().map_err(|_| invalid(format!("`{name}` is not UTF-8 when it is decoded")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["type", "user_id", "source", "from", "limit"];

    fn read(query: &str) -> Parameters<'_> {
        Parameters::read(Some(query), &NAMES).unwrap()
    }

    fn detail<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
        format!("{:?}", result.unwrap_err())
    }

    #[test]
    fn values_are_decoded_and_names_too() {
        let parameters = read("user%5Fid=a%20b%2Bc+d%26&&type=system_log&source=web");
        assert_eq!(parameters.user_id().unwrap().as_deref(), Some("a b+c d&"));
        assert_eq!(parameters.kind().unwrap(), Some(EventType::SystemLog));
        assert_eq!(parameters.source().unwrap(), Some(Source::Web));
        assert_eq!(parameters.text("limit").unwrap(), None);
        assert_eq!(read("").user_id().unwrap(), None);
        assert_eq!(Parameters::read(None, &NAMES).unwrap().kind().unwrap(), None);
    }

    #[test]
    fn the_plus_of_a_zone_needs_no_encoding() {
        for query in ["from=2026-01-15T12:30:00+02:00", "from=2026-01-15T12:30:00%2B02:00", "from=2026-01-15T10:30:00Z"]
        {
            assert_eq!(
                read(query).time("from").unwrap().unwrap().to_string(),
                "2026-01-15T10:30:00.000000Z",
                "{query}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, named) in [("x=1", "`x`"), ("type=a&type=a", "`type` is given twice"), ("%FF=1", "`\u{fffd}`")] {
            let detail = detail(Parameters::read(Some(query), &NAMES));
            assert!(detail.contains(named) && detail.contains("invalid_parameter"), "{query}: {detail}");
        }
        for (detail, named) in [
            (detail(read("type=click").kind()), "`type` is none of user_action, sensor_data, system_log"),
            (detail(read("type").kind()), "`type`"),
            (detail(read("source=fax").source()), "`source`"),
            (detail(read("user_id=").user_id()), "`user_id`"),
            (detail(read("user_id=%00").user_id()), "`user_id`"),
            (detail(read("user_id=%FF").user_id()), "`user_id` is not UTF-8"),
            (detail(read(&format!("user_id={}", "x".repeat(51))).user_id()), "`user_id`"),
            (detail(read("from=2026-01-15T10:30:00").time("from")), "`from`"),
            (detail(read("from=yesterday").time("from")), "`from`"),
        ] {
            assert!(detail.contains(named), "{named}: {detail}");
        }
    }
}
