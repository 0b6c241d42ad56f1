//! Names as the file system has them, which need not be UTF-8.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are mostly text. In JSON a string where they are UTF-8, else `{"hex": "…"}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteString(pub Vec<u8>);

impl ByteString {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names come from the file system: control characters must not reach a terminal.
        for character in String::from_utf8_lossy(&self.0).chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl<T: AsRef<[u8]>> From<T> for ByteString {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling<'a> {
    Text(std::borrow::Cow<'a, str>),
    Hex {
        #[serde(with = "hex")]
        hex: Vec<u8>,
    },
}

impl Serialize for ByteString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Spelling::Text(text.into()),
            Err(_) => Spelling::Hex {
                hex: self.0.clone(),
            },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ByteString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Spelling::deserialize(deserializer)? {
            Spelling::Text(text) => text.into_owned().into_bytes(),
            Spelling::Hex { hex } => hex,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        for bytes in [&b"plain"[..], b"", b"\xff\xfe", "größe\n".as_bytes()] {
            let name = ByteString::from(bytes);
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(
                serde_json::from_str::<ByteString>(&json).unwrap(),
                name,
                "{json}"
            );
        }
    }

    #[test]
    fn control_characters_are_not_shown_raw() {
        assert_eq!(ByteString::from(b"a\x1b[2Jb").to_string(), "a\\u{1b}[2Jb");
    }
}
