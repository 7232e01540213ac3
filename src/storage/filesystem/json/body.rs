//! Bodies and field values in a JSON record: readable where they are text, base64 where they are not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::layout::is_extension;

/// Bytes that are text most of the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Octets {
    Text(String),
    Binary(Binary),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Binary {
    base64: String,
}

impl Octets {
    pub(super) fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Binary(Binary { base64: STANDARD.encode(bytes) }),
        }
    }

    pub(super) fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(text.into()),
            Self::Binary(Binary { base64 }) => STANDARD.decode(base64).ok().map(Bytes::from),
        }
    }
}

/// A header field: `["name", "value"]`, kept on one line however the rest is laid out.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Octets,
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = serde_json::to_string(&self.name).and_then(|name| {
            let value = serde_json::to_string(&self.value)?;
            RawValue::from_string(format!("[{name}, {value}]"))
        });
        line.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, value) = Deserialize::deserialize(deserializer)?;
        Ok(Self { name, value })
    }
}

/// A body: exactly one of these is there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    /// JSON that came without spaces, indented here for reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<Box<RawValue>>,
    /// JSON that came with spaces of its own, to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json_verbatim: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The file that holds the bytes, from the root on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
}

/// One line, or a list of lines that each keep their line break.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Line(String),
    Lines(Vec<String>),
}

impl Body {
    pub(super) fn inline(bytes: &[u8], headers: &HeaderMap) -> Self {
        let text = std::str::from_utf8(bytes).ok().filter(|text| is_readable(text));
        match text {
            Some(text) => json_body(text, headers)
                .unwrap_or_else(|| Self { text: Some(Text::new(text)), ..Self::default() }),
            None => Self { base64: Some(STANDARD.encode(bytes)), ..Self::default() },
        }
    }

    pub(super) fn file(name: String) -> Self {
        Self { file: Some(name), ..Self::default() }
    }

    /// The bytes of a body that is not in a file.
    pub(super) fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self { json: Some(json), json_verbatim: None, text: None, base64: None, file: None } => {
                Some(without_spaces(json.get()).into())
            }
            Self { json: None, json_verbatim: Some(json), text: None, base64: None, file: None } => {
                Some(String::from(Box::<str>::from(json)).into())
            }
            Self { json: None, json_verbatim: None, text: Some(text), base64: None, file: None } => {
                Some(text.into_string().into())
            }
            Self { json: None, json_verbatim: None, text: None, base64: Some(base64), file: None } => {
                STANDARD.decode(base64).ok().map(Bytes::from)
            }
            _ => None,
        }
    }
}

impl Text {
    fn new(text: &str) -> Self {
        let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
        match (lines.pop(), lines.is_empty()) {
            (None, _) => Self::Line(String::new()),
            (Some(line), true) => Self::Line(line),
            (Some(line), false) => {
                lines.push(line);
                Self::Lines(lines)
            }
        }
    }

    fn into_string(self) -> String {
        match self {
            Self::Line(line) => line,
            Self::Lines(lines) => lines.concat(),
        }
    }
}

fn is_readable(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
}

/// JSON as JSON, if it comes back to the byte.
fn json_body(text: &str, headers: &HeaderMap) -> Option<Body> {
    let essence = essence(headers)?;
    if !(essence.ends_with("/json") || essence.ends_with("+json")) || text.trim() != text || text == "null" {
        return None;
    }
    let parsed = RawValue::from_string(text.to_owned()).ok()?;
    if without_spaces(text) != text {
        return Some(Body { json_verbatim: Some(parsed), ..Body::default() });
    }
    let json = RawValue::from_string(indented(text)).ok()?;
    Some(Body { json: Some(json), ..Body::default() })
}

/// The media type without parameters, in lower case.
fn essence(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

/// Valid JSON without the spaces between its tokens.
fn without_spaces(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    scan(json, |character, in_string| {
        if in_string || !matches!(character, ' ' | '\t' | '\n' | '\r') {
            out.push(character);
        }
    });
    out
}

/// Valid JSON without spaces, laid out below the four levels of the record around it.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 4_usize;
    let mut opened = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        // A hostile body must not turn into mostly indentation.
        out.extend(std::iter::repeat_n("  ", depth.min(20)));
    };
    scan(json, |character, in_string| {
        let closes = !in_string && matches!(character, '}' | ']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if opened != closes {
            line(&mut out, depth);
        }
        opened = false;
        out.push(character);
        match character {
            '{' | '[' if !in_string => {
                depth += 1;
                opened = true;
            }
            ',' if !in_string => line(&mut out, depth),
            ':' if !in_string => out.push(' '),
            _ => {}
        }
    });
    out
}

/// Walks over JSON, telling for each character whether it belongs to a string.
fn scan(json: &str, mut visit: impl FnMut(char, bool)) {
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        visit(character, in_string || character == '"');
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
}

/// The extension of a plain body file, so that other tools know what it is.
pub(in super::super) fn extension_for(headers: &HeaderMap) -> String {
    let Some(essence) = essence(headers) else { return "bin".to_owned() };
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    let extension = match subtype {
        "plain" => "txt",
        "javascript" => "js",
        "jpeg" => "jpg",
        "svg+xml" => "svg",
        "x-tar" => "tar",
        "gzip" => "gz",
        "mpeg" if kind == "audio" => "mp3",
        "mpeg" => "mpg",
        "octet-stream" | "" => "bin",
        other => match other.rsplit_once('+') {
            Some((_, suffix)) => suffix,
            None => other,
        },
    };
    if is_extension(extension) { extension.to_owned() } else { "bin".to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(content_type))])
    }

    fn written(body: &[u8], content_type: &'static str) -> String {
        let written = serde_json::to_string(&Body::inline(body, &headers(content_type))).unwrap();
        let read: Body = serde_json::from_str(&written).unwrap();
        assert_eq!(read.into_bytes().unwrap(), body);
        written
    }

    #[test]
    fn every_body_comes_back_to_the_byte_and_readable_ones_read() {
        let json = written(br#"{"b":[1,{}],"a":"x: {\"y\", }"}"#, "application/json");
        assert!(json.starts_with("{\"json\":{\n") && json.contains("\"b\": [\n"), "{json}");
        assert!(
            written(b"{ \"a\" : 1.10 }", "application/problem+json")
                .starts_with("{\"json_verbatim\":{ \"a\"")
        );
        assert!(written(b"{\"a\":1}\n", "application/json").starts_with("{\"text\":"));
        assert!(written(b"null", "application/json").starts_with("{\"text\":"));
        assert!(written(b"{broken", "application/json").starts_with("{\"text\":"));
        assert_eq!(written(b"", "text/plain"), "{\"text\":\"\"}");
        assert_eq!(written(b"a\r\nb\n", "text/html"), "{\"text\":[\"a\\r\\n\",\"b\\n\"]}");
        assert_eq!(written(b"\xff\x00", "text/plain"), "{\"base64\":\"/wA=\"}");
        assert_eq!(written(b"a\0b", "text/plain"), "{\"base64\":\"YQBi\"}");
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        written(deep.as_bytes(), "application/json");
    }

    #[test]
    fn body_files_have_extensions_that_tools_know() {
        let table = [
            ("text/html; charset=utf-8", "html"),
            ("application/problem+json", "json"),
            ("image/jpeg", "jpg"),
            ("application/x-../../etc", "bin"),
            ("application/sums", "bin"),
            ("nonsense", "bin"),
        ];
        for (content_type, extension) in table {
            assert_eq!(extension_for(&headers(content_type)), extension);
        }
    }
}
