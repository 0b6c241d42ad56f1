//! The table of contents of a `pg_dump -Fc` archive: read, changed and written back.
//!
//! Its layout is that of `ReadHead` and `ReadToc` in PostgreSQL's `pg_backup_archiver.c`, versions 1.14
//! (PostgreSQL 12 to 15), 1.15 (16) and 1.16 (17 and 18). The archives of a backup have definitions only:
//! behind the table of contents nothing follows.

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};

const MAGIC: &[u8] = b"PGDMP";
const FORMAT_CUSTOM: u8 = 1;
const OLDEST: (u8, u8) = (1, 14);
const NEWEST: (u8, u8) = (1, 16);

/// An archive of definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archive {
    version: (u8, u8),
    int_size: u8,
    offset_size: u8,
    /// Everything before the number of entries, as it was.
    head: Vec<u8>,
    /// What can be created, in order.
    pub entries: Vec<Entry>,
    /// Everything after the entries, as it was.
    tail: Vec<u8>,
}

/// One thing to create. Texts are in the archive's encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number, which `pg_restore -L` takes.
    pub id: i64,
    has_dumper: i64,
    catalog: [Text; 2],
    tag: Text,
    kind: Text,
    section: i64,
    /// The SQL that creates it.
    definition: Text,
    drop: Text,
    copy: Text,
    schema: Text,
    tablespace: Text,
    access_method: Text,
    relation_kind: Option<i64>,
    owner: Text,
    with_oids: Text,
    dependencies: Vec<Vec<u8>>,
    data_state: Vec<u8>,
}

type Text = Option<Vec<u8>>;

fn shown(text: &Text) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(text.as_deref().unwrap_or_default())
}

fn parsed(number: &[u8]) -> Option<i64> {
    std::str::from_utf8(number).ok()?.parse().ok()
}

impl Entry {
    /// What kind of thing it is: `TABLE`, `EXTENSION`, `ACL`, …
    pub fn kind(&self) -> std::borrow::Cow<'_, str> {
        shown(&self.kind)
    }

    /// Its name; for comments and privileges what they are of: `EXTENSION pg_trgm`.
    pub fn tag(&self) -> std::borrow::Cow<'_, str> {
        shown(&self.tag)
    }

    /// The SQL that creates it.
    pub fn definition(&self) -> std::borrow::Cow<'_, str> {
        shown(&self.definition)
    }

    /// Its owner; empty where it has none.
    pub fn owner(&self) -> std::borrow::Cow<'_, str> {
        shown(&self.owner)
    }

    /// Its tablespace; empty for the default.
    pub fn tablespace(&self) -> std::borrow::Cow<'_, str> {
        shown(&self.tablespace)
    }

    /// Kind, schema and name, as people see it.
    pub fn describe(&self) -> String {
        let schema = shown(&self.schema);
        if schema.is_empty() || schema == "-" {
            format!("{} {}", self.kind(), self.tag())
        } else {
            format!("{} {schema}.{}", self.kind(), self.tag())
        }
    }

    /// Schema and name.
    pub fn name(&self) -> String {
        format!("{}.{}", shown(&self.schema), self.tag())
    }

    /// The numbers of what must be there before.
    pub fn dependencies(&self) -> impl Iterator<Item = i64> {
        self.dependencies.iter().filter_map(|number| parsed(number))
    }

    pub fn set_owner(&mut self, owner: &str) {
        self.owner = Some(owner.as_bytes().to_vec());
    }

    pub fn set_definition(&mut self, definition: String) {
        self.definition = Some(definition.into_bytes());
    }
}

impl Archive {
    /// `Incompatible` for an archive of a version that is not known, `Damaged` for what is none.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader {
            bytes,
            at: 0,
            int_size: 4,
        };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(damaged());
        }
        let version = (reader.byte()?, reader.byte()?);
        let _revision = reader.byte()?;
        if !(OLDEST..=NEWEST).contains(&version) {
            return Err(Error::new(
                ErrorKind::Incompatible,
                format!(
                    "the definitions are in version {}.{} of pg_dump's format",
                    version.0, version.1
                ),
            )
            .hint("Use a newer obbackup."));
        }
        reader.int_size = reader.byte()?;
        let (int_size, offset_size) = (reader.int_size, reader.byte()?);
        if int_size == 0 || int_size > 8 || reader.byte()? != FORMAT_CUSTOM {
            return Err(damaged());
        }
        if version >= (1, 15) {
            reader.byte()?;
        } else {
            reader.int()?;
        }
        // The time, in seven numbers; the database's name, the versions of server and client.
        for _ in 0..7 {
            reader.int()?;
        }
        for _ in 0..3 {
            reader.text()?;
        }
        let head = bytes.get(..reader.at).unwrap_or_default().to_vec();
        let count = reader.int()?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(reader.entry(version, offset_size)?);
        }
        Ok(Self {
            version,
            int_size,
            offset_size,
            head,
            entries,
            tail: bytes.get(reader.at..).unwrap_or_default().to_vec(),
        })
    }

    /// Gives entries other numbers, everywhere they are named.
    pub fn renumber(&mut self, numbers: &HashMap<i64, i64>) {
        for entry in &mut self.entries {
            for number in &mut entry.dependencies {
                let new = parsed(number).and_then(|id| numbers.get(&id));
                if let Some(new) = new {
                    *number = new.to_string().into_bytes();
                }
            }
            entry.id = *numbers.get(&entry.id).unwrap_or(&entry.id);
        }
    }

    /// The archive's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer {
            bytes: self.head.clone(),
            int_size: self.int_size,
        };
        writer.length(self.entries.len());
        for entry in &self.entries {
            writer.entry(entry);
        }
        writer.bytes.extend_from_slice(&self.tail);
        writer.bytes
    }
}

fn damaged() -> Error {
    Error::new(
        ErrorKind::Damaged,
        "the definitions of the database are no archive of pg_dump",
    )
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    int_size: u8,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or_else(damaged)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(damaged)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1)?.first().copied().ok_or_else(damaged)
    }

    /// A sign, then the magnitude, least byte first.
    fn int(&mut self) -> Result<i64> {
        let is_negative = self.byte()? != 0;
        let mut magnitude = 0_i64;
        for byte in self.take(self.int_size.into())?.iter().rev() {
            magnitude = magnitude
                .checked_mul(256)
                .and_then(|higher| higher.checked_add(i64::from(*byte)))
                .ok_or_else(damaged)?;
        }
        Ok(if is_negative { -magnitude } else { magnitude })
    }

    fn text(&mut self) -> Result<Text> {
        match usize::try_from(self.int()?) {
            Ok(length) => Ok(Some(self.take(length)?.to_vec())),
            Err(_) => Ok(None),
        }
    }

    fn entry(&mut self, version: (u8, u8), offset_size: u8) -> Result<Entry> {
        Ok(Entry {
            id: self.int()?,
            has_dumper: self.int()?,
            catalog: [self.text()?, self.text()?],
            tag: self.text()?,
            kind: self.text()?,
            section: self.int()?,
            definition: self.text()?,
            drop: self.text()?,
            copy: self.text()?,
            schema: self.text()?,
            tablespace: self.text()?,
            access_method: self.text()?,
            relation_kind: if version >= (1, 16) {
                Some(self.int()?)
            } else {
                None
            },
            owner: self.text()?,
            with_oids: self.text()?,
            dependencies: self.dependencies()?,
            data_state: self.take(1 + usize::from(offset_size))?.to_vec(),
        })
    }

    fn dependencies(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        while let Some(one) = self.text()? {
            all.push(one);
        }
        Ok(all)
    }
}

struct Writer {
    bytes: Vec<u8>,
    int_size: u8,
}

impl Writer {
    fn int(&mut self, number: i64) {
        self.bytes.push(u8::from(number < 0));
        let magnitude = number.unsigned_abs().to_le_bytes();
        let length = usize::from(self.int_size).min(magnitude.len());
        self.bytes
            .extend_from_slice(magnitude.get(..length).unwrap_or_default());
    }

    fn length(&mut self, length: usize) {
        // Nothing in memory is longer.
        self.int(i64::try_from(length).unwrap_or(i64::MAX));
    }

    fn text(&mut self, text: &Text) {
        match text {
            Some(text) => {
                self.length(text.len());
                self.bytes.extend_from_slice(text);
            }
            None => self.int(-1),
        }
    }

    fn entry(&mut self, entry: &Entry) {
        self.int(entry.id);
        self.int(entry.has_dumper);
        for text in entry.catalog.iter().chain([&entry.tag, &entry.kind]) {
            self.text(text);
        }
        self.int(entry.section);
        for text in [
            &entry.definition,
            &entry.drop,
            &entry.copy,
            &entry.schema,
            &entry.tablespace,
            &entry.access_method,
        ] {
            self.text(text);
        }
        if let Some(kind) = entry.relation_kind {
            self.int(kind);
        }
        self.text(&entry.owner);
        self.text(&entry.with_oids);
        for dependency in &entry.dependencies {
            self.length(dependency.len());
            self.bytes.extend_from_slice(dependency);
        }
        self.int(-1);
        self.bytes.extend_from_slice(&entry.data_state);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An archive of such entries: number, kind, tag, dependencies.
    pub fn archive_of(entries: &[(i64, &str, &str, &[i64])]) -> Archive {
        let mut archive = archive((1, 16));
        let any = archive.entries[0].clone();
        let entries = entries.iter().map(|&(id, kind, tag, dependencies)| Entry {
            id,
            kind: Some(kind.into()),
            tag: Some(tag.into()),
            dependencies: dependencies
                .iter()
                .map(|id| id.to_string().into_bytes())
                .collect(),
            ..any.clone()
        });
        archive.entries = entries.collect();
        archive
    }

    fn archive(version: (u8, u8)) -> Archive {
        let mut head = Writer {
            bytes: MAGIC.to_vec(),
            int_size: 4,
        };
        head.bytes
            .extend([version.0, version.1, 0, 4, 8, FORMAT_CUSTOM]);
        if version >= (1, 15) {
            head.bytes.push(0);
        } else {
            head.int(0);
        }
        for number in [1, 2, 3, 4, 5, 126, -1] {
            head.int(number);
        }
        for text in ["database", "15.1", "16.2"] {
            head.text(&Some(text.into()));
        }
        let entry = |id: i64, owner: &str| Entry {
            id,
            has_dumper: 0,
            catalog: [Some("1259".into()), Some("4711".into())],
            tag: Some("größe".into()),
            kind: Some("TABLE".into()),
            section: 2,
            definition: Some("CREATE TABLE x ();\n".into()),
            drop: Some("DROP TABLE x;\n".into()),
            copy: None,
            schema: Some("public".into()),
            tablespace: Some(Vec::new()),
            access_method: Some("heap".into()),
            relation_kind: (version >= (1, 16)).then_some(114),
            owner: Some(owner.into()),
            with_oids: Some("false".into()),
            dependencies: vec![b"3".to_vec(), b"70000".to_vec()],
            data_state: vec![3, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        Archive {
            version,
            int_size: 4,
            offset_size: 8,
            head: head.bytes,
            entries: vec![entry(1, "tad"), entry(70_000, "")],
            tail: b"rest".to_vec(),
        }
    }

    #[test]
    fn every_version_comes_back_byte_for_byte() {
        for minor in 14..=16 {
            let archive = archive((1, minor));
            let bytes = archive.to_bytes();
            let parsed = Archive::parse(&bytes).unwrap();
            assert_eq!(parsed, archive);
            assert_eq!(parsed.to_bytes(), bytes);
            assert_eq!(
                parsed.entries[0].describe(),
                "TABLE public.größe",
                "1.{minor}"
            );
        }
    }

    #[test]
    fn an_owner_changes_and_the_rest_stays() {
        let mut changed = archive((1, 16));
        changed.entries[0].set_owner("another");
        let parsed = Archive::parse(&changed.to_bytes()).unwrap();
        assert_eq!(parsed.entries[0].owner(), "another");
        assert_eq!(parsed.entries[1], archive((1, 16)).entries[1]);
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_refused() {
        let bytes = archive((1, 15)).to_bytes();
        for length in 0..bytes.len() - b"rest".len() {
            let error = Archive::parse(&bytes[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{length}");
        }
        for position in 0..bytes.len() {
            // Nothing to assert but that it ends.
            let mut flipped = bytes.clone();
            flipped[position] ^= 0xff;
            let _ = Archive::parse(&flipped);
        }
        let mut newer = bytes;
        newer[6] = 17;
        let error = Archive::parse(&newer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
    }
}
