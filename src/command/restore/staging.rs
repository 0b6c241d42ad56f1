//! Where the new files lie until they take the place of the old ones, and the old ones after.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::OWN_DIRECTORY;
use crate::config::Owner;
use crate::error::{IoContext, Result};
use crate::format::manifest::Part;
use crate::instance::Instance;
use crate::instance::state::{PRIVATE, keeping_time, make_directory};
use crate::source::files::Exclusions;
use crate::target::swap::{Areas, Exchange, Fate, Way};

/// The areas of one part, and what in the live tree is not to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The part.
    pub part: Part,
    /// The live tree, the staged one, and where the live one goes.
    pub areas: Areas,
    /// Paths below the root that belong to other parts or to this machine, or are excluded by the configuration.
    foreign: Vec<PathBuf>,
}

impl Stage {
    /// Areas for `part`, whose live tree is or will be at `root`; `run` names this restore.
    pub(super) fn new(instance: &Instance, part: Part, root: &Path, run: &str) -> Result<Self> {
        let area = place(instance, part, root)?
            .join(OWN_DIRECTORY)
            .join(run)
            .join(part.word());
        let mut foreign = instance
            .root(part)
            .map(|root| root.excluded)
            .unwrap_or_default();
        if part == Part::Configuration {
            // This machine's own: it names the repository, among others.
            foreign.push(root.join(crate::config::FILE_NAME));
        }
        Ok(Self {
            part,
            areas: Areas {
                root: root.to_owned(),
                staged: area.join("new"),
                old: area.join("old"),
            },
            foreign: foreign
                .iter()
                .filter_map(|path| path.strip_prefix(root).ok())
                .map(Path::to_owned)
                .collect(),
        })
    }

    /// The areas of `run`, which brings back what this one replaced.
    pub(super) fn undone_by(&self, run: &str) -> Self {
        let area = self
            .area()
            .ancestors()
            .nth(2)
            .unwrap_or_else(|| self.area())
            .join(run)
            .join(self.part.word());
        Self {
            part: self.part,
            areas: Areas {
                root: self.areas.root.clone(),
                staged: self.areas.old.clone(),
                old: area.join("old"),
            },
            foreign: self.foreign.clone(),
        }
    }

    /// The directory that holds the areas.
    pub(super) fn area(&self) -> &Path {
        self.areas.old.parent().unwrap_or(&self.areas.old)
    }

    /// Whether what is staged has to be copied to take its place.
    pub(super) fn is_elsewhere(&self) -> Result<bool> {
        Ok(device(&self.areas.root)? != device(self.area())?)
    }

    /// Makes the directory for the areas.
    pub(super) fn make(&self, owner: Owner) -> Result<()> {
        make_directory(self.area(), owner, PRIVATE)
    }

    /// What would change places.
    pub(super) fn survey(&self) -> Result<Exchange> {
        let rules = match self.part {
            Part::Sources => Exclusions::sources(),
            _ => Exclusions::none(),
        };
        self.areas.survey(&|path| self.fate(&rules, path))
    }

    fn fate(&self, rules: &Exclusions, path: &Path) -> Fate {
        let bytes = path.as_os_str().as_bytes();
        let first = path.components().next();
        let own = first.is_some_and(|name| name.as_os_str() == OWN_DIRECTORY);
        if own || rules.rules_leave_out(bytes) || self.foreign.iter().any(|foreign| foreign == path)
        {
            return Fate::Keep;
        }
        if rules.rules_reach_below(bytes)
            || self.foreign.iter().any(|foreign| foreign.starts_with(path))
        {
            return Fate::Descend;
        }
        Fate::Replace
    }

    /// Deletes what a restore would replace.
    pub(super) fn delete_live(&self) -> Result<()> {
        let exchange = self.survey()?;
        self.areas.prepare(&exchange)?;
        let mut no_copy = |_| Ok(());
        for entry in &exchange.entries {
            self.areas
                .exchange(entry, Way::Forward, None, &mut no_copy)?;
        }
        remove_all(&self.areas.old)
    }

    /// Takes away what was staged, and the areas as far as nothing is in them.
    pub(super) fn remove_staged(&self) -> Result<()> {
        remove_all(&self.areas.staged)?;
        remove_empty(self.area());
        Ok(())
    }

    /// Takes away everything that this run kept or staged.
    pub(super) fn remove(&self) -> Result<()> {
        remove_all(self.area())?;
        remove_empty_parents(self.area());
        Ok(())
    }
}

fn remove_all(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.io_context(|| format!("cannot remove `{}`", path.display())),
    }
}

/// Takes away directories in which there is nothing but directories, and those above them that have become
/// empty.
pub(super) fn remove_empty(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return remove_empty_parents(directory);
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_below(&entry.path());
        }
    }
    if fs::remove_dir(directory).is_ok() {
        remove_empty_parents(directory);
    }
}

fn remove_empty_below(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_below(&entry.path());
        }
    }
    // Refused where a file is in it.
    fs::remove_dir(directory).ok();
}

/// Up to the directory of our own, that one included.
fn remove_empty_parents(directory: &Path) {
    for parent in directory.ancestors().skip(1) {
        let removed = keeping_time(parent, || fs::remove_dir(parent));
        if removed.is_err() || parent.ends_with(OWN_DIRECTORY) {
            return;
        }
    }
}

/// A directory in which areas may lie, if there is one on the same file system as `root`; else the sources,
/// from where everything will be copied.
///
/// Not inside of a web application, whose files Tomcat serves, nor beside one, where Tomcat would deploy
/// them; not inside of `config/`, which a build copies. The sources are the place for both, else
/// Tomcat's own directory; attachments have their own.
fn place(instance: &Instance, part: Part, root: &Path) -> Result<PathBuf> {
    let sources = instance.source_path.as_path();
    let tomcat = root.parent().and_then(Path::parent);
    let candidates: Vec<&Path> = match part {
        Part::Deploy => [Some(sources), tomcat].into_iter().flatten().collect(),
        Part::Attachments | Part::Reprintables if !root.starts_with(sources) => vec![root],
        Part::Attachments | Part::Reprintables => vec![sources, root],
        Part::Sources | Part::Configuration | Part::Database => vec![sources],
    };
    let device = device(root)?;
    for candidate in candidates {
        if self::device(candidate)? == device {
            return Ok(candidate.to_owned());
        }
    }
    Ok(sources.to_owned())
}

/// The device of a path, or of the nearest directory above it that is there.
pub(super) fn device(path: &Path) -> Result<u64> {
    let there = path
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let metadata = there
        .metadata()
        .io_context(|| format!("cannot look at `{}`", there.display()))?;
    Ok(metadata.dev())
}
