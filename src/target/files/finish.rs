//! What can be done only when all files are there: their other names, and the looks of directories.

use rustix::fs::AtFlags;

use super::dress::Dresser;
use super::selection::{Selection, Want};
use crate::error::{IoContext, Result};
use crate::format::file::{FileEntry, Node};
use crate::format::order::refused;
use crate::progress::Progress;
use crate::tree::{Kind, Tree, is_below};

/// Gives files their other names.
pub(super) fn link(
    catalog: impl Iterator<Item = Result<FileEntry>>,
    tree: &Tree,
    selection: &Selection,
    progress: &dyn Progress,
) -> Result<()> {
    let (mut from, mut to) = (tree.place(), tree.place());
    for entry in catalog {
        progress.check()?;
        let entry = entry?;
        let Node::Hardlink { target } = &entry.node else {
            continue;
        };
        if selection.wants(entry.path.as_bytes()) != Want::Whole {
            continue;
        }
        let first = selection.stand_in(target.as_bytes()).unwrap_or(target);
        if *first == entry.path {
            continue;
        }
        let is_file = from
            .stat(first.as_bytes())
            .is_ok_and(|stat| stat.kind == Kind::File);
        if !is_file {
            return Err(refused(&entry, "is another name of what is no file"));
        }
        let cannot = || {
            format!(
                "cannot make the link `{}`",
                tree.display(entry.path.as_bytes())
            )
        };
        let (old, old_name) = from.parent(first.as_bytes()).io_context(cannot)?;
        let (new, new_name) = to.parent(entry.path.as_bytes()).io_context(cannot)?;
        rustix::fs::linkat(old, old_name, new, new_name, AtFlags::empty()).io_context(cannot)?;
    }
    Ok(())
}

/// Sets owner, attributes, mode and time of directories, each after all that is in it: whatever comes
/// into a directory changes its time, and its mode may let nothing more come.
///
/// Holds no more than the directories around the present one, however many there are.
pub(super) fn dress_directories(
    catalog: impl Iterator<Item = Result<FileEntry>>,
    tree: &Tree,
    selection: &Selection,
    dresser: &Dresser,
    progress: &dyn Progress,
) -> Result<()> {
    let mut place = tree.place();
    let mut dress = |entry: FileEntry| {
        let directory = place.open_directory(entry.path.as_bytes()).io_context(|| {
            format!(
                "cannot open the directory `{}`",
                tree.display(entry.path.as_bytes())
            )
        })?;
        dresser.dress(directory, &entry);
        Ok(())
    };
    let mut around: Vec<FileEntry> = Vec::new();
    for entry in catalog {
        progress.check()?;
        let entry = entry?;
        if !matches!(entry.node, Node::Directory)
            || selection.wants(entry.path.as_bytes()) == Want::Nothing
        {
            continue;
        }
        while let Some(left) =
            around.pop_if(|above| !is_below(entry.path.as_bytes(), above.path.as_bytes()))
        {
            dress(left)?;
        }
        around.push(entry);
    }
    while let Some(left) = around.pop() {
        dress(left)?;
    }
    Ok(())
}
