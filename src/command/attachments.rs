//! Whether the files that the database speaks of are there.

use crate::error::Result;
use crate::format::bytes::ByteString;
use crate::postgresql::copy_text;
use crate::source::database::DatabaseSource;
use crate::source::files::PathSet;

/// A warning names so many; the rest are counted.
const NAMED: usize = 5;

/// Rows of attachment method *Default*, which are those without a method or with that one: its files lie
/// at `attach.path/<path>/<name>`. Rows of the old way have no path, but a directory named by table and
/// record.
const METHOD: &str = " WHERE NOT EXISTS (SELECT 1 FROM c_attachment_conf c \
    JOIN c_attachment_method m ON m.c_attachment_method_id = c.c_attachment_method_id \
    WHERE c.c_attachment_conf_id = f.c_attachment_conf_id AND m.value <> 'Default')";
const FILES: &str =
    "SELECT coalesce(f.path, f.ad_table_id || '-' || f.ad_record_id), f.name FROM c_file f";

/// Warnings about rows of `c_file` in the snapshot whose file is not among `present`. The files were
/// absent from the source: the two passes around the snapshot would have caught them.
pub fn missing_files(source: &mut DatabaseSource, present: &PathSet) -> Result<Vec<String>> {
    let Some(query) = files_query(|table| source.has_table(table))? else {
        return Ok(Vec::new());
    };
    let mut count = 0_u64;
    let mut named = Vec::new();
    source.stream_query(&query, |row| {
        let path = path_of(row);
        if !present.contains(&path) {
            count += 1;
            if named.len() < NAMED {
                named.push(ByteString(path).to_string());
            }
        }
        Ok(())
    })?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let more = count.saturating_sub(NAMED as u64);
    let others = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    Ok(vec![format!(
        "{count} attachment{} of the database {} no file: `{}`{others}",
        if count == 1 { "" } else { "s" },
        if count == 1 { "has" } else { "have" },
        named.join("`, `")
    )])
}

/// The query for every stored file that a row names; `None` where there is no table of them. `has` tells
/// whether the application would find a table.
pub(super) fn files_query(mut has: impl FnMut(&str) -> Result<bool>) -> Result<Option<String>> {
    if !has("c_file")? {
        return Ok(None);
    }
    let methods = has("c_attachment_conf")? && has("c_attachment_method")?;
    Ok(Some(format!(
        "{FILES}{}",
        if methods { METHOD } else { "" }
    )))
}

/// The path below `attach.path` that a row of [`files_query`] names.
pub(super) fn path_of(row: &[u8]) -> Vec<u8> {
    let fields: Vec<Vec<u8>> = copy_text::fields(row)
        .map(Option::unwrap_or_default)
        .collect();
    normal(&fields.join(&b'/'))
}

/// The path without leading, doubled and closing slashes, which the application's own joining allows.
fn normal(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
        .collect::<Vec<_>>()
        .join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn slashes_do_not_matter() {
        assert_eq!(normal(b"259/02D/x"), b"259/02D/x");
        assert_eq!(normal(b"/259//02D/x/"), b"259/02D/x");
    }
}
