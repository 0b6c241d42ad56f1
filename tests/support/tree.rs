//! Directory trees with everything that a file system can hold, and a comparison by a program that is not ours.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use obbackup::chunk::{ChunkReader, ChunkSink, ChunkSource};
use obbackup::error::{Error, ErrorKind, Result};
use obbackup::format::catalog::entries;
use obbackup::format::file::FileEntry;
use obbackup::format::id::ChunkId;
use obbackup::format::manifest::Catalog;
use obbackup::format::record::Chunkers;
use obbackup::progress::{Progress, Silent};
use obbackup::source::files::{CaptureOptions, Exclusions, FilesCapture, Parent, capture};
use obbackup::target::files::{FilesRestored, RestoreOptions, restore};
use rustix::fs::{Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};

/// Chunks in memory.
#[derive(Default)]
pub struct Store {
    pub chunks: Mutex<HashMap<ChunkId, Vec<u8>>>,
    gets: AtomicUsize,
}

impl Store {
    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.chunks.lock().unwrap().len()
    }

    /// How often a chunk was asked for.
    pub fn gets(&self) -> usize {
        self.gets.load(Ordering::Relaxed)
    }

    /// The entries of a catalog.
    pub fn entries(&self, catalog: &Catalog) -> impl Iterator<Item = Result<FileEntry>> + '_ {
        entries(ChunkReader::new(self, &catalog.chunks))
    }

    /// The bytes of a catalog.
    pub fn catalog_bytes(&self, catalog: &Catalog) -> Vec<u8> {
        let chunks = catalog.chunks.iter();
        chunks.flat_map(|id| self.get(id).unwrap()).collect()
    }

    /// All entries of a catalog.
    pub fn all(&self, catalog: &Catalog) -> Vec<FileEntry> {
        self.entries(catalog).collect::<Result<_>>().unwrap()
    }

    /// Captures a tree, after `parent` where there is one.
    pub fn capture(&self, root: &Path, parent: Option<&FilesCapture>) -> FilesCapture {
        let parent = parent.map(|parent| -> Parent<'_> { Box::new(self.entries(&parent.catalog)) });
        let options = CaptureOptions::default();
        capture(root, &Exclusions::none(), parent, options, self, &Silent).unwrap()
    }

    /// Restores a captured tree.
    pub fn restore(&self, captured: &FilesCapture, root: &Path) -> FilesRestored {
        let catalog = || Ok(self.entries(&captured.catalog));
        restore(
            self,
            catalog,
            root,
            None,
            RestoreOptions::default(),
            &Silent,
        )
        .unwrap()
    }
}

impl ChunkSink for Store {
    fn put(&self, plain: &[u8]) -> Result<ChunkId> {
        let id = ChunkId::of(plain);
        let mut chunks = self.chunks.lock().unwrap();
        chunks.entry(id).or_insert_with(|| plain.to_vec());
        Ok(id)
    }

    fn has(&self, id: &ChunkId) -> bool {
        self.chunks.lock().unwrap().contains_key(id)
    }

    fn chunkers(&self) -> Chunkers {
        Chunkers::default()
    }
}

impl ChunkSource for Store {
    fn get(&self, id: &ChunkId) -> Result<Vec<u8>> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        let chunks = self.chunks.lock().unwrap();
        let chunk = chunks.get(id).cloned();
        chunk.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no chunk {id}")))
    }
}

/// Runs `work` as a user without rights, if that can be; the threads that it starts are the same user's.
pub fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if is_root() {
                let (uid, gid) = (Uid::from_raw(54_321), Gid::from_raw(54_321));
                rustix::thread::set_thread_groups(&[]).unwrap();
                rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            }
            work()
        });
        thread.join().unwrap()
    })
}

/// Calls `act` with the number of the call each time that the work asks whether it should stop: between any
/// two steps of it.
pub struct Between<F>(pub F, pub AtomicUsize);

impl<F: Fn(usize) + Send + Sync> Progress for Between<F> {
    fn stage(&self, _name: &str, _total_bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn warn(&self, _message: &str) {}
    fn is_cancelled(&self) -> bool {
        (self.0)(self.1.fetch_add(1, Ordering::SeqCst));
        false
    }
}

/// Fails unless two trees are the same to GNU tar: names, kinds, contents, holes, links, modes, owners,
/// times to the nanosecond, attributes and access lists.
pub fn assert_same(left: &Path, right: &Path) {
    if archive_digest(left) == archive_digest(right) {
        return;
    }
    let (left, right) = (listing(left), listing(right));
    let differing: Vec<_> = left
        .lines()
        .map(|line| (left.as_str(), line, right.as_str(), '-'))
        .chain(
            right
                .lines()
                .map(|line| (right.as_str(), line, left.as_str(), '+')),
        )
        .filter(|(_, line, other, _)| !other.lines().any(|there| there == *line))
        .map(|(_, line, _, sign)| format!("{sign} {line}"))
        .take(20)
        .collect();
    panic!("the trees differ:\n{}", differing.join("\n"));
}

fn archive_digest(root: &Path) -> String {
    let mut tar = Command::new("tar")
        .args([
            "--create",
            "--file=-",
            "--sort=name",
            "--format=posix",
            "--sparse",
            "--sparse-version=0.0",
        ])
        .args(["--numeric-owner", "--xattrs", "--xattrs-include=*"])
        .arg("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime")
        .arg("--directory")
        .arg(root)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let digest = Command::new("sha256sum")
        .stdin(tar.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(tar.wait().unwrap().success());
    String::from_utf8(digest.stdout).unwrap()
}

fn listing(root: &Path) -> String {
    let format = r"%P|%y|%m|%U:%G|%s|%b blocks|%T@|%n names|%l\n";
    let find = Command::new("find")
        .arg(root)
        .args(["-printf", format])
        .output();
    String::from_utf8_lossy(&find.unwrap().stdout).into_owned()
}

/// Sets a time of change.
pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(seconds, nanoseconds),
        last_modification: time(seconds, nanoseconds),
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}

/// Whether the tests may set any owner.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let digests =
        (0u64..).flat_map(|n| *ChunkId::of(&[seed, n].map(u64::to_le_bytes).concat()).as_bytes());
    digests.take(length).collect()
}

/// A file of `size` with `data` at the given offsets and holes elsewhere.
pub fn sparse_file(path: &Path, size: u64, data: &[(u64, &[u8])]) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (offset, bytes) in data {
        file.write_all_at(bytes, *offset).unwrap();
    }
}

/// Makes directories below one another until their path is at least `length` bytes long, with a file in the
/// last; far beyond what a path may have.
pub fn deep(root: &Path, length: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut directory: OwnedFd = rustix::fs::open(root, flags, Mode::empty()).unwrap();
    let mut total = 0;
    let name = "d".repeat(100);
    while total < length {
        rustix::fs::mkdirat(&directory, &name, Mode::from_raw_mode(0o755)).unwrap();
        directory = rustix::fs::openat(&directory, &name, flags, Mode::empty()).unwrap();
        total += name.len() + 1;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = rustix::fs::openat(&directory, "last", flags, Mode::from_raw_mode(0o640)).unwrap();
    fs::File::from(file).write_all(b"at the end").unwrap();
}

/// Fills `root`, which is empty, with what is rare and has to survive all the same.
#[allow(clippy::too_many_lines)] // A list, with nothing to decide.
pub fn odd_tree(root: &Path) {
    let at = |name: &str| root.join(name);
    let write = |name: &str, bytes: &[u8]| fs::write(at(name), bytes).unwrap();
    fs::create_dir(at("plain")).unwrap();
    write("plain/text", b"Some text.\n");
    write("plain/empty", b"");
    write("plain/large", &noise(1, 3 << 20));
    write("plain/limit", &noise(2, 64 << 10));
    write("plain/over limit", &noise(3, (64 << 10) + 1));
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("order")).unwrap();
    for name in ["a", "a.b", "a b", "a-", "A", "\u{e4}", "z"] {
        write(&format!("order/{name}"), name.as_bytes());
    }
    fs::create_dir(at("order/a!")).unwrap();
    write("order/a!/inside", b"x");

    // Names.
    let name = |bytes: &[u8]| at("names").join(OsString::from_vec(bytes.to_vec()));
    fs::create_dir(at("names")).unwrap();
    fs::write(name(b"\xff\xfe not utf-8"), b"1").unwrap();
    fs::create_dir(name(b"dir \xc3\x28")).unwrap();
    fs::write(name(b"dir \xc3\x28/\x80"), b"2").unwrap();
    fs::write(name(b"new\nline\ttab \x1b[31m"), b"3").unwrap();
    fs::write(name(b"quote\"'\\ $(x) *"), b"4").unwrap();
    fs::write(name(&[b'n'; 255]), b"5").unwrap();
    fs::write(name(&[0xff; 255]), b"6").unwrap();
    let mut dots = b"..".to_vec();
    dots.extend_from_slice(&[b'.'; 200]);
    fs::write(name(&dots), b"7").unwrap();
    deep(root, 9000);

    // Links.
    fs::create_dir(at("links")).unwrap();
    symlink("../plain/text", at("links/relative")).unwrap();
    symlink("/etc/passwd", at("links/absolute")).unwrap();
    symlink("nowhere", at("links/dangling")).unwrap();
    symlink("../plain", at("links/to directory")).unwrap();
    symlink(OsStr::from_bytes(b"\xff"), at("links/to bytes")).unwrap();
    symlink("t".repeat(4095), at("links/to far away")).unwrap();
    fs::hard_link(at("plain/text"), at("links/hard")).unwrap();
    fs::hard_link(at("plain/large"), at("links/hard large")).unwrap();
    fs::hard_link(at("plain/text"), at("zz other name")).unwrap();

    // Holes.
    fs::create_dir(at("sparse")).unwrap();
    sparse_file(&at("sparse/nothing"), 1 << 20, &[]);
    sparse_file(&at("sparse/small"), 100 << 10, &[(50 << 10, b"middle")]);
    sparse_file(
        &at("sparse/10 GB"),
        10_000_000_000,
        &[(0, b"start"), (5_000_000_000, b"x")],
    );
    sparse_file(
        &at("sparse/end"),
        10 << 20,
        &[((10 << 20) - 4096, &[7; 4096])],
    );
    sparse_file(&at("sparse/start"), 10 << 20, &[(0, &noise(4, 1 << 20))]);

    // Attributes; where the file system has none there are none to lose.
    let attribute = |name: &str, key: &str, value: &[u8]| {
        let set = rustix::fs::lsetxattr(at(name), key, value, XattrFlags::empty());
        if let Err(errno) = set {
            println!("SKIPPED attribute {key}: {errno}");
        }
    };
    fs::create_dir(at("attributes")).unwrap();
    write("attributes/file", b"x");
    write("attributes/large", &noise(5, 200 << 10));
    write("attributes/read only", b"x");
    // In the order of their names: tar shows them in the order in which they were set.
    let rows = [
        (1, 6, u32::MAX),
        (2, 6, 12345),
        (4, 4, u32::MAX),
        (16, 6, u32::MAX),
        (32, 0, u32::MAX),
    ];
    let access = access_list(&rows);
    attribute("attributes", "system.posix_acl_default", &access);
    attribute("attributes", "user.directory", b"yes");
    if is_root() {
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        attribute("attributes/large", "security.capability", &capability);
    }
    attribute("attributes/large", "user.bytes", &[0, 255, 10, 13]);
    attribute("attributes/file", "system.posix_acl_access", &access);
    if is_root() {
        attribute("attributes/file", "trusted.one", b"1");
    }
    attribute("attributes/file", "user.empty", b"");
    attribute("attributes/file", "user.one", b"1");
    attribute("attributes/read only", "user.one", b"1");

    // Modes, owners and times.
    fs::create_dir(at("modes")).unwrap();
    for (index, mode) in [
        0o000, 0o200, 0o444, 0o640, 0o755, 0o777, 0o1777, 0o2755, 0o4755, 0o6711,
    ]
    .into_iter()
    .enumerate()
    {
        let (file, directory) = (format!("modes/f{index}"), format!("modes/d{index}"));
        write(&file, b"mode");
        fs::create_dir(at(&directory)).unwrap();
        write(&format!("{directory}/inside"), b"in");
        if is_root() {
            let owner = |n: usize| Some(u32::try_from(n).unwrap() + 3_000_000);
            for name in [&file, &directory] {
                let (uid, gid) = (
                    owner(index).map(Uid::from_raw),
                    owner(index + 7).map(Gid::from_raw),
                );
                rustix::fs::chown(at(name), uid, gid).unwrap();
            }
        }
        let readable = if is_root() { mode } else { mode | 0o500 };
        for name in [file, directory] {
            fs::set_permissions(at(&name), fs::Permissions::from_mode(readable)).unwrap();
        }
    }
    if is_root() {
        rustix::fs::chown(
            at("plain/text"),
            Some(Uid::from_raw(1)),
            Some(Gid::from_raw(1)),
        )
        .unwrap();
    }
    fs::set_permissions(
        at("attributes/read only"),
        fs::Permissions::from_mode(0o400),
    )
    .unwrap();
    set_mtime(&at("plain/text"), 1_000_000_000, 123_456_789);
    set_mtime(&at("plain/large"), -86_400, 1);
    set_mtime(&at("plain/empty"), 0, 0);
    set_mtime(&at("links/dangling"), 4_000_000_000, 999_999_999);
    set_mtime(&at("modes/d0"), 1, 1);
    set_mtime(&at("empty"), 1_234_567_890, 5);
    set_mtime(root, 1_111_111_111, 42);
}

/// A POSIX access list as the kernel takes it: tag, rights, id.
fn access_list(rows: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, rights, id) in rows {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&rights.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}
