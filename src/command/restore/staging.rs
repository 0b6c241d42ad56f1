//! Where the new files lie until they take the place of the old ones, and the old ones after.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::command::OWN_DIRECTORY;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::format::manifest::Part;
use crate::instance::Instance;
use crate::source::files::Exclusions;
use crate::target::swap::{Fate, Swap};

/// The areas of one part, and what in the live tree is not to be replaced.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) swap: Swap,
    /// Paths below the root that belong to other parts or to this machine, or are excluded by the configuration.
    foreign: Vec<PathBuf>,
    rules: Exclusions,
}

impl Stage {
    /// Areas for `part`, whose live tree is or will be at `root`; `run` names this restore.
    pub(super) fn new(instance: &Instance, part: Part, root: &Path, run: &str) -> Result<Self> {
        let base = place(instance, part, root)?;
        let area = base.join(OWN_DIRECTORY).join(run).join(part.word());
        let foreign = instance
            .root(part)
            .map(|root| root.excluded)
            .unwrap_or_default();
        Ok(Self {
            swap: Swap {
                root: root.to_owned(),
                staged: area.join("new"),
                old: area.join("old"),
            },
            foreign: foreign
                .iter()
                .filter_map(|path| path.strip_prefix(root).ok())
                .map(Path::to_owned)
                .collect(),
            rules: match part {
                Part::Sources => Exclusions::sources(),
                _ => Exclusions::none(),
            },
        })
    }

    /// What happens to a path of the live tree.
    pub(super) fn fate(&self, path: &Path) -> Fate {
        let bytes = path.as_os_str().as_bytes();
        let first = path.components().next();
        let own = first.is_some_and(|name| name.as_os_str() == OWN_DIRECTORY);
        if own
            || self.rules.rules_leave_out(bytes)
            || self.foreign.iter().any(|foreign| foreign == path)
        {
            return Fate::Keep;
        }
        if self.rules.rules_reach_below(bytes)
            || self.foreign.iter().any(|foreign| foreign.starts_with(path))
        {
            return Fate::Descend;
        }
        Fate::Replace
    }
}

/// A directory on the same file system as `root`, in which areas may lie.
///
/// Not inside of a web application, whose files Tomcat serves, nor beside one, where Tomcat would deploy
/// them; not inside of `config/`, which a build copies. The sources are the place for both, else
/// Tomcat's own directory; attachments have their own.
fn place(instance: &Instance, part: Part, root: &Path) -> Result<PathBuf> {
    let tomcat = root.parent().and_then(Path::parent);
    let candidates: Vec<&Path> = match part {
        Part::Deploy => [Some(instance.source_path.as_path()), tomcat]
            .into_iter()
            .flatten()
            .collect(),
        Part::Attachments | Part::Reprintables => {
            let inside = root.starts_with(&instance.source_path);
            if inside {
                vec![&instance.source_path, root]
            } else {
                vec![root]
            }
        }
        Part::Sources | Part::Configuration | Part::Database => vec![&instance.source_path],
    };
    let device = device(root)?;
    let mut tried = Vec::new();
    for candidate in candidates {
        if self::device(candidate)? == device {
            return Ok(candidate.to_owned());
        }
        tried.push(candidate.display().to_string());
    }
    Err(Error::new(
        ErrorKind::Usage,
        format!(
            "`{}` lies on another file system than {}: what is staged there could not take its place",
            root.display(),
            tried.join(" and ")
        ),
    )
    .hint(format!(
        "Restore it beside with `--to-directory` and move it by hand, or leave {part} out with --only."
    )))
}

/// The device of a path, or of the nearest directory above it that is there.
fn device(path: &Path) -> Result<u64> {
    let there = path
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let metadata = there
        .metadata()
        .io_context(|| format!("cannot look at `{}`", there.display()))?;
    Ok(metadata.dev())
}
