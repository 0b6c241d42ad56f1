//! Names and values as SQL has them.

/// A name in double quotes.
pub fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table, sequence or the like with its schema.
pub fn qualified(schema: &str, object: &str) -> String {
    format!("{}.{}", name(schema), name(object))
}

/// Names in double quotes with commas between them.
pub fn names<S: AsRef<str>>(all: &[S]) -> String {
    let quoted: Vec<_> = all.iter().map(|one| name(one.as_ref())).collect();
    quoted.join(", ")
}

/// A string constant; right whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// A value in a `name=value` connection string of the client library.
pub fn connection_value(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_are_doubled_and_backslashes_kept() {
        assert_eq!(super::name("a\"b"), "\"a\"\"b\"");
        assert_eq!(super::qualified("s", "T x"), "\"s\".\"T x\"");
        assert_eq!(super::literal("it's"), "'it''s'");
        assert_eq!(super::literal("a\\'b"), "E'a\\\\''b'");
        assert_eq!(super::connection_value("a'b\\"), "'a\\'b\\\\'");
    }
}
