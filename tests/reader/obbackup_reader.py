#!/usr/bin/env python3
"""Reads repositories of obbackup without obbackup: the recovery of last resort.

    obbackup_reader.py list    REPOSITORY
    obbackup_reader.py verify  REPOSITORY
    obbackup_reader.py restore REPOSITORY ID|latest DIRECTORY

Needs Python 3.9, the program `zstd`, and restore_script.py beside it; written from docs/format.md. Every byte is
compared with its SHA-256 before it is used. What is damaged is named and left out, the rest is restored all the same,
and the exit code is 1. Restore as root to get owners back.

`restore` makes DIRECTORY/sources and so on, and DIRECTORY/database with a script `restore.sh` that loads it into a new
database. Nothing that exists is written to.
"""

import collections
import contextlib
import functools
import grp
import gzip
import hashlib
import json
import os
import pathlib
import pwd
import re
import subprocess
import sys
import tarfile
import zlib

from restore_script import DatabaseFiles

VERSION = 1
CODECS = {"": "plain", ".zst": "zstd", ".gz": "gzip"}
TABLE_OF_CONTENTS = "toc.json.gz"


class Problem(Exception):
    """Something is damaged, or not for this program to read; the text says why."""


# What any damage can cause in the code below, whose input is proven first but may be a stranger's.
TROUBLE = (Problem, OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError)
lost, notes = [], set()


@contextlib.contextmanager
def losing(what):
    """Names `what` as lost if it cannot be had, and goes on."""
    try:
        yield
    except TROUBLE as error:
        lost.append(what)
        plain = isinstance(error, (Problem, OSError))
        print(f"LOST {what}: {error if plain else f'it cannot be understood: {error!r}'}", file=sys.stderr)


def note(text):
    if text not in notes:
        notes.add(text)
        print(f"note: {text}", file=sys.stderr)


# ---- Objects, which prove themselves ---------------------------------------------------------------------------------


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read_sealed(path):
    """A small JSON object that ends in its own checksum."""
    sealed = re.fullmatch(rb'(.*),"sha256":"([0-9a-f]{64})"}\n', path.read_bytes(), re.DOTALL)
    if not sealed or sha256(sealed[1] + b"}") != sealed[2].decode():
        raise Problem("its checksum does not match its bytes")
    return json.loads(sealed[1] + b"}")


def read_named(path, name):
    """gzipped JSON whose bytes have the SHA-256 `name`."""
    data = path.read_bytes()
    if sha256(data) != name:
        raise Problem(f"its bytes have the SHA-256 {sha256(data)}, not that of its name")
    return json.loads(gzip.decompress(data))


def unfold(codec, stored):
    """The plain bytes of a stored chunk."""
    if codec == "zstd":
        done = subprocess.run(["zstd", "-dcq"], input=stored, capture_output=True, check=False)
        if done.returncode:
            raise Problem(done.stderr.decode(errors="replace").strip())
        return done.stdout
    if codec not in CODECS.values():
        raise Problem(f"the codec `{codec}` is of a newer version")
    return gzip.decompress(stored) if codec == "gzip" else stored


def table_of_contents(data):
    """What a pack says of itself: its last entry, found from the end."""
    for start in range(len(data) - 1536, -1, -512):
        with contextlib.suppress(tarfile.TarError):
            header = tarfile.TarInfo.frombuf(data[start : start + 512], "utf-8", "strict")
            end = start + 512 + -(-header.size // 512) * 512 + 1024
            if header.name == TABLE_OF_CONTENTS and end == len(data):
                return json.loads(gzip.decompress(data[start + 512 :][: header.size]))["chunks"]
    raise Problem("it has no table of contents")


def walk_pack(path):
    """The same by the tar headers, as far as they go: for a pack whose end is gone, and as a check on its table."""
    chunks = []
    with contextlib.suppress(tarfile.TarError), tarfile.open(path, "r:") as tar:
        for entry in tar:
            name = re.fullmatch(r"([0-9a-f]{64})(|\.zst|\.gz)", entry.name)
            if name:
                place = {"codec": CODECS[name[2]], "offset": entry.offset_data, "stored_bytes": entry.size}
                chunks.append({"id": name[1], **place})
    return chunks


class Repository:
    """The backups in a directory, and the chunks that they are made of."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.check_header()
        self.indexes = {}
        for path in self.objects("index", "*.json.gz"):
            try:
                self.indexes[path] = read_named(path, path.name[:64])
            except TROUBLE as error:
                note(f"{self.name(path)}: {error}; the packs say the same")
        # Chunk -> all places of it: any one whose digest is right will do.
        self.places = collections.defaultdict(list)
        described = {pack["id"]: pack["chunks"] for index in self.indexes.values() for pack in index["packs"]}
        for path in self.objects("packs", "*/*.tar"):
            chunks = described.get(path.name[:64])
            if chunks is None:
                try:
                    chunks = table_of_contents(path.read_bytes())
                except TROUBLE as error:
                    note(f"{self.name(path)}: {error}; going through it from the beginning")
                    chunks = walk_pack(path)
            for place in chunks:
                self.places[place["id"]].append((path, place["codec"], place["offset"], place["stored_bytes"]))

    def check_header(self):
        try:
            header = read_sealed(self.root / "repo.json")
        except (Problem, FileNotFoundError) as error:
            if not (self.root / "backups").is_dir():
                raise Problem(f"{self.root} is no repository: {error}") from error
            note(f"repo.json: {error}; the backups do not depend on it")
        else:
            if header["format"] > VERSION or header["features"]:
                raise Problem(f"{self.root} is of version {header['format']} with {header['features']}: too new")

    def objects(self, room, pattern):
        return sorted(path for path in (self.root / room).glob(pattern) if not path.name.startswith("."))

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    @functools.lru_cache(maxsize=8)  # The files of a bundle follow each other.
    def chunk(self, chunk):
        """The plain bytes of a chunk."""
        reason = "it is in no pack"
        for path, codec, offset, stored_bytes in self.places[chunk]:
            try:
                with path.open("rb") as pack:
                    pack.seek(offset)
                    plain = unfold(codec, pack.read(stored_bytes))
                if sha256(plain) == chunk:
                    return plain
                reason = f"in {self.name(path)} it has the SHA-256 {sha256(plain)}"
            except TROUBLE as error:
                reason = f"in {self.name(path)}: {error}"
        raise Problem(f"chunk {chunk} is damaged: {reason}")

    def stream(self, chunks, expected_bytes):
        """The bytes of several chunks, one by one, as many as there should be."""
        for chunk in chunks:
            expected_bytes -= len(self.chunk(chunk))
            yield self.chunk(chunk)
        if expected_bytes:
            raise Problem("its chunks have not the length that they should")

    def catalog(self, catalog):
        """The entries of a catalog."""
        rest, entries = b"", 0
        for piece in self.stream(catalog["chunks"], catalog["bytes"]):
            *lines, rest = (rest + piece).split(b"\n")
            entries += len(lines)
            yield from map(json.loads, lines)
        if rest or entries != catalog["entries"]:
            raise Problem(f"the catalog has {entries} entries instead of {catalog['entries']}")

    def backups(self):
        """Id and manifest of every backup, the oldest first; a damaged one does not hide the others."""
        backups = []
        for path in self.objects("backups", "*.json.gz"):
            with losing(self.name(path)):
                time, backup = path.name[: -len(".json.gz")].split("-")
                manifest = read_named(path, backup)
                if manifest["format"] > VERSION:
                    raise Problem(f"it is of version {manifest['format']}: too new")
                if re.sub("[-:]", "", manifest["finished_at"])[:15] + "Z" != time:
                    raise Problem("the time in its name is not its own")
                backups.append((backup, manifest))
        return sorted(backups, key=lambda backup: backup[1]["finished_at"].rstrip("Z"))

    def find(self, text):
        """The backup that `text` names: the first digits of its id, or `latest`: the newest good one, with a database
        where there is any."""
        if text == "latest":
            good = [backup for backup in self.backups() if backup[1]["status"] == "good"]
            if len({manifest["instance"]["id"] for _, manifest in good}) > 1:
                raise Problem("there are backups of several instances: name one by its id")
            found = [backup for backup in good if "database" in backup[1]][-1:] or good[-1:]
        else:
            found = [backup for backup in self.backups() if backup[0].startswith(text)]
        if len(found) != 1:
            raise Problem(f"`{text}` names {len(found)} backups that can be read")
        return found[0]


# ---- Files -----------------------------------------------------------------------------------------------------------


def to_bytes(value):
    """A byte string: a JSON string, or hexadecimal digits where it is not UTF-8."""
    return value.encode() if isinstance(value, str) else bytes.fromhex(value["hex"])


def file_entries(repository, part):
    """The entries of a file catalog as long as they make a tree, so that nothing can lead out of it."""
    last, kinds = None, {}
    for entry in repository.catalog(part["catalog"]):
        path = entry["path"] = to_bytes(entry["path"])
        kind = entry["kind"]
        names = path.split(b"/")
        if path == b"":
            sound = last is None and kind == "directory"
        else:
            sound = kinds.get(path.rpartition(b"/")[0]) == "directory" and last < names
            sound = sound and not any(name in (b"", b".", b"..") or b"\0" in name for name in names)
        if kind == "hardlink":
            sound = sound and kinds.get(to_bytes(entry["target"])) == "file"
        if not sound or kind not in ("file", "directory", "symlink", "hardlink"):
            raise Problem(f"the catalog is not sound at the {kind} {path!r}")
        last = names
        if kind in ("file", "directory"):
            kinds[path] = kind
        yield entry


def extents(entry):
    """Where the data of a file belongs: offsets and lengths. The rest are holes."""
    return entry.get("extents", [[0, entry["size"]]])


def content(repository, entry):
    """The data of a file, piece by piece."""
    bundle = entry.get("bundle")
    if not bundle:
        return repository.stream(entry.get("chunks", []), sum(length for _, length in extents(entry)))
    data = repository.chunk(bundle["chunk"])[bundle["offset"] :][: entry["size"]]
    if len(data) != entry["size"]:
        raise Problem("its bundle ends before it")
    return iter([data])


def write_content(file, entry, pieces):
    rest = b""
    for offset, length in extents(entry):
        file.seek(offset)
        while length:
            rest = rest or next(pieces, b"")
            if not rest:
                raise Problem("its data ends before it")
            taken, rest = rest[:length], rest[length:]
            file.write(taken)
            length -= len(taken)
    if rest or next(pieces, b""):
        raise Problem("its data goes on beyond it")
    file.truncate(entry["size"])
    file.flush()


def owner(entry):
    """The numbers that the names of user and group have here, else the numbers they had."""
    uid, gid = entry["uid"], entry["gid"]
    with contextlib.suppress(KeyError):
        uid = pwd.getpwnam(entry["user"]).pw_uid
    with contextlib.suppress(KeyError):
        gid = grp.getgrnam(entry["group"]).gr_gid
    return uid, gid


def times(entry):
    seconds, nanoseconds = entry["mtime"]
    return (seconds * 1_000_000_000 + nanoseconds,) * 2


def dress(fd, entry):
    """Owner, attributes, mode and times of a file or directory, in this order: the first may undo those behind it."""
    mode = entry["mode"]
    if os.geteuid() == 0:
        os.fchown(fd, *owner(entry))
    else:
        note("owners and set-id bits are not restored: that needs root")
        mode &= 0o1777
    for name, value in entry.get("xattrs", {}).items():
        try:
            os.setxattr(fd, name, bytes.fromhex(value))
        except OSError as error:
            note(f"the attribute {name} of some files is not restored: {error.strerror}")
    os.fchmod(fd, mode)
    os.utime(fd, ns=times(entry))


class Tree:
    """A new directory that is filled, reached name by name: so no path is too long, and no link is ever followed."""

    DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

    def __init__(self, root):
        os.mkdir(root, 0o700)
        self.root = os.open(root, self.DIRECTORY)
        self.path, self.fd = b"", os.dup(self.root)

    def open(self, path):
        """The directory at `path`, open until the next call."""
        if path != self.path:
            os.close(self.fd)
            self.path, self.fd = b"", os.dup(self.root)
            for name in path.split(b"/") if path else []:
                above, self.fd = self.fd, os.open(name, self.DIRECTORY, dir_fd=self.fd)
                os.close(above)
            self.path = path
        return self.fd

    def parent(self, path):
        """The directory that holds `path`, and its name there."""
        above, _, name = path.rpartition(b"/")
        return self.open(above), name

    def file(self, entry, pieces):
        fd, name = self.parent(entry["path"])
        with os.fdopen(os.open(name, self.NEW_FILE, 0o600, dir_fd=fd), "wb") as file:
            try:
                write_content(file, entry, pieces)
                dress(file.fileno(), entry)
            except BaseException:
                os.unlink(name, dir_fd=fd)
                raise

    def directory(self, entry):
        fd, name = self.parent(entry["path"])
        if name:
            os.mkdir(name, 0o700, dir_fd=fd)

    def symlink(self, entry):
        fd, name = self.parent(entry["path"])
        os.symlink(to_bytes(entry["target"]), name, dir_fd=fd)
        if os.geteuid() == 0:
            os.chown(name, *owner(entry), dir_fd=fd, follow_symlinks=False)
        os.utime(name, ns=times(entry), dir_fd=fd, follow_symlinks=False)

    def hardlink(self, entry):
        there, first = self.parent(to_bytes(entry["target"]))
        there = os.dup(there)
        try:
            fd, name = self.parent(entry["path"])
            os.link(first, name, src_dir_fd=there, dst_dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(there)


def restore_files(repository, part, target):
    tree, directories = Tree(target), []
    for entry in file_entries(repository, part):
        with losing(f"{part['part']}/{os.fsdecode(entry['path'])}"):
            if entry["kind"] == "file":
                tree.file(entry, content(repository, entry))
            else:
                getattr(tree, entry["kind"])(entry)
            if entry["kind"] == "directory":
                directories.append(entry)
    # Each after all that is in it: whatever comes into a directory changes its time, and its mode may let nothing in.
    for entry in reversed(directories):
        with losing(f"the metadata of {part['part']}/{os.fsdecode(entry['path'])}"):
            dress(tree.open(entry["path"]), entry)


# ---- The database ----------------------------------------------------------------------------------------------------


def restore_database(repository, part, target):
    files = DatabaseFiles(part, target, lambda entry: repository.stream(entry["chunks"], entry["bytes"]))
    for entry in repository.catalog(part["catalog"]):
        kind = entry["kind"]
        if kind not in DatabaseFiles.KINDS:
            raise Problem(f"the catalog has an entry of the kind `{kind}`: too new")
        thing = files.tables[-1] if kind == "range" else entry
        name = ".".join(str(thing[word]) for word in ("schema", "name", "oid") if word in thing)
        with losing(f"{kind} {name} of the database"):
            getattr(files, kind)(entry)
    files.finish()


# ---- Commands --------------------------------------------------------------------------------------------------------


def list_backups(repository):
    for backup, manifest in repository.backups():
        size = manifest["statistics"]["database_bytes"] + manifest["statistics"]["files_bytes"]
        words = (manifest["type"], manifest["status"], manifest["instance"]["name"], manifest.get("label", ""))
        print(backup[:8], manifest["finished_at"][:19] + "Z", f"{size / 1e6:10.1f} MB", *words)


def restore(repository, text, target):
    backup, manifest = repository.find(text)
    print(f"backup {backup[:8]} of {manifest['finished_at']}, {manifest['status']}")
    for warning in manifest.get("warnings", []):
        note(f"at backup: {warning}")
    target = pathlib.Path(target)
    target.mkdir(mode=0o700, exist_ok=True)
    for part in manifest["files"]:
        print(f"{part['part']}: {part['files']} files, {part['bytes']} bytes")
        with losing(f"a part of {part['part']}"):
            restore_files(repository, part, target / part["part"])
    if "database" in manifest:
        part = manifest["database"]
        print(f"database: {part['tables']} tables, {part['rows']} rows; load it with {target / 'database/restore.sh'}")
        with losing("a part of the database"):
            restore_database(repository, part, target / "database")


def verify(repository):
    """Every object, and everything that the backups refer to."""
    plain_bytes, tables = {}, {}
    for path in repository.objects("packs", "*/*.tar"):
        with losing(repository.name(path)):
            data = path.read_bytes()
            if sha256(data) != path.name[:64]:
                raise Problem(f"its bytes have the SHA-256 {sha256(data)}, not that of its name")
            table = tables[path.name[:64]] = table_of_contents(data)
            stated = [{name: chunk[name] for name in chunk if name != "plain_bytes"} for chunk in table]
            if stated != walk_pack(path):
                raise Problem("its table of contents is not what is in it")
            for chunk in table:
                plain = unfold(chunk["codec"], data[chunk["offset"] :][: chunk["stored_bytes"]])
                if sha256(plain) != chunk["id"] or len(plain) != chunk["plain_bytes"]:
                    raise Problem(f"chunk {chunk['id']} is damaged")
                plain_bytes[chunk["id"]] = len(plain)
    for path, index in repository.indexes.items():
        with losing(repository.name(path)):
            for pack in index["packs"]:
                if tables.get(pack["id"]) != pack["chunks"]:
                    raise Problem(f"pack {pack['id']} does not hold what is said here")
    for path in repository.objects("index", "*.json.gz"):
        if path not in repository.indexes:
            lost.append(repository.name(path))
    backups = dict(repository.backups())
    for backup, manifest in backups.items():
        with losing(f"backup {backup[:8]}"):
            verify_backup(repository, manifest, plain_bytes)
    verify_records(repository, backups)
    print(f"{len(plain_bytes)} chunks in {len(tables)} packs, {len(backups)} backups:", "damaged" if lost else "sound")


def verify_backup(repository, manifest, plain_bytes):
    def check(what, chunks, expected_bytes):
        with losing(f"{what} of {manifest['finished_at']}"):
            missing = [chunk for chunk in chunks if chunk not in plain_bytes]
            if missing:
                raise Problem(f"chunk {missing[0]} is damaged or missing")
            if sum(plain_bytes[chunk] for chunk in chunks) != expected_bytes:
                raise Problem("its chunks have not the length that they should")

    for part in manifest["files"]:
        for entry in file_entries(repository, part):
            what = f"{part['part']}/{os.fsdecode(entry['path'])}"
            if "bundle" in entry:
                with losing(what):
                    content(repository, entry)
            elif entry["kind"] == "file":
                check(what, entry.get("chunks", []), sum(length for _, length in extents(entry)))
    if "database" in manifest:
        sums = collections.Counter()
        for entry in repository.catalog(manifest["database"]["catalog"]):
            if "chunks" in entry:
                check(f"{entry['kind']} of the database", entry["chunks"], entry["bytes"])
            sums[entry["kind"]] += 1 if entry["kind"] == "table" else entry.get("rows", 0)
        if (sums["table"], sums["range"]) != (manifest["database"]["tables"], manifest["database"]["rows"]):
            raise Problem("its database has not the tables or rows that it should")


def verify_records(repository, backups):
    deleted, made = set(), {}
    for room, pattern in (("marks", "*/*.json"), ("runs", "*.json"), ("locks", "*.json")):
        for path in repository.objects(room, pattern):
            with losing(repository.name(path)):
                record = read_sealed(path)
                if room == "marks" and record["kind"] == "deleted":
                    deleted.add(record["backup"])
                if room == "runs" and record["command"] == "backup" and "backup" in record:
                    made[record["backup"]] = record["backup_finished_at"]
    for backup, finished_at in made.items():
        if backup not in backups and backup not in deleted:
            lost.append(backup)
            print(f"LOST backup {backup[:8]} of {finished_at}: its manifest is missing or damaged", file=sys.stderr)
    with losing("repo.json"):
        read_sealed(repository.root / "repo.json")


def main(arguments):
    commands = {("list", 2): list_backups, ("verify", 2): verify, ("restore", 4): restore}
    command = commands.get((arguments[0], len(arguments))) if arguments else None
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    os.umask(0o077)
    try:
        command(Repository(arguments[1]), *arguments[2:])
    except (Problem, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
