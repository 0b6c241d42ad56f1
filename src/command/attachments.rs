//! Whether the files that the database speaks of are there.

use crate::error::Result;
use crate::format::bytes::ByteString;
use crate::postgresql::{DatabaseAddress, Session, copy_text, quote};
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

/// Rows of `c_file` in a snapshot whose file is in neither pass around it.
#[derive(Debug, Default)]
pub struct Missing {
    /// Those whose rows were there before the first pass: their files were not.
    absent: Named,
    /// Those attached since and gone before the second pass: they were there, and are not in the backup.
    lost: Named,
}

/// Some paths, of which only the first are kept.
#[derive(Debug, Default)]
struct Named {
    count: u64,
    first: Vec<String>,
}

impl Named {
    fn add(&mut self, path: Vec<u8>) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(ByteString(path).to_string());
        }
    }

    /// `2 attachments of the database {what}: …`
    fn warning(&self, one: &str, several: &str) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let more = self.count.saturating_sub(NAMED as u64);
        let others = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        let what = if self.count == 1 {
            format!("1 attachment of the database {one}")
        } else {
            format!("{} attachments of the database {several}", self.count)
        };
        Some(format!("{what}: `{}`{others}", self.first.join("`, `")))
    }
}

impl Missing {
    /// Whether there was something that could not be captured.
    pub fn is_partial(&self) -> bool {
        self.lost.count > 0
    }

    /// What a person should know.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let absent = self.absent.warning("has no file", "have no file");
        let gone = "added and deleted again while the backup was taken, and not captured";
        let lost = self
            .lost
            .warning(&format!("was {gone}"), &format!("were {gone}"));
        absent.into_iter().chain(lost)
    }
}

/// The files that the database names now: before the first pass, so that what is attached later can be told from
/// what was absent all along.
pub fn named_files(application: &DatabaseAddress) -> Result<PathSet> {
    const WHAT: &str = "cannot ask for the attachments";
    let mut session = Session::open(application)?;
    session.run(WHAT, "SET search_path TO DEFAULT")?;
    let query = files_query(|table| {
        let sql = format!(
            "SELECT pg_catalog.to_regclass({})::text",
            quote::literal(table)
        );
        Ok(session.value(WHAT, &sql)?.is_some())
    })?;
    let mut paths = Vec::new();
    if let Some(query) = query {
        session.stream(WHAT, &query, |row| {
            paths.push(path_of(row));
            Ok(())
        })?;
    }
    Ok(PathSet::of(paths.iter().map(Vec::as_slice)))
}

/// The rows of `c_file` in the snapshot whose file is not among `present`, which both passes have found; `before`
/// is what [`named_files`] told.
pub fn missing_files(
    source: &mut DatabaseSource,
    present: &PathSet,
    before: &PathSet,
) -> Result<Missing> {
    let mut missing = Missing::default();
    let Some(query) = files_query(|table| source.has_table(table))? else {
        return Ok(missing);
    };
    source.stream_query(&query, |row| {
        let path = path_of(row);
        if !present.contains(&path) {
            let of = if before.contains(&path) {
                &mut missing.absent
            } else {
                &mut missing.lost
            };
            of.add(path);
        }
        Ok(())
    })?;
    Ok(missing)
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
    use super::{Named, normal};

    #[test]
    fn slashes_do_not_matter() {
        assert_eq!(normal(b"259/02D/x"), b"259/02D/x");
        assert_eq!(normal(b"/259//02D/x/"), b"259/02D/x");
    }

    #[test]
    fn a_warning_names_some_and_counts_the_rest() {
        let mut named = Named::default();
        assert_eq!(named.warning("has no file", "have no file"), None);
        named.add(b"a".to_vec());
        assert_eq!(
            named.warning("has no file", "have no file").unwrap(),
            "1 attachment of the database has no file: `a`"
        );
        for _ in 0..6 {
            named.add(b"b".to_vec());
        }
        let text = named.warning("has no file", "have no file").unwrap();
        assert!(
            text.starts_with("7 attachments of the database have no file: `a`, `b`"),
            "{text}"
        );
        assert!(text.ends_with(" and 2 more"), "{text}");
    }
}
