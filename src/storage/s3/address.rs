//! `s3://bucket/prefix`, taken apart and put together.

use crate::config::S3_SCHEME;
use crate::error::{Error, ErrorKind, Result};

/// A bucket, and what the keys in it begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) bucket: String,
    /// Empty, or ending in a slash.
    prefix: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::Usage, format!("`{url}`: {why}")).hint(
                "Write s3://bucket or s3://bucket/prefix; the server is a setting of its own: endpoint.",
            )
        };
        let rest = url
            .strip_prefix(S3_SCHEME)
            .ok_or_else(|| wrong("it is not the URL of a bucket"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(fits) {
            return Err(wrong(
                "a bucket's name has 3 to 63 letters, digits, dots and hyphens",
            ));
        }
        let prefix = prefix.trim_end_matches('/');
        let strange = |part: &str| {
            part.is_empty() || part == "." || part == ".." || part.chars().any(char::is_control)
        };
        if !prefix.is_empty() && prefix.split('/').any(strange) {
            return Err(wrong("its prefix has an empty or a strange component"));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
        })
    }

    /// The key of an object.
    pub(super) fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The path of the object with this key.
    pub(super) fn path<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.prefix)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = self.prefix.trim_end_matches('/');
        if prefix.is_empty() {
            write!(f, "{S3_SCHEME}{}", self.bucket)
        } else {
            write!(f, "{S3_SCHEME}{}/{prefix}", self.bucket)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_apart_and_together() {
        for (url, key, shown) in [
            ("s3://bucket", "x", "s3://bucket"),
            ("s3://bucket/", "x", "s3://bucket"),
            ("s3://bucket/a/b c", "a/b c/x", "s3://bucket/a/b c"),
            ("s3://bucket/a/b/", "a/b/x", "s3://bucket/a/b"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.key("x"), key);
            assert_eq!(address.path(key), Some("x"));
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for url in [
            "s3://",
            "s3://ab",
            "s3://bucket//x",
            "s3://bucket/../x",
            "s3://bu cket/x",
            "s3://user:secret@bucket/x",
            "s3://bucket/a\nb",
            "/bucket",
        ] {
            assert_eq!(
                Address::parse(url).unwrap_err().kind(),
                ErrorKind::Usage,
                "{url}"
            );
        }
    }
}
