//! The configuration file on disk: read once, edited with its comments kept, replaced in one step.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};
use toml_edit::{Array, DocumentMut, Item, Table, Value, value};

use super::schedule::ScheduleSection;
use super::{Configuration, check_name};
use crate::error::{Error, ErrorKind, IoContext, Result};

/// No configuration is longer.
const LIMIT_BYTES: u64 = 1 << 20;
/// Reads and writes for the owner alone.
const PRIVATE_MODE: u32 = 0o600;
/// Reads for everybody, writes for the owner alone.
const SHOWN_MODE: u32 = 0o644;

const PREAMBLE: &str = "\
# Configuration of obbackup for this Openbravo instance; read by the command line and the Backups
# window alike. May hold passwords: keep it readable by its owner alone.
";

/// A user and a group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// Whom `path` belongs to; for a symbolic link, what it points to.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path)
            .io_context(|| format!("cannot see whom `{}` belongs to", path.display()))?;
        Ok(Self {
            uid: metadata.uid(),
            gid: metadata.gid(),
        })
    }

    /// Gives `file` to this owner, where it is not theirs already. Fails with `Denied` where neither
    /// root nor the owner runs this.
    pub fn take(self, file: &File, path: &Path) -> Result<()> {
        let metadata = file
            .metadata()
            .io_context(|| format!("cannot see whom `{}` belongs to", path.display()))?;
        if metadata.uid() == self.uid && metadata.gid() == self.gid {
            return Ok(());
        }
        rustix::fs::fchown(
            file,
            Some(Uid::from_raw(self.uid)),
            Some(Gid::from_raw(self.gid)),
        )
        .io_context(|| format!("cannot give `{}` to user {}", path.display(), self.uid))
        .map_err(|error| error.hint("Run this as root, or as the owner of source.path."))
    }
}

/// Puts `bytes` at `path` in one step, with mode 0600 and `owner`: whoever looks sees the old file or
/// the new one, also after a power failure.
pub fn write_private(path: &Path, bytes: &[u8], owner: Owner) -> Result<()> {
    replace(path, bytes, owner, PRIVATE_MODE, true)
}

/// Puts `bytes` at `path` in one step, for everybody to read. What may be lost with the power is not waited
/// for: it is said anew every second.
pub fn write_shown(path: &Path, bytes: &[u8], owner: Owner) -> Result<()> {
    replace(path, bytes, owner, SHOWN_MODE, false)
}

fn replace(path: &Path, bytes: &[u8], owner: Owner, mode: u32, durable: bool) -> Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let path = &follow(path, owner)?;
    let directory = path.parent().ok_or_else(|| {
        Error::new(
            ErrorKind::Usage,
            format!("`{}` is not a file", path.display()),
        )
    })?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".obbackup-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
        .io_context(failed)?;
    temporary.write_all(bytes).io_context(failed)?;
    owner.take(temporary.as_file(), path)?;
    // The mode that it was made with is less what the process's mask takes away.
    temporary
        .as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))
        .io_context(failed)?;
    if durable {
        temporary.as_file().sync_all().io_context(failed)?;
    }
    temporary
        .persist(path)
        .map_err(|error| Error::io(failed(), error.error))?;
    if !durable {
        return Ok(());
    }
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .io_context(failed)
}

/// What `path` points to, where it is a link: somebody may keep the file in another place. Only to a file
/// of the same owner: a link of theirs must not lead root to a file that is not theirs.
fn follow(path: &Path, owner: Owner) -> Result<PathBuf> {
    if !path.is_symlink() {
        return Ok(path.to_owned());
    }
    let Ok(target) = std::fs::canonicalize(path) else {
        return Ok(path.to_owned());
    };
    if Owner::of(&target)?.uid == owner.uid {
        return Ok(target);
    }
    Err(Error::new(
        ErrorKind::Denied,
        format!(
            "`{}` is a link to `{}`, which is not user {}'s",
            path.display(),
            target.display(),
            owner.uid
        ),
    )
    .hint("Put a regular file there."))
}

/// A configuration file, and what it says.
#[derive(Debug, Clone)]
pub struct ConfigurationFile {
    path: PathBuf,
    exists: bool,
    document: DocumentMut,
    configuration: Configuration,
    warnings: Vec<String>,
}

impl ConfigurationFile {
    /// Reads `path`; an absent file says nothing, and `save` creates it.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = || format!("cannot read `{}`", path.display());
        let mut warnings = Vec::new();
        let mut text = String::new();
        let exists = match File::open(path) {
            Ok(file) => {
                let mode = file.metadata().io_context(failed)?.mode();
                if mode & 0o077 != 0 {
                    warnings.push(format!(
                        "`{}` can be read by others; run: chmod 600 '{0}'",
                        path.display()
                    ));
                }
                let mut bytes = Vec::new();
                file.take(LIMIT_BYTES + 1)
                    .read_to_end(&mut bytes)
                    .io_context(failed)?;
                let fits = bytes.len() as u64 <= LIMIT_BYTES;
                text = String::from_utf8(bytes)
                    .ok()
                    .filter(|_| fits)
                    .ok_or_else(|| {
                        Error::new(ErrorKind::Usage, format!("{}: it is not TOML", failed()))
                            .hint("A TOML file is UTF-8 text of at most 1 MiB.")
                    })?;
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => {
                return Err(Error::io(failed(), error)
                    .with_kind(ErrorKind::Denied)
                    .hint("Run this as root, or as the owner of source.path."));
            }
        };
        let configuration = Configuration::parse(&text, path)?;
        let document = text.parse::<DocumentMut>().map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{}: it is not TOML", failed()))
                .hint(error.message().to_owned())
        })?;
        Ok(Self {
            path: path.to_owned(),
            exists,
            document,
            configuration,
            warnings,
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file was there when it was opened.
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// What it says, edits included.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// What a person should know about the file.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Sets `[instance] id`.
    pub fn set_instance_id(&mut self, id: &str) -> Result<()> {
        self.edit(|document| {
            section_of(document, "instance")?.insert("id", value(id));
            Ok(())
        })
    }

    /// Sets `[instance] holder`.
    pub fn set_holder(&mut self, holder: &str) -> Result<()> {
        self.edit(|document| {
            section_of(document, "instance")?.insert("holder", value(holder));
            Ok(())
        })
    }

    /// Adds `[repository.<name>]`, or changes its place; the first one becomes the default, as does
    /// any with `default`.
    pub fn add_repository(&mut self, name: &str, url: &str, default: bool) -> Result<()> {
        check_name("repository", name)?;
        let first = self.configuration.repository.is_empty();
        self.edit(|document| {
            let repositories = section_of(document, "repository")?;
            repositories.set_implicit(true);
            let repository = repositories
                .entry(name)
                .or_insert_with(|| Item::Table(Table::new()));
            repository
                .as_table_like_mut()
                .ok_or_else(|| not_a_table(&format!("repository.{name}")))?
                .insert("url", value(url));
            if default || first {
                document.insert("default_repository", value(name));
            }
            Ok(())
        })
    }

    /// Sets keys such as `backup.nice`, or removes those whose value is absent or null. The file must make
    /// sense with all of them, not in between: some keys belong together.
    pub fn set<'s>(
        &mut self,
        settings: impl IntoIterator<Item = (&'s str, Option<&'s serde_json::Value>)>,
    ) -> Result<()> {
        self.edit(|document| {
            settings
                .into_iter()
                .try_for_each(|(key, setting)| put(document, key, setting))
        })
    }

    /// Adds `[schedule.<name>]`, or makes it say what `section` says. Keys and comments that are not
    /// about it stay.
    pub fn set_schedule(&mut self, name: &str, section: &ScheduleSection) -> Result<()> {
        check_name("schedule", name)?;
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let number = |number: Option<u16>| number.map(|number| Value::from(i64::from(number)));
        let parts: Array = section.only.iter().map(String::as_str).collect();
        let keys = [
            ("cron", Some(Value::from(section.cron.as_str()))),
            ("time_zone", text(&section.time_zone)),
            ("repository", text(&section.repository)),
            ("only", (!parts.is_empty()).then(|| Value::from(parts))),
            ("label", text(&section.label)),
            ("enabled", section.enabled.map(Value::from)),
            ("random_delay_minutes", number(section.random_delay_minutes)),
            ("wait_minutes", number(section.wait_minutes)),
            ("retries", number(section.retries)),
            (
                "retry_minutes",
                number(section.retry_minutes.map(NonZeroU16::get)),
            ),
        ];
        self.edit(|document| {
            let schedules = section_of(document, "schedule")?;
            schedules.set_implicit(true);
            let schedule = schedules
                .entry(name)
                .or_insert_with(|| Item::Table(Table::new()))
                .as_table_like_mut()
                .ok_or_else(|| not_a_table(&format!("schedule.{name}")))?;
            for (key, value) in keys {
                match (value, schedule.get_mut(key).and_then(Item::as_value_mut)) {
                    // The comment behind a value is the value's own.
                    (Some(mut value), Some(known)) => {
                        *value.decor_mut() = known.decor().clone();
                        *known = value;
                    }
                    (Some(value), None) => {
                        schedule.insert(key, Item::Value(value));
                    }
                    (None, _) => {
                        schedule.remove(key);
                    }
                }
            }
            Ok(())
        })
    }

    /// Takes `[schedule.<name>]` out. `NotFound` where there is none.
    pub fn remove_schedule(&mut self, name: &str) -> Result<()> {
        if !self.configuration.schedule.contains_key(name) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("`{}` has no [schedule.{name}]", self.path.display()),
            )
            .hint("`obbackup schedule list` shows those that there are."));
        }
        self.edit(|document| {
            section_of(document, "schedule")?.remove(name);
            Ok(())
        })
    }

    /// Puts the edits on disk for `owner`, in one step.
    pub fn save(&mut self, owner: Owner) -> Result<()> {
        let mut text = self.document.to_string();
        if !self.exists {
            text = format!("{PREAMBLE}\n{}\n", text.trim());
        }
        write_private(&self.path, text.as_bytes(), owner)?;
        self.exists = true;
        Ok(())
    }

    /// An edit that would make the file unreadable changes nothing.
    fn edit(&mut self, change: impl FnOnce(&mut DocumentMut) -> Result<()>) -> Result<()> {
        let mut document = self.document.clone();
        change(&mut document).map_err(|error| error.context(self.path.display()))?;
        self.configuration = Configuration::parse(&document.to_string(), &self.path)?;
        self.document = document;
        Ok(())
    }
}

fn section_of<'a>(document: &'a mut DocumentMut, name: &str) -> Result<&'a mut Table> {
    document
        .entry(name)
        .or_insert_with(|| Item::Table(Table::new()))
        .as_table_mut()
        .ok_or_else(|| not_a_table(name))
}

/// Writes a setting below its sections, or takes it away.
fn put(document: &mut DocumentMut, key: &str, setting: Option<&serde_json::Value>) -> Result<()> {
    let mut sections: Vec<&str> = key.split('.').collect();
    let last = sections.pop().unwrap_or_default();
    let setting = setting.map(edited_value).transpose()?.flatten();
    let mut table = document.as_table_mut();
    for (depth, name) in sections.iter().enumerate() {
        let parent = depth + 1 < sections.len();
        table = table
            .entry(name)
            .or_insert_with(|| {
                let mut new = Table::new();
                new.set_implicit(parent);
                Item::Table(new)
            })
            .as_table_mut()
            .ok_or_else(|| not_a_table(&sections[..=depth].join(".")))?;
    }
    match setting {
        // In its place, so that a comment behind it stays.
        Some(setting) => match table.get_mut(last).and_then(Item::as_value_mut) {
            Some(old) => {
                let decor = old.decor().clone();
                *old = setting;
                *old.decor_mut() = decor;
            }
            None => {
                table.insert(last, Item::Value(setting));
            }
        },
        None => {
            table.remove(last);
        }
    }
    Ok(())
}

/// `setting` as the file writes it; nothing for null.
fn edited_value(setting: &serde_json::Value) -> Result<Option<toml_edit::Value>> {
    use serde_json::Value as Json;
    let odd = |what: &str| {
        Err(Error::new(
            ErrorKind::Usage,
            format!("a setting cannot be {what}"),
        ))
    };
    Ok(Some(match setting {
        Json::Null => return Ok(None),
        Json::Bool(setting) => (*setting).into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) if !number.is_nan() => number.into(),
            _ => return odd("such a number"),
        },
        // What stands for a secret must not take its place.
        Json::String(text) if text == super::secret::MASK => return odd("the mask of a secret"),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => {
            let mut array = toml_edit::Array::new();
            for item in items {
                match edited_value(item)? {
                    Some(item) => array.push(item),
                    None => return odd("a list with nothing in it"),
                }
            }
            array.into()
        }
        Json::Object(_) => return odd("an object"),
    }))
}

fn not_a_table(name: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("`{name}` is written in one line and cannot be edited"),
    )
    .hint(format!("Write it as a section of its own: [{name}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(directory: &Path) -> Owner {
        Owner::of(directory).unwrap()
    }

    #[test]
    fn comments_and_order_survive_an_edit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("obbackup.toml");
        let text =
            "# ours\n\n[database] # pooler\nport = 5433 # direct\n\n[instance]\nname = 'x'\n";
        std::fs::write(&path, text).unwrap();
        let mut file = ConfigurationFile::open(&path).unwrap();
        assert_eq!(file.warnings().len(), 1, "mode 0644 is worth a word");
        file.set_instance_id("abc").unwrap();
        file.add_repository("main", "/var/backups", false).unwrap();
        file.save(me(directory.path())).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        for kept in [
            "# ours",
            "[database] # pooler",
            "port = 5433 # direct",
            "name = 'x'",
        ] {
            assert!(written.contains(kept), "{written}");
        }
        let file = ConfigurationFile::open(&path).unwrap();
        assert!(file.warnings().is_empty());
        let configuration = file.configuration();
        assert_eq!(configuration.instance.id.as_deref(), Some("abc"));
        assert_eq!(configuration.default_repository.as_deref(), Some("main"));
        assert_eq!(
            configuration.repository(None).unwrap().section.url,
            "/var/backups"
        );
    }

    #[test]
    fn a_schedule_is_edited_where_it_stands() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("obbackup.toml");
        let text = "[schedule.nightly] # ours\ncron = '0 3 * * *' # after the batch\nlabel = 'x'\n\n\
                    [schedule.other]\ncron = '@weekly'\n";
        std::fs::write(&path, text).unwrap();
        let mut file = ConfigurationFile::open(&path).unwrap();
        let section = ScheduleSection {
            cron: "30 2 * * *".to_owned(),
            time_zone: Some("Europe/Madrid".to_owned()),
            only: vec!["database".to_owned()],
            enabled: Some(false),
            ..ScheduleSection::default()
        };
        file.set_schedule("nightly", &section).unwrap();
        file.set_schedule("new", &section).unwrap();
        file.remove_schedule("other").unwrap();
        assert_eq!(
            file.remove_schedule("other").unwrap_err().kind(),
            ErrorKind::NotFound
        );
        file.save(me(directory.path())).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        for kept in [
            "[schedule.nightly] # ours",
            "cron = \"30 2 * * *\" # after the batch",
        ] {
            assert!(written.contains(kept), "{written}");
        }
        let again = ConfigurationFile::open(&path).unwrap();
        let schedules = &again.configuration().schedule;
        assert_eq!(schedules.len(), 2);
        assert_eq!(
            (&schedules["nightly"], &schedules["new"]),
            (&section, &section)
        );
    }

    #[test]
    fn a_new_file_is_private_and_belongs_to_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("obbackup.toml");
        let mut file = ConfigurationFile::open(&path).unwrap();
        assert!(!file.exists());
        file.add_repository("main", "/a", false).unwrap();
        file.add_repository("other", "s3://b/c", false).unwrap();
        file.save(me(directory.path())).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing temporary is left");
        let again = ConfigurationFile::open(&path).unwrap();
        assert_eq!(again.configuration(), file.configuration());
        assert_eq!(
            again.configuration().default_repository.as_deref(),
            Some("main")
        );
    }

    #[test]
    fn a_linked_file_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real.toml");
        let link = directory.path().join("obbackup.toml");
        std::fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut file = ConfigurationFile::open(&link).unwrap();
        file.set_instance_id("abc").unwrap();
        file.save(me(directory.path())).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::fs::read_to_string(&real).unwrap().contains("abc"));
    }

    #[test]
    fn root_writes_for_the_owner_and_follows_no_link_to_another() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give files away");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner {
            uid: 65_534,
            gid: 65_534,
        };
        let path = directory.path().join("obbackup.toml");
        write_private(&path, b"", owner).unwrap();
        assert_eq!(Owner::of(&path).unwrap(), owner);
        let foreign = directory.path().join("roots");
        std::fs::write(&foreign, "kept").unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&foreign, &path).unwrap();
        assert_eq!(
            write_private(&path, b"", owner).unwrap_err().kind(),
            ErrorKind::Denied
        );
        assert_eq!(std::fs::read(&foreign).unwrap(), b"kept");
    }

    #[test]
    fn any_key_can_be_set_and_removed_but_the_file_stays_readable() {
        use serde_json::json;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("obbackup.toml");
        std::fs::write(&path, "[backup]\njobs = 4 # few\n").unwrap();
        let mut file = ConfigurationFile::open(&path).unwrap();
        let mut set = |key: &str, setting| file.set([(key, Some(&setting))]);
        set("backup.jobs", json!(2)).unwrap();
        set("backup.exclude", json!(["a", "b/c"])).unwrap();
        set("repository.main.url", json!("/x \"y\"")).unwrap();
        set("database.system_password", json!("hush")).unwrap();
        for (key, wrong) in [
            ("backup.jobs", json!("many")),
            ("backup.jbos", json!(1)),
            ("backup", json!(1)),
            ("", json!(1)),
            ("repository.main.url", json!(null)),
            ("database.system_password", json!("***")),
            ("database.port", json!({ "a": 1 })),
        ] {
            let refused = set(key, wrong).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Usage, "{key}");
        }
        file.set([("database.system_password", None)]).unwrap();
        let section = json!({ "url": "s3://b/x", "access_key_id": "k", "secret_access_key": "s" });
        let keys = section.as_object().unwrap().iter();
        let keys: Vec<_> = keys
            .map(|(key, value)| (format!("repository.away.{key}"), value))
            .collect();
        let together = keys.iter().map(|(key, value)| (key.as_str(), Some(*value)));
        let but_one: Vec<_> = together.clone().skip(1).collect();
        assert_eq!(file.set(but_one).unwrap_err().kind(), ErrorKind::Usage);
        file.set(together).unwrap();
        file.save(me(directory.path())).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written.contains("jobs = 2 # few"), "{written}");
        assert!(!written.contains("hush"), "{written}");
        let configuration = ConfigurationFile::open(&path)
            .unwrap()
            .configuration()
            .clone();
        assert_eq!(configuration.backup.exclude, ["a", "b/c"]);
        assert_eq!(configuration.repository["main"].url, "/x \"y\"");
        assert_eq!(configuration.database.system_password, None);
    }

    #[test]
    fn what_cannot_be_edited_stays_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("obbackup.toml");
        let text = "instance = { name = 'x' }\n";
        std::fs::write(&path, text).unwrap();
        let mut file = ConfigurationFile::open(&path).unwrap();
        assert_eq!(
            file.set_instance_id("a").unwrap_err().kind(),
            ErrorKind::Usage
        );
        assert_eq!(
            file.add_repository("a/b", "/x", true).unwrap_err().kind(),
            ErrorKind::Usage
        );
        assert_eq!(
            file.add_repository("a", "x", true).unwrap_err().kind(),
            ErrorKind::Usage
        );
        file.save(me(directory.path())).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
