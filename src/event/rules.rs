//! The contract's rules: from the fields of one event to the event, or to what is wrong with it.
//!
//! All parsers end here, so a rule holds whichever of them read the body. What the rules let
//! pass is what every store takes; nothing is allocated for a good event.

use uuid::Uuid;

use super::scan::{self, Token};
use super::time::TimeError;
use super::{
    Code, DATA_BYTES_MAX, DATA_DEPTH_MAX, Event, EventType, KEY_BYTES_MAX, Micros, Source, Stamp, USER_ID_CHARS_MAX,
};

/// Longest name of a client's that is repeated in an answer, in characters.
const NAME_CHARS_MAX: usize = 64;

/// The fields of an event, in the order in which they are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Type,
    Source,
    Timestamp,
    UserId,
    Data,
}

impl Field {
    pub(super) const COUNT: usize = 6;

    /// The field of that name.
    pub(super) fn from_bytes(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"id" => Self::Id,
            b"type" => Self::Type,
            b"source" => Self::Source,
            b"timestamp" => Self::Timestamp,
            b"user_id" => Self::UserId,
            b"data" => Self::Data,
            _ => return None,
        })
    }

    fn pointer(self) -> &'static str {
        ["/id", "/type", "/source", "/timestamp", "/user_id", "/data"][self as usize]
    }

    fn fault(self, code: Code, detail: impl Into<String>) -> Fault {
        Fault { code, pointer: self.pointer().to_owned(), detail: detail.into() }
    }
}

/// The value of a field, as far as the rules care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// `null`, or no such field.
    #[default]
    Missing,
    /// A string, unescaped.
    Text(&'a str),
    /// An object as it was sent.
    Object(ObjectText<'a>),
    /// Anything else.
    Other,
}

/// An object's text, and what the parser that found it knows already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectText<'a> {
    pub(super) text: &'a str,
    /// It has so few levels, and such numbers, that only the length of its keys is open.
    pub(super) plain: bool,
}

/// What is wrong with one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    /// JSON pointer within the event.
    pub(super) pointer: String,
    pub(super) detail: String,
}

impl Fault {
    pub(super) fn of_event(code: Code, detail: impl Into<String>) -> Self {
        Self { code, pointer: String::new(), detail: detail.into() }
    }

    /// The fault of something that should be an event.
    pub(super) fn not_an_object() -> Self {
        Self::of_event(Code::NotAnObject, "an event is a JSON object")
    }

    /// A fault of the field that the client calls `name`.
    pub(super) fn of_name(code: Code, name: &str, detail: impl Into<String>) -> Self {
        Self { code, pointer: pointer_to(name), detail: detail.into() }
    }
}

/// The JSON pointer to the member `name`; to the object itself where the name is too long to be
/// repeated.
pub(super) fn pointer_to(name: &str) -> String {
    if name.chars().nth(NAME_CHARS_MAX).is_some() {
        return String::new();
    }
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// `name` as a sentence can hold it: short, in quotes, without control characters.
pub(super) fn quote(name: &str) -> String {
    let mut chars = name.chars();
    let mut quoted = String::from('"');
    quoted.extend(chars.by_ref().take(NAME_CHARS_MAX).flat_map(char::escape_debug));
    quoted.push_str(if chars.next().is_some() { "…\"" } else { "\"" });
    quoted
}

/// The fields of one event, as they are found.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    values: [Value<'a>; Field::COUNT],
    seen: u8,
    first_fault: Option<Fault>,
}

impl<'a> Fields<'a> {
    /// The fields with these values, in their order, each of which stands once at most.
    pub(super) fn found(values: [Value<'a>; Field::COUNT]) -> Self {
        Self { values, ..Self::default() }
    }

    /// Takes the field `name`, or remembers that it is one too many.
    pub(super) fn put(&mut self, name: &str, value: Value<'a>) {
        let Some(field) = Field::from_bytes(name.as_bytes()) else {
            let detail = || format!("an event has no field {}", quote(name));
            self.first_fault.get_or_insert_with(|| Fault::of_name(Code::UnknownField, name, detail()));
            return;
        };
        let bit = 1 << field as u8;
        if self.seen & bit != 0 {
            let fault = || field.fault(Code::RepeatedField, format!("the field {} stands twice", quote(name)));
            self.first_fault.get_or_insert_with(fault);
        }
        self.seen |= bit;
        self.values[field as usize] = value;
    }

    /// The event, stamped, if the rules hold for it.
    pub(super) fn judge(self, index: usize, stamp: &mut dyn Stamp) -> Result<Event<'a>, Fault> {
        let [id, kind, source, timestamp, user_id, data] = self.values;
        if let Some(fault) = self.first_fault {
            return Err(fault);
        }
        let id = judge_id(id)?;
        let kind = judge_type(kind)?;
        let source = judge_source(source)?;
        let timestamp = judge_timestamp(timestamp)?;
        let user_id = judge_user_id(user_id)?;
        let data = judge_data(data)?;
        let received = stamp.received();
        Ok(Event {
            id: id.unwrap_or_else(|| stamp.id(index, user_id)),
            kind,
            source,
            user_id,
            timestamp: timestamp.map(|(text, _)| text),
            occurred: timestamp.map_or(received, |(_, micros)| micros),
            received,
            receipt: stamp.receipt(),
            data,
        })
    }
}

fn judge_id(value: Value<'_>) -> Result<Option<Uuid>, Fault> {
    match value {
        Value::Missing => return Ok(None),
        // The length leaves only the form with hyphens of those that the parser knows.
        Value::Text(text) if text.len() == 36 => {
            if let Ok(id) = Uuid::try_parse(text) {
                return Ok(Some(id));
            }
        }
        _ => {}
    }
    Err(Field::Id.fault(Code::InvalidId, "id must be a UUID of 36 characters with hyphens"))
}

fn judge_type(value: Value<'_>) -> Result<EventType, Fault> {
    let known = match value {
        Value::Missing => return Err(Field::Type.fault(Code::MissingField, "type is required")),
        Value::Text(text) => EventType::from_name(text),
        _ => None,
    };
    known.ok_or_else(|| Field::Type.fault(Code::InvalidType, "type must be user_action, sensor_data or system_log"))
}

fn judge_source(value: Value<'_>) -> Result<Source, Fault> {
    let known = match value {
        Value::Missing => return Err(Field::Source.fault(Code::MissingField, "source is required")),
        Value::Text(text) => Source::from_name(text),
        _ => None,
    };
    known.ok_or_else(|| Field::Source.fault(Code::InvalidSource, "source must be web, mobile, iot_device or system"))
}

fn judge_timestamp(value: Value<'_>) -> Result<Option<(&str, Micros)>, Fault> {
    let text = match value {
        Value::Missing => return Ok(None),
        Value::Text(text) => text,
        _ => return Err(Field::Timestamp.fault(Code::InvalidTimestamp, "timestamp must be a string")),
    };
    match Micros::parse_rfc3339(text) {
        Ok(micros) => Ok(Some((text, micros))),
        Err(error @ TimeError::Invalid(_)) => Err(Field::Timestamp.fault(Code::InvalidTimestamp, error.to_string())),
        Err(error @ TimeError::OutOfRange) => Err(Field::Timestamp.fault(Code::TimestampOutOfRange, error.to_string())),
    }
}

fn judge_user_id(value: Value<'_>) -> Result<Option<&str>, Fault> {
    let wrong = |detail: &str| Err(Field::UserId.fault(Code::InvalidUserId, detail));
    let text = match value {
        Value::Missing => return Ok(None),
        Value::Text(text) => text,
        _ => return wrong("user_id must be a string"),
    };
    if text.is_empty() {
        return wrong("user_id is empty: leave it out, or give it 1 to 50 characters");
    }
    // Printable ASCII, as most are, needs no closer look.
    if text.len() <= USER_ID_CHARS_MAX && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(Some(text));
    }
    if text.chars().nth(USER_ID_CHARS_MAX).is_some() {
        return wrong("user_id has more than 50 characters");
    }
    if text.chars().any(char::is_control) {
        return wrong("user_id holds a control character");
    }
    Ok(Some(text))
}

fn judge_data(value: Value<'_>) -> Result<&str, Fault> {
    let ObjectText { text, plain } = match value {
        Value::Missing => return Ok("{}"),
        Value::Object(object) => object,
        _ => return Err(Field::Data.fault(Code::InvalidData, "data must be an object")),
    };
    if text.len() > DATA_BYTES_MAX {
        let detail = format!("data has {} bytes; at most {DATA_BYTES_MAX} are taken", text.len());
        return Err(Field::Data.fault(Code::EventTooLarge, detail));
    }
    if !(plain && text.len() <= KEY_BYTES_MAX) {
        inspect(text)?;
    }
    Ok(text)
}

/// Looks closely at `data`: at its levels, its keys and its numbers.
fn inspect(data: &str) -> Result<(), Fault> {
    let mut depth = 0;
    let mut unescaped = String::new();
    for token in scan::tokens(data) {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            Token::Key(raw) if raw.len() > KEY_BYTES_MAX => {
                unescaped.clear();
                if !scan::unescape(raw, &mut unescaped) || unescaped.len() > KEY_BYTES_MAX {
                    let detail = format!("a key in data is longer than {KEY_BYTES_MAX} bytes");
                    return Err(Field::Data.fault(Code::InvalidData, detail));
                }
            }
            Token::Number(number) if overflows(number) || is_zero_with_huge_exponent(number) => {
                return Err(Field::Data.fault(Code::NumberOutOfRange, "a number in data does not fit into a double"));
            }
            Token::Key(_) | Token::Text(_) | Token::Number(_) => {}
        }
        if depth > DATA_DEPTH_MAX {
            let detail = format!("data is nested deeper than {DATA_DEPTH_MAX} levels");
            return Err(Field::Data.fault(Code::TooDeep, detail));
        }
    }
    Ok(())
}

/// Whether `number` is larger than any double.
pub(super) fn overflows(number: &str) -> bool {
    // 308 digits alone are still a double.
    (number.len() > 308 || number.contains(['e', 'E'])) && number.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// Whether MySQL says that the zero `number` is too big: it looks at the exponent alone.
fn is_zero_with_huge_exponent(number: &str) -> bool {
    let Some((digits, exponent)) = number.split_once(['e', 'E']) else {
        return false;
    };
    if exponent.starts_with('-') || digits.contains(|digit: char| ('1'..='9').contains(&digit)) {
        return false;
    }
    let fraction_digits = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    exponent.trim_start_matches('+').parse::<usize>().map_or(true, |exponent| exponent > 308 + fraction_digits)
}
