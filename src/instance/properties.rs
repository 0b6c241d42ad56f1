//! Java `.properties` files, read as `java.util.Properties.load(InputStream)` reads them.
//!
//! That is what Openbravo and ant both use, so the bytes are ISO-8859-1 whatever an editor thinks:
//! a password typed as UTF-8 is the same wrong text for Openbravo and for us. White space before a
//! value goes, white space after it stays.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// No properties file is longer.
const LIMIT_BYTES: u64 = 4 << 20;

/// One value and where it stands.
#[derive(Clone, PartialEq, Eq)]
struct Property {
    value: String,
    file: usize,
    line: usize,
}

/// Properties of one file, and of those that override it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Properties {
    files: Vec<PathBuf>,
    values: BTreeMap<String, Property>,
}

/// Values are passwords more often than not.
impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Properties")
            .field("files", &self.files)
            .field("keys", &self.values.keys())
            .finish()
    }
}

impl Properties {
    /// Reads `path`. `NotFound` where it is absent, `Usage` naming the line where it is malformed.
    pub fn read(path: &Path) -> Result<Self> {
        let mut properties = Self::default();
        properties.override_with(path)?;
        Ok(properties)
    }

    /// Reads `path` over what is there: its values win, key by key.
    pub fn override_with(&mut self, path: &Path) -> Result<()> {
        let bytes = read(path)?;
        self.load(&bytes, path)
    }

    /// Reads `bytes` over what is there; `path` is for messages.
    pub fn load(&mut self, bytes: &[u8], path: &Path) -> Result<()> {
        let file = self.files.len();
        let mut values = Vec::new();
        for line in logical_lines(bytes) {
            let malformed = |reason: String| {
                Error::new(
                    ErrorKind::Usage,
                    format!("`{}`, line {}: {reason}", path.display(), line.number),
                )
                .hint("Openbravo cannot read this line either; write a backslash as `\\\\`.")
            };
            let (key, value) = split(&line.bytes);
            let key = unescape(key).map_err(malformed)?;
            let value = unescape(value).map_err(malformed)?;
            values.push((key, value, line.number));
        }
        self.files.push(path.to_owned());
        for (key, value, line) in values {
            self.values.insert(key, Property { value, file, line });
        }
        Ok(())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|property| property.value.as_str())
    }

    /// The value of `key` unless it is blank: what an untouched template line means.
    pub fn filled(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.trim().is_empty())
    }

    /// The value of `key`; where it is absent or blank, an error that names the file.
    pub fn required(&self, key: &str) -> Result<&str> {
        self.filled(key).ok_or_else(|| {
            let files: Vec<_> = self
                .files
                .iter()
                .map(|file| format!("`{}`", file.display()))
                .collect();
            let place = match self.values.get(key) {
                Some(property) => format!("{}: `{key}` has no value", self.place_of(property)),
                None => format!("{}: `{key}` is missing", files.join(" and ")),
            };
            Error::new(ErrorKind::Usage, place).hint(format!(
                "Set {key} as config/Openbravo.properties.template shows."
            ))
        })
    }

    /// An error about the value of `key`, naming file and line but not the value.
    pub fn malformed(&self, key: &str, reason: &str) -> Error {
        let place = self.values.get(key).map_or_else(String::new, |property| {
            format!("{}: ", self.place_of(property))
        });
        Error::new(ErrorKind::Usage, format!("{place}`{key}` {reason}"))
    }

    /// The files that were read, the strongest last.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Keys and values in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(key, property)| (key.as_str(), property.value.as_str()))
    }

    fn place_of(&self, property: &Property) -> String {
        let file = self
            .files
            .get(property.file)
            .map_or(Path::new(""), PathBuf::as_path);
        format!("`{}`, line {}", file.display(), property.line)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let failed = |error| Error::io(format!("cannot read `{}`", path.display()), error);
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LIMIT_BYTES + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "`{}` is not a properties file: it is longer than 4 MiB",
                path.display()
            ),
        ));
    }
    Ok(bytes)
}

struct LogicalLine {
    bytes: Vec<u8>,
    number: usize,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0c')
}

/// Properties as lines that, put at the end of a file, give these keys these values: of a key that
/// stands twice the last one counts, for Java and for ant.
pub fn lines<'a>(properties: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        text.push_str(&escaped(key, true));
        text.push('=');
        text.push_str(&escaped(value, false));
        text.push('\n');
    }
    text
}

fn escaped(plain: &str, key: bool) -> String {
    let mut text = String::new();
    for (position, character) in plain.chars().enumerate() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            ' ' if key || position == 0 => text.push_str("\\ "),
            '=' | ':' | '#' | '!' if key => {
                text.push('\\');
                text.push(character);
            }
            ' '..='~' => text.push(character),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text
}

/// Natural lines joined where one ends in an odd number of backslashes; neither comments nor blanks.
fn logical_lines(bytes: &[u8]) -> Vec<LogicalLine> {
    let mut lines = Vec::new();
    let mut joined: Option<LogicalLine> = None;
    for (index, natural) in natural_lines(bytes).into_iter().enumerate() {
        let start = natural
            .iter()
            .position(|byte| !is_blank(*byte))
            .unwrap_or(natural.len());
        let text = natural.get(start..).unwrap_or_default();
        // A comment sign means nothing in a continuation.
        if joined.is_none() && matches!(text.first(), None | Some(b'#' | b'!')) {
            continue;
        }
        let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
        let continues = backslashes % 2 == 1;
        let text = if continues {
            text.split_last().map_or(text, |(_, rest)| rest)
        } else {
            text
        };
        let line = joined.get_or_insert_with(|| LogicalLine {
            bytes: Vec::new(),
            number: index + 1,
        });
        line.bytes.extend_from_slice(text);
        // As in Java, a line that continues nothing begins nothing: a comment may follow it.
        if line.bytes.is_empty() {
            joined = None;
        } else if !continues {
            lines.extend(joined.take());
        }
    }
    lines.extend(joined);
    lines
}

/// Lines end in `\n`, `\r` or `\r\n`.
fn natural_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let (line, tail) = rest.split_at(end);
        lines.push(line);
        let skip = if tail.starts_with(b"\r\n") { 2 } else { 1 };
        rest = tail.get(skip..).unwrap_or_default();
    }
    lines.push(rest);
    lines
}

/// The key ends at the first `=`, `:` or white space that no backslash escapes; around one `=` or `:`
/// white space is skipped.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let mut escaped = false;
    let end = line
        .iter()
        .position(|byte| {
            let ends = !escaped && (matches!(byte, b'=' | b':') || is_blank(*byte));
            escaped = *byte == b'\\' && !escaped;
            ends
        })
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let mut separated = false;
    let start = rest
        .iter()
        .position(|byte| {
            let separator = !separated && matches!(byte, b'=' | b':');
            separated |= separator;
            !separator && !is_blank(*byte)
        })
        .unwrap_or(rest.len());
    (key, rest.get(start..).unwrap_or_default())
}

/// `\t \n \r \f \uXXXX`; before anything else a backslash only disappears.
fn unescape(text: &[u8]) -> std::result::Result<String, String> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            units.push(u16::from(*byte));
            continue;
        }
        units.push(match rest.next() {
            None => break,
            Some(b't') => u16::from(b'\t'),
            Some(b'n') => u16::from(b'\n'),
            Some(b'r') => u16::from(b'\r'),
            Some(b'f') => 0x0c,
            Some(b'u') => {
                let mut unit = 0;
                for _ in 0..4 {
                    let digit = rest
                        .next()
                        .and_then(|digit| char::from(*digit).to_digit(16))
                        .and_then(|digit| u16::try_from(digit).ok())
                        .ok_or("`\\u` without four hexadecimal digits")?;
                    unit = unit << 4 | digit;
                }
                unit
            }
            Some(other) => u16::from(*other),
        });
    }
    String::from_utf16(&units).map_err(|_| "`\\u` with half a character".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(text: &[u8]) -> Vec<(String, String)> {
        let mut properties = Properties::default();
        properties.load(text, Path::new("/x.properties")).unwrap();
        properties
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn one(text: &[u8]) -> (String, String) {
        let all = load(text);
        assert_eq!(all.len(), 1, "{}", String::from_utf8_lossy(text));
        all.into_iter().next().unwrap()
    }

    #[test]
    fn separators_and_white_space() {
        let pair = ("key".to_owned(), "value".to_owned());
        for text in [
            "key=value",
            "key:value",
            "key value",
            "key = value",
            "\t key\t:\x0c value",
            "key\t\tvalue",
            "key=value\n",
            "key=value\r",
            "key=value\r\n",
            "\n\r\n\x0c\nkey=value",
        ] {
            assert_eq!(one(text.as_bytes()), pair, "{text:?}");
        }
        assert_eq!(
            one(b"key= value  ").1,
            "value  ",
            "white space after it stays"
        );
        assert_eq!(one(b"key==value").1, "=value");
        assert_eq!(one(b"key = : value").1, ": value");
        assert_eq!(one(b"key").1, "");
        assert_eq!(one(b"= value"), (String::new(), "value".to_owned()));
    }

    #[test]
    fn comments_and_continuations() {
        assert!(load(b"# key=value\n  ! key=value\n#\\\n").is_empty());
        assert_eq!(
            load(b"# a\\\nkey=value").len(),
            1,
            "a comment does not continue"
        );
        assert_eq!(one(b"key=a\\\n   b\\\r\n\tc").1, "abc");
        assert_eq!(one(b"key=a\\\n# b").1, "a# b");
        assert_eq!(
            one(b"key=a\\\\\n").1,
            "a\\",
            "an escaped backslash does not continue"
        );
        assert_eq!(
            one(b"key=a\\").1,
            "a",
            "the end of the file continues nothing"
        );
        assert_eq!(one(b"key=a\\\n\n").1, "a");
        assert_eq!(one(b"k\\\n  ey=value").0, "key");
        assert!(load(b"\\\n").is_empty());
        assert_eq!(one(b"\\\n# no key\nkey=value").0, "key");
    }

    #[test]
    fn escapes_and_bytes() {
        assert_eq!(one(b"a\\=b\\:c\\ d=v").0, "a=b:c d");
        assert_eq!(one(b"k=\\t\\n\\r\\f\\q\\\\\\u0041").1, "\t\n\r\x0cq\\A");
        assert_eq!(one(b"k=caf\xe9").1, "caf\u{e9}", "ISO-8859-1");
        assert_eq!(
            one("k=é".as_bytes()).1,
            "\u{c3}\u{a9}",
            "as Openbravo sees it"
        );
        assert_eq!(one(b"k=\\uD83D\\uDE00").1, "\u{1f600}");
        assert_eq!(one(b"\\#k=v").0, "#k");
    }

    #[test]
    fn what_java_refuses_is_refused_with_its_line() {
        for text in ["a=b\n\nk=\\u00g0\n", "a=b\n\nk=\\u12", "#\n\nk=\\uD83D"] {
            let error = Properties::default()
                .load(text.as_bytes(), Path::new("/x"))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(
                error.to_string().starts_with("`/x`, line 3: `\\u`"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_later_one_wins_and_keeps_its_place() {
        let mut properties = Properties::default();
        properties
            .load(b"a=1\nb=2\na=3\n", Path::new("/base"))
            .unwrap();
        properties.load(b"\nb=\n", Path::new("/over")).unwrap();
        assert_eq!(properties.get("a"), Some("3"));
        let error = properties.required("b").unwrap_err();
        assert_eq!(error.to_string(), "`/over`, line 2: `b` has no value");
        let error = properties.required("c").unwrap_err();
        assert_eq!(error.to_string(), "`/base` and `/over`: `c` is missing");
        assert_eq!(
            properties.malformed("a", "is odd").to_string(),
            "`/base`, line 3: `a` is odd"
        );
        assert!(!format!("{properties:?}").contains('3'));
    }

    /// As `java.util.Properties.store` would write it, with everything optional made random.
    fn written(text: &str, is_key: bool, style: &mut impl Iterator<Item = u8>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut next = || style.next().unwrap_or(0);
        for (index, character) in text.chars().enumerate() {
            if next() % 11 == 0 {
                out.extend_from_slice(
                    [&b"\\\n"[..], b"\\\r\n  ", b"\\\r\t"][usize::from(next() % 3)],
                );
            }
            let mut units = [0; 2];
            let special = matches!(
                character,
                ' ' | '\t' | '\x0c' | '=' | ':' | '#' | '!' | '\\'
            );
            match character {
                '\t' => out.extend_from_slice(b"\\t"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\x0c' => out.extend_from_slice(b"\\f"),
                _ if special && (is_key || index == 0 || character == '\\' || next() % 2 == 0) => {
                    out.extend_from_slice(&[b'\\', u8::try_from(character).unwrap()]);
                }
                // A space may stand at the start of a natural line here, where it would be skipped.
                ' ' => out.extend_from_slice(b"\\ "),
                _ if u32::from(character) < 256 && next() % 4 != 0 => {
                    out.push(u8::try_from(u32::from(character)).unwrap());
                }
                _ => {
                    for unit in character.encode_utf16(&mut units) {
                        out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                    }
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn whatever_java_writes_is_read(
            pairs in proptest::collection::btree_map("[ -~\\t\\n\\x0c\u{80}-\u{ffff}]{1,12}",
                "[ -~\\t\\r\\n\\x0c\u{80}-\u{10ffff}]{0,20}", 0..6),
            style in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut style = style.into_iter();
            let mut text = Vec::new();
            for (key, value) in &pairs {
                text.extend_from_slice([&b""[..], b"# c\\\n", b" \t", b"\r\n"][usize::from(style.next().unwrap_or(0) % 4)]);
                text.extend(written(key, true, &mut style));
                text.extend_from_slice([&b"="[..], b" : ", b"\t=\x0c"][usize::from(style.next().unwrap_or(0) % 3)]);
                text.extend(written(value, false, &mut style));
                text.extend_from_slice([&b"\n"[..], b"\r", b"\r\n"][usize::from(style.next().unwrap_or(0) % 3)]);
            }
            let read: std::collections::BTreeMap<_, _> = load(&text).into_iter().collect();
            prop_assert_eq!(read, pairs, "{}", String::from_utf8_lossy(&text));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Properties::default().load(&bytes, Path::new("/x"));
        }
    }

    #[test]
    fn appended_lines_win_whatever_is_in_them() {
        let wanted = [("bbdd.password", " p\\ä=: #\n€𝄞"), ("attach.path", "/x y")];
        let text = format!("attach.path=/old\n{}", lines(wanted.into_iter()));
        let mut properties = Properties::default();
        properties.load(text.as_bytes(), Path::new("x")).unwrap();
        for (key, value) in wanted {
            assert_eq!(properties.get(key), Some(value), "{text}");
        }
    }
}
