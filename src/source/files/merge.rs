//! The beginning of a capture: walks the tree beside the parent's catalog and decides what is to be read.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::io::Errno;

use super::read::{Job, Member, SMALL_LIMIT_BYTES, bundled_bytes};
use super::{CaptureOptions, Exclusions, Note, Outcome, Parent, describe, path_hash};
use crate::chunk::ChunkSink;
use crate::error::{Error, Result};
use crate::format::bytes::ByteString;
use crate::format::file::{Content, FileEntry, Node, Seen, Time, compare_paths};
use crate::format::id::ChunkId;
use crate::format::order::Directories;
use crate::progress::Progress;
use crate::tree::{Attributes, Kind, Names, Stat, Tree, Walk, read_attributes};

/// Slots that may wait for their turn.
pub(super) const SLOT_LIMIT: usize = 16 << 10;
/// A bundle is closed before it holds back more: else those behind it could fill all that may wait.
const WINDOW_SLOT_LIMIT: usize = SLOT_LIMIT / 2;
/// Bundles are about this large.
const BUNDLE_BYTES: u64 = 512 << 10;
/// No bundle is larger, but for the last file.
const BUNDLE_LIMIT_BYTES: u64 = 2 << 20;

/// What comes next in the catalog.
pub(super) enum Slot {
    /// An entry that is known.
    Entry(FileEntry),
    /// Another name of a file that comes before.
    Link(FileEntry),
    /// The members of a bundle, each in its place.
    Bundle(Receiver<Result<Vec<Outcome>>>),
    /// The next member of the last bundle.
    Member,
    /// A file that is read by itself.
    Large(Receiver<Result<Outcome>>),
    /// Nothing for the catalog.
    Note(Note),
}

/// Small files that become one bundle.
struct Window {
    members: Vec<Member>,
    /// The entries of those that are unchanged.
    unchanged: Vec<FileEntry>,
    slots: usize,
    answer: Sender<Result<Vec<Outcome>>>,
}

/// Tells names of one file from files that got a number again: these have another time or size.
type Linked = (u64, u64, u64, Time);

pub(super) struct Merge<'a, 'p, S: ?Sized> {
    tree: &'a Tree,
    rules: &'a Exclusions,
    options: CaptureOptions,
    sink: &'a S,
    progress: &'a dyn Progress,
    slots: Sender<Slot>,
    jobs: Sender<Job>,
    walk: Walk<'a>,
    names: Names,
    parent: Option<Parent<'p>>,
    /// The parent's next entry.
    ahead: Option<FileEntry>,
    /// The directories around the last entry that was passed on.
    directories: Directories,
    window: Option<Window>,
    gathered_bytes: u64,
    /// Bundles of the parent of which a member is no longer what or where it was.
    broken: HashSet<ChunkId>,
    /// The first name of each file that has more, and how many were not met yet.
    links: HashMap<Linked, (Vec<u8>, u64)>,
    /// Files of an earlier pass whose path holds something else by now. A file that lost another name
    /// counts as such: its number alone does not tell it from a new file that got the number.
    replaced: HashMap<Vec<u8>, FileEntry>,
    /// Devices that were met, and whether they are the kernel's own.
    devices: HashMap<u64, bool>,
    excluded: Vec<ByteString>,
}

/// The other side has stopped; its error is the one that counts.
fn gone<T>(_: T) -> Error {
    Error::cancelled()
}

impl<'a, 'p, S: ChunkSink + ?Sized> Merge<'a, 'p, S> {
    pub(super) fn new(
        tree: &'a Tree,
        rules: &'a Exclusions,
        parent: Option<Parent<'p>>,
        options: CaptureOptions,
        sink: &'a S,
        progress: &'a dyn Progress,
        (slots, jobs): (Sender<Slot>, Sender<Job>),
    ) -> Self {
        Self {
            tree,
            rules,
            options,
            sink,
            progress,
            slots,
            jobs,
            walk: Walk::new(tree),
            names: Names::default(),
            parent,
            ahead: None,
            directories: Directories::default(),
            window: None,
            gathered_bytes: 0,
            broken: HashSet::new(),
            links: HashMap::new(),
            replaced: HashMap::new(),
            devices: HashMap::new(),
            excluded: Vec::new(),
        }
    }

    /// Goes through the tree; the paths that were left out.
    pub(super) fn run(mut self) -> Result<Vec<ByteString>> {
        self.step_parent()?;
        while let Some((path, stat)) = self.walk.next_entry() {
            self.progress.check()?;
            let previous = self.parent_at(&path)?;
            match stat {
                Ok(stat) if self.rules.leaves_out(&path, &stat) => {
                    self.break_bundle(previous.as_ref());
                    self.excluded.push(ByteString(path));
                }
                Ok(stat) => self.found(path, &stat, previous)?,
                Err(errno) => self.lost(&path, errno, previous)?,
            }
        }
        while let Some(entry) = self.ahead.take() {
            self.step_parent()?;
            self.vanished(entry)?;
        }
        self.close_window()?;
        Ok(self.excluded)
    }

    /// Reads on in the parent. One that cannot be read saves nothing; only an earlier pass must be.
    fn step_parent(&mut self) -> Result<()> {
        let next = self.parent.as_mut().and_then(Iterator::next);
        self.ahead = match next.transpose() {
            Ok(entry) => entry,
            Err(error) if self.options.keep_vanished => return Err(error),
            Err(error) => {
                self.parent = None;
                self.note(Note::new(format!(
                    "the parent backup's catalog cannot be read, so every file is: {error}"
                )))?;
                None
            }
        };
        Ok(())
    }

    /// The parent's entry at `path`; those before it have vanished.
    fn parent_at(&mut self, path: &[u8]) -> Result<Option<FileEntry>> {
        while let Some(entry) = self.ahead.take() {
            match compare_paths(entry.path.as_bytes(), path) {
                Ordering::Less => {
                    self.step_parent()?;
                    self.vanished(entry)?;
                }
                Ordering::Equal => {
                    self.step_parent()?;
                    return Ok(Some(entry));
                }
                Ordering::Greater => {
                    self.ahead = Some(entry);
                    break;
                }
            }
        }
        Ok(None)
    }

    fn break_bundle(&mut self, previous: Option<&FileEntry>) {
        if let Some(FileEntry {
            node: Node::File(content),
            ..
        }) = previous
            && let Some(bundle) = content.bundle
        {
            self.broken.insert(bundle.chunk);
        }
    }

    /// An entry of the parent that is not there any more.
    fn vanished(&mut self, mut entry: FileEntry) -> Result<()> {
        if !self.options.keep_vanished {
            self.break_bundle(Some(&entry));
            return Ok(());
        }
        if !self.directories.surround(entry.path.as_bytes()) {
            let shown = self.tree.display(entry.path.as_bytes());
            return self.note(Note::new(format!(
                "`{shown}` vanished while the backup went on, and its directory is none any more: left out"
            )));
        }
        // The name that this one refers to may hold something else by now.
        if let Node::Hardlink { target } = &entry.node
            && let Some(first) = self.replaced.get(&target.0)
        {
            entry = FileEntry {
                path: entry.path,
                ..first.clone()
            };
        }
        self.pass(entry)
    }

    /// Passes on an entry that is known.
    fn pass(&mut self, entry: FileEntry) -> Result<()> {
        let is_directory = matches!(entry.node, Node::Directory);
        self.directories.surround(entry.path.as_bytes());
        if is_directory {
            self.directories.enter(entry.path.as_bytes());
        }
        self.send(Slot::Entry(entry))
    }

    fn send(&mut self, slot: Slot) -> Result<()> {
        self.slots.send(slot).map_err(gone)?;
        if let Some(window) = &mut self.window {
            window.slots += 1;
            if window.slots >= WINDOW_SLOT_LIMIT {
                self.close_window()?;
            }
        }
        Ok(())
    }

    fn note(&mut self, note: Note) -> Result<()> {
        self.send(Slot::Note(note))
    }

    /// Something whose name was read and that cannot be looked at.
    fn lost(&mut self, path: &[u8], errno: Errno, previous: Option<FileEntry>) -> Result<()> {
        let shown = self.tree.display(path);
        let note = match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE => {
                Note::new(format!("`{shown}` vanished before it could be read"))
            }
            errno => {
                let error = std::io::Error::from(errno);
                Note::partial(format!("cannot read `{shown}`: {error}"))
            }
        };
        match previous {
            Some(entry) if self.options.keep_vanished => {
                if note.partial {
                    self.note(note)?;
                }
                self.vanished(entry)
            }
            previous => {
                self.break_bundle(previous.as_ref());
                self.note(note)
            }
        }
    }

    fn found(&mut self, path: Vec<u8>, stat: &Stat, previous: Option<FileEntry>) -> Result<()> {
        if self.options.keep_vanished
            && let Some(entry) = &previous
            && matches!(entry.node, Node::File(_))
            && !is_unchanged(entry, stat)
        {
            self.replaced.insert(path.clone(), entry.clone());
        }
        match stat.kind {
            Kind::Directory => {
                self.break_bundle(previous.as_ref());
                self.directory(&path, stat, previous)
            }
            Kind::File => self.file(path, stat, previous),
            Kind::Symlink => {
                self.break_bundle(previous.as_ref());
                match self.walk.place().read_link(&path) {
                    Ok(target) => {
                        let target = ByteString(target);
                        let node = Node::Symlink { target };
                        let entry =
                            describe(&path, node, stat, Attributes::new(), &mut self.names, None);
                        self.pass(entry)
                    }
                    // EINVAL: it is no link any more.
                    Err(Errno::INVAL) => self.lost(&path, Errno::NOENT, previous),
                    Err(errno) => self.lost(&path, errno, previous),
                }
            }
            Kind::Special(word) => {
                let shown = self.tree.display(&path);
                self.note(Note::new(format!("`{shown}` is a {word}: skipped")))?;
                match previous {
                    Some(entry) => self.vanished(entry),
                    None => Ok(()),
                }
            }
        }
    }

    fn directory(&mut self, path: &[u8], stat: &Stat, previous: Option<FileEntry>) -> Result<()> {
        let shown = |merge: &Self| merge.tree.display(path);
        if self.is_kernels_own(path, stat) {
            let note = format!(
                "`{}` is a file system of the kernel's own: skipped",
                shown(self)
            );
            self.note(Note::new(note))?;
            let entry = describe(
                path,
                Node::Directory,
                stat,
                Attributes::new(),
                &mut self.names,
                None,
            );
            return self.pass(entry);
        }
        let entered = self.walk.enter(path).and_then(|directory| {
            let stat = Stat::of(&directory)?;
            let xattrs = read_attributes(&directory)?;
            Ok((stat, xattrs))
        });
        let (stat, xattrs) = match entered {
            Ok((stat, xattrs)) => (stat, xattrs),
            Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE)) => {
                return self.lost(path, errno, previous);
            }
            // Its own name, owner and mode are known all the same.
            Err(errno) => {
                let error = std::io::Error::from(errno);
                let note = format!("cannot read the directory `{}`: {error}", shown(self));
                self.note(Note::partial(note))?;
                (*stat, Attributes::new())
            }
        };
        let entry = describe(path, Node::Directory, &stat, xattrs, &mut self.names, None);
        self.pass(entry)
    }

    /// Whether what is mounted there is made by the kernel and holds no data of anybody's.
    fn is_kernels_own(&mut self, path: &[u8], stat: &Stat) -> bool {
        if let Some(known) = self.devices.get(&stat.device) {
            return *known;
        }
        let kind = self
            .walk
            .place()
            .open_directory(path)
            .and_then(rustix::fs::fstatfs);
        // The type is signed on some architectures, the numbers are the same.
        #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
        let own = kind.is_ok_and(|kind| KERNELS_OWN.contains(&(kind.f_type as u32)));
        self.devices.insert(stat.device, own);
        own
    }

    fn file(&mut self, path: Vec<u8>, stat: &Stat, previous: Option<FileEntry>) -> Result<()> {
        if let Some(entry) = self.other_name(&path, stat) {
            self.break_bundle(previous.as_ref());
            if let (true, Some(earlier)) = (self.options.keep_vanished, previous)
                && matches!(earlier.node, Node::File(_))
            {
                self.replaced.insert(path, earlier);
            }
            self.directories.surround(entry.path.as_bytes());
            return self.send(Slot::Link(entry));
        }
        self.directories.surround(&path);
        let unchanged = match &previous {
            Some(entry) if !self.options.reread_all && is_unchanged(entry, stat) => {
                let (node, xattrs) = (entry.node.clone(), entry.xattrs.clone());
                Some(describe(
                    &path,
                    node,
                    stat,
                    xattrs,
                    &mut self.names,
                    entry.seen,
                ))
            }
            _ => None,
        };
        if unchanged.is_none() {
            self.break_bundle(previous.as_ref());
        }
        let kept = previous
            .filter(|entry| self.options.keep_vanished && matches!(entry.node, Node::File(_)));
        let is_small = stat.size_bytes <= SMALL_LIMIT_BYTES;
        let bytes = bundled_bytes(&path, stat.size_bytes);
        let ends_bundle = is_small && ends_bundle(&path, bytes);
        match unchanged {
            Some(entry) if !is_in_bundle(&entry) && self.is_stored(&entry) => {
                self.send(Slot::Entry(entry))?;
            }
            unchanged if is_small => self.small(Member { path, kept }, unchanged)?,
            _ => {
                let (answer, outcome) = bounded(1);
                self.send(Slot::Large(outcome))?;
                let job = Job::Large(Box::new(Member { path, kept }), answer);
                self.jobs.send(job).map_err(gone)?;
            }
        }
        if is_small {
            self.gathered_bytes += bytes;
            if ends_bundle || self.gathered_bytes >= BUNDLE_LIMIT_BYTES {
                self.close_window()?;
            }
        }
        Ok(())
    }

    /// The entry for a name of a file that was met under another one before.
    fn other_name(&mut self, path: &[u8], stat: &Stat) -> Option<FileEntry> {
        if stat.links < 2 {
            return None;
        }
        let linked = (stat.device, stat.inode, stat.size_bytes, stat.mtime);
        let Some((first, left)) = self.links.get_mut(&linked) else {
            let first = (path.to_vec(), stat.links - 1);
            self.links.insert(linked, first);
            return None;
        };
        let target = ByteString(first.clone());
        *left -= 1;
        if *left == 0 {
            self.links.remove(&linked);
        }
        let node = Node::Hardlink { target };
        Some(describe(
            path,
            node,
            stat,
            Attributes::new(),
            &mut self.names,
            None,
        ))
    }

    fn is_stored(&self, entry: &FileEntry) -> bool {
        let Node::File(Content { bundle, chunks, .. }) = &entry.node else {
            return false;
        };
        let mut ids = chunks
            .iter()
            .chain(bundle.as_ref().map(|bundle| &bundle.chunk));
        ids.all(|id| self.sink.has(id))
    }

    fn small(&mut self, member: Member, unchanged: Option<FileEntry>) -> Result<()> {
        if self.window.is_none() {
            let (answer, outcomes) = bounded(1);
            self.send(Slot::Bundle(outcomes))?;
            self.window = Some(Window {
                members: Vec::new(),
                unchanged: Vec::new(),
                slots: 0,
                answer,
            });
        }
        if let Some(window) = &mut self.window {
            window.members.push(member);
            window.unchanged.extend(unchanged);
        }
        self.send(Slot::Member)
    }

    /// Ends the bundle that is being gathered: takes the parent's over if it holds these very files,
    /// else has the files read.
    fn close_window(&mut self) -> Result<()> {
        self.gathered_bytes = 0;
        let Some(window) = self.window.take() else {
            return Ok(());
        };
        let Window {
            members,
            unchanged,
            answer,
            ..
        } = window;
        if unchanged.len() == members.len()
            && let Some(bundle) = common_bundle(&unchanged)
            && !self.broken.contains(&bundle)
            && self.sink.has(&bundle)
        {
            let taken_over = |entry| Outcome::Entry {
                entry,
                read: false,
                note: None,
            };
            let outcomes = unchanged.into_iter().map(taken_over).collect();
            answer.send(Ok(outcomes)).ok();
            return Ok(());
        }
        // Where a new file ends this bundle earlier, the rest of the old one must not be taken over: it
        // would go on holding what lies here now.
        for entry in &unchanged {
            self.break_bundle(Some(entry));
        }
        self.jobs.send(Job::Bundle(members, answer)).map_err(gone)
    }
}

/// Whether what is there now is the very file that the parent's entry is of, untouched.
fn is_unchanged(entry: &FileEntry, stat: &Stat) -> bool {
    let Node::File(content) = &entry.node else {
        return false;
    };
    let seen = Seen {
        inode: stat.inode,
        ctime: stat.ctime,
    };
    stat.kind == Kind::File
        && content.size == stat.size_bytes
        && entry.mtime == stat.mtime
        && entry.seen == Some(seen)
}

fn is_in_bundle(entry: &FileEntry) -> bool {
    matches!(&entry.node, Node::File(content) if content.bundle.is_some())
}

/// The one bundle that all entries lie in.
fn common_bundle(entries: &[FileEntry]) -> Option<ChunkId> {
    let bundle = |entry: &FileEntry| match &entry.node {
        Node::File(content) => content.bundle.map(|bundle| bundle.chunk),
        _ => None,
    };
    let first = bundle(entries.first()?)?;
    entries
        .iter()
        .all(|entry| bundle(entry) == Some(first))
        .then_some(first)
}

/// Whether a bundle ends with the file at `path`, which takes `bytes` in it.
///
/// Depends on this file alone, so that one that is added, changed or removed moves no border but its
/// own. The chance grows with the bytes: bundles are [`BUNDLE_BYTES`] long on average, whatever
/// the files' sizes are.
fn ends_bundle(path: &[u8], bytes: u64) -> bool {
    u128::from(path_hash(path)) * u128::from(BUNDLE_BYTES) < u128::from(bytes) << 64
}

/// proc, sysfs, cgroup 1 and 2, devpts, debugfs, tracefs, securityfs, pstore, bpf, configfs,
/// efivarfs, mqueue, fusectl, selinuxfs, `rpc_pipefs`, nsfs: `include/uapi/linux/magic.h`.
const KERNELS_OWN: &[u32] = &[
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x6165_676c,
    0xcafe_4a11,
    0x6265_6570,
    0xde5e_81e4,
    0x1980_0202,
    0x6573_5543,
    0xf97c_ff8c,
    0x6759_6969,
    0x6e73_6673,
];
