//! The text format of COPY, taken apart.

/// The fields of one row without its line end; `None` is NULL.
pub fn fields(row: &[u8]) -> impl Iterator<Item = Option<Vec<u8>>> + '_ {
    row.split(|&byte| byte == b'\t')
        .map(|field| (field != b"\\N").then(|| unescape(field)))
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut bytes = field.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        // The server writes these and no others.
        plain.extend(bytes.next().map(|escaped| match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        }));
    }
    plain
}

#[cfg(test)]
mod tests {
    #[test]
    fn null_differs_from_its_letters_and_escapes_are_resolved() {
        let row = b"1\t\\N\t\\\\N\ta\\tb\\n\t";
        let fields: Vec<_> = super::fields(row).collect();
        assert_eq!(
            fields,
            [
                Some(b"1".to_vec()),
                None,
                Some(b"\\N".to_vec()),
                Some(b"a\tb\n".to_vec()),
                Some(Vec::new())
            ]
        );
    }
}
