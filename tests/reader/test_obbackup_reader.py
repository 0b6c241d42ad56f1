"""The reader by itself, on repositories that another program of these tests writes from the same text."""

import contextlib
import io
import os
import pathlib
import shutil
import stat
import tempfile
import unittest

import obbackup_reader as reader
from writer import Writer, directory, file, sealed, sha256


class Case(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.root = self.scratch / "repository"

    def run_reader(self, command, *arguments, root=None):
        """Exit code, output and errors."""
        reader.lost.clear()
        reader.notes.clear()
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = reader.main([command, str(root or self.root), *map(str, arguments)])
        return code, out.getvalue(), errors.getvalue()


SMALL = b"first file", b"second\n"
LARGE = b"abc" * 100_000, b"xyz" * 100_000


def sample(root):
    """One backup with a bundle, large, sparse and linked files, in two packs with one index."""
    writer = Writer(root)
    bundle = writer.put(b"".join(SMALL))
    large = [writer.put(LARGE[0], "plain"), writer.put(LARGE[1])]
    first = writer.finish_pack()
    entries = [
        directory(),
        directory("a", mode=0o500),
        file("a/1", size=10, bundle={"chunk": bundle, "offset": 0}),
        file({"hex": "612fff"}, size=7, bundle={"chunk": bundle, "offset": 10}),
        file("a b", size=600_000, chunks=large, mtime=[-5, 7]),
        {**file("b"), "kind": "hardlink", "target": "a b"},
        file("empty", size=0),
        file("hole", size=1 << 20, extents=[]),
        {**file("link"), "kind": "symlink", "target": "/nowhere"},
        file("sparse", size=10 << 20, chunks=large, extents=[[4096, 1], [8192, 599_999]]),
    ]
    part = writer.part(entries)
    second = writer.finish_pack()
    writer.finish_index(first, second)
    return writer.finish_backup([part])[0]


class Restores(Case):
    def check(self, target):
        self.assertEqual((target / "a/1").read_bytes(), SMALL[0])
        self.assertEqual((target / os.fsdecode(b"a/\xff")).read_bytes(), SMALL[1])
        self.assertEqual((target / "a b").read_bytes(), b"".join(LARGE))
        self.assertTrue((target / "b").samefile(target / "a b"))
        self.assertEqual((target / "empty").read_bytes(), b"")
        self.assertEqual((target / "hole").read_bytes(), bytes(1 << 20))
        self.assertEqual(os.readlink(target / "link"), "/nowhere")
        sparse = (target / "sparse").read_bytes()
        data = b"".join(LARGE)
        self.assertEqual(sparse, (bytes(4096) + data[:1] + bytes(4095) + data[1:]).ljust(10 << 20, b"\0"))
        self.assertLess((target / "sparse").stat().st_blocks * 512, 2 << 20)
        self.assertEqual((target / "a b").stat().st_mtime_ns, -5_000_000_000 + 7)
        self.assertEqual((target / "a").stat().st_mtime_ns, 1_000_000_000_000_000_005)
        self.assertEqual(stat.S_IMODE((target / "a").stat().st_mode), 0o500)

    def test_everything_comes_back(self):
        backup = sample(self.root)
        for text in ("latest", backup, backup[:6]):
            target = self.scratch / text
            self.assertEqual(self.run_reader("restore", text, target)[0], 0)
            self.check(target / "sources")
        code, out, _ = self.run_reader("list")
        self.assertEqual((code, out.split()[:2]), (0, [backup[:8], "2026-11-24T03:00:00Z"]))
        self.assertEqual(self.run_reader("verify")[1], "5 chunks in 2 packs, 1 backups: sound\n")

    def test_nothing_but_packs_and_manifests_is_needed(self):
        sample(self.root)
        shutil.rmtree(self.root / "index")
        (self.root / "repo.json").unlink()
        code, _, errors = self.run_reader("restore", "latest", self.scratch / "to")
        self.assertEqual(code, 0, errors)
        self.assertIn("repo.json", errors)
        self.check(self.scratch / "to/sources")

    def test_a_damaged_copy_of_a_chunk_gives_way_to_a_sound_one(self):
        sample(self.root)
        writer = Writer(self.scratch / "other")
        for plain in LARGE:
            writer.put(plain, "gzip")
        pack = writer.finish_pack()["id"]
        shutil.copytree(self.scratch / "other/packs", self.root / "packs", dirs_exist_ok=True)
        first = max(self.root.glob("packs/*/*.tar"), key=lambda path: path.stat().st_size)
        self.assertNotEqual(first.name[:64], pack)
        with first.open("r+b") as data:
            data.seek(2000)
            data.write(b"damage")
        self.assertEqual(self.run_reader("restore", "latest", self.scratch / "to")[0], 0)
        self.check(self.scratch / "to/sources")

    def test_what_is_there_is_not_written_to(self):
        sample(self.root)
        (self.scratch / "to/sources").mkdir(parents=True)
        code, _, errors = self.run_reader("restore", "latest", self.scratch / "to")
        self.assertEqual(code, 1)
        self.assertIn("exists", errors)
        self.assertEqual(os.listdir(self.scratch / "to/sources"), [])


STATE = {
    "name": "it's \"one\"", "owner": "tad", "encoding": "UTF8", "collate": "C", "ctype": "C", "locale_provider": "libc",
    "connection_limit": -1, "is_template": False, "comment": "größer",
    "grants": [{"grantor": "tad", "privilege": "CONNECT"}, {"grantor": "x", "grantee": "y", "privilege": "CREATE"}],
    "settings": [
        {"name": "search_path", "value": '"$user", "a, ""b"'}, {"name": "work_mem", "value": "1MB", "role": "y"},
    ],
}


class Database(Case):
    def setUp(self):
        super().setUp()
        writer = Writer(self.root)
        ranges = [b"1\ta\n2\tb\n", b"3\tc\n"]
        table = {"kind": "table", "encoding": "UTF8", "columns": ["id", 'the "n"'], "rows": 3, "bytes": 12}
        content = {"chunks": [writer.put(b"ab"), writer.put(b"\0\xff")], "bytes": 4}
        entries = [
            {"kind": "database", **STATE},
            {"kind": "ddl", "sections": ["pre-data", "post-data"], "bytes": 5, "chunks": [writer.put(b"PGDMP")]},
            {**table, "schema": "a.b", "name": "../c\n'd"},
            *({"kind": "range", "first_page": 0, "rows": data.count(b"\n"), "bytes": len(data),
               "chunks": [writer.put(data[:5]), writer.put(data[5:])]} for data in ranges),
            {**table, "schema": "public", "name": "n" * 63, "columns": [], "rows": 0, "bytes": 0},
            {**table, "schema": "ü" * 31, "name": "ü" * 31, "rows": 0, "bytes": 0},
            {"kind": "sequence", "schema": "public", "name": "s", "last_value": -7, "is_called": True},
            {"kind": "large_object", "oid": 4711, "owner": "tad", **content},
        ]
        part = {"name": STATE["name"], "server_version": 150007, "client_version": 150007, "application_role": "tad",
                "tables": 3, "rows": 3, "bytes": 21, "catalog": writer.catalog(entries)}
        writer.finish_index(writer.finish_pack())
        writer.finish_backup([], database=part)
        self.target = self.scratch / "to/database"

    def restore(self):
        return self.run_reader("restore", "latest", self.scratch / "to")

    def text(self, name):
        return (self.target / name).read_text(encoding="utf-8")

    def test_everything_is_there_under_safe_names(self):
        self.assertEqual(self.restore()[0], 0)
        self.assertEqual(self.run_reader("verify")[0], 0)
        self.assertEqual((self.target / "ddl.dump").read_bytes(), b"PGDMP")
        first, second, third = sorted(os.listdir(self.target / "tables"))
        self.assertTrue(first.startswith("%C3%BC%C3") and first.endswith(".copy") and len(first) < 220, first)
        self.assertEqual([second, third], ["a%2Eb.%2E%2E%2Fc%0A%27d.copy", "public." + "n" * 63 + ".copy"])
        self.assertEqual(self.text(f"tables/{second}"), "1\ta\n2\tb\n3\tc\n")
        self.assertIn(f"{second} 3\n", self.text("tables.rows"))
        self.assertEqual(self.text("sequences.sql"), "SELECT pg_catalog.setval('\"public\".\"s\"', -7, True);\n")
        self.assertIn("lo_put(4711, 2, '\\x00ff')", self.text("large_objects.sql"))
        self.assertIn("SET \"search_path\" TO '$user', 'a, \"b';", self.text("settle.sql"))
        self.assertIn('SET SESSION AUTHORIZATION "x"; GRANT CREATE', self.text("settle.sql"))
        self.assertIn("größer", self.text("settle.sql"))
        self.assertIn("CREATE ROLE \"y\"", self.text("create.sql"))
        for path in [self.target, *self.target.rglob("*")]:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_a_later_backup_without_a_database_is_not_the_latest(self):
        Writer(self.root).finish_backup([], time="2026-11-25T03:00:00Z", run="ef01")
        self.assertIn("2026-11-24", self.restore()[1])

    def test_what_is_damaged_is_left_out_whole_and_named(self):
        places = reader.Repository(self.root).places
        for broken, name, kept in (
            (b"\tb\n", "tables/a%2Eb.%2E%2E%2Fc%0A%27d.copy", "3\tc\n"),
            (b"\0\xff", "large_objects.sql", ""),
            (b"PGDMP", "ddl.dump", ""),
        ):
            with self.subTest(name=name):
                pack, _, offset, stored_bytes = places[sha256(broken)][0]
                data = pack.read_bytes()
                middle = offset + stored_bytes // 2
                pack.write_bytes(data[:middle] + b"?" + data[middle + 1 :])
                code, _, errors = self.restore()
                self.assertEqual((code, errors.count("LOST")), (1, 1), errors)
                self.assertIn(f"chunk {sha256(broken)} is damaged", errors)
                self.assertEqual(self.text(name), kept)
                pack.write_bytes(data)
                shutil.rmtree(self.scratch / "to")


class Damage(Case):
    def test_a_flipped_bit_anywhere_is_found_and_named(self):
        backup = sample(self.root)
        original = {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        kinds = {path.relative_to(self.root).parts[0] for path in original}
        self.assertEqual(kinds, {"repo.json", "packs", "index", "backups", "runs"})
        for path, data in original.items():
            for thousandths in (0, 200, 500, 800, 999):
                with self.subTest(path=path.name, thousandths=thousandths):
                    position = len(data) * thousandths // 1000
                    path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
                    code, _, errors = self.run_reader("verify")
                    self.assertEqual(code, 1, errors)
                    self.assertIn(path.name[:64], errors)
            path.write_bytes(data)
        self.assertEqual(self.run_reader("verify")[0], 0, backup)

    def test_cut_and_missing_objects_are_found_and_named(self):
        sample(self.root)
        for path in [path for path in self.root.rglob("*") if path.is_file()]:
            data = path.read_bytes()
            for length in (None, 0, len(data) // 2, len(data) - 1):
                with self.subTest(path=path.name, length=length):
                    path.unlink() if length is None else path.write_bytes(data[:length])
                    code, out, errors = self.run_reader("verify")
                    if length is not None or path.parent.name in ("backups", "repository") or "packs" in str(path):
                        self.assertEqual(code, 1, errors)
                        # A manifest that is gone is named by its backup.
                        name = path.name[17:25] if path.parent.name == "backups" else path.name[:64]
                        self.assertIn(name, errors)
            path.write_bytes(data)

    def test_damaged_chunks_are_lost_by_name_and_the_rest_is_restored(self):
        sample(self.root)
        pack = max(self.root.glob("packs/*/*.tar"), key=lambda path: path.stat().st_size)
        data = bytearray(pack.read_bytes())
        data[data.index(LARGE[0]) + 7] ^= 1
        pack.write_bytes(data)
        code, _, errors = self.run_reader("restore", "latest", self.scratch / "to")
        self.assertEqual(code, 1)
        self.assertEqual(errors.count("LOST"), 3, errors)
        for name in ("a b", "b", "sparse"):
            self.assertIn(f"LOST sources/{name}:", errors)
            self.assertFalse((self.scratch / "to/sources" / name).exists())
        self.assertIn(f"chunk {sha256(LARGE[0])} is damaged: in {pack.relative_to(self.root)}", errors)
        self.assertEqual((self.scratch / "to/sources/a/1").read_bytes(), SMALL[0])

    def test_a_pack_without_its_end_gives_what_is_left(self):
        sample(self.root)
        shutil.rmtree(self.root / "index")
        pack = max(self.root.glob("packs/*/*.tar"), key=lambda path: path.stat().st_size)
        pack.write_bytes(pack.read_bytes()[:-1500])
        code, _, errors = self.run_reader("restore", "latest", self.scratch / "to")
        self.assertIn("no table of contents", errors)
        self.assertEqual((code, (self.scratch / "to/sources/a/1").read_bytes()), (0, SMALL[0]), errors)

    def test_a_damaged_manifest_is_named_and_another_backup_used(self):
        first = sample(self.root)
        writer = Writer(self.root)
        _, second = writer.finish_backup([], time="2026-11-25T03:00:00Z", run="ef01")
        (self.root / second).write_bytes((self.root / second).read_bytes()[:-1] + b"?")
        code, out, errors = self.run_reader("restore", "latest", self.scratch / "to")
        self.assertEqual(code, 1)
        self.assertIn(second, errors)
        self.assertIn(first[:8], out)


class Refusals(Case):
    def refused(self, entries):
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.scratch / "to", ignore_errors=True)
        writer = Writer(self.root)
        content = {"size": 5, "chunks": [writer.put(b"12345")]}
        entries = [{**content, **entry} if entry["kind"] == "file" else entry for entry in entries]
        part = writer.part(entries)
        writer.finish_index(writer.finish_pack())
        writer.finish_backup([part])
        code, _, errors = self.run_reader("restore", "latest", self.scratch / "to")
        self.assertEqual(code, 1, entries)
        return errors

    def test_hostile_catalogs(self):
        link = {**file("a"), "kind": "symlink", "target": "/tmp"}
        for entries in (
            [file("x")],
            [directory(), file("..")],
            [directory(), file("../x")],
            [directory(), file("/etc/x")],
            [directory(), directory("a"), file("a//x")],
            [directory(), directory("a"), file("a/../x")],
            [directory(), file("a\0b")],
            [directory(), link, file("a/x")],
            [directory(), file("a"), file("a/x")],
            [directory(), file("b"), file("a")],
            [directory(), file("a"), file("a")],
            [directory(), {**file("a"), "kind": "hardlink", "target": "../../etc/passwd"}],
            [directory(), {**file("a"), "kind": "hardlink", "target": "a"}],
            [directory(), {**file("a"), "kind": "device"}],
        ):
            with self.subTest(entries=entries):
                self.assertIn("the catalog is not sound", self.refused(entries))
                outside = [path.name for path in self.scratch.iterdir()]
                self.assertEqual(sorted(outside), ["repository", "to"])

    def test_contents_of_another_length(self):
        chunk = {"chunks": [sha256(b"12345")]}
        for more in (
            {"size": 4, **chunk},
            {"size": 6, **chunk},
            {"size": 5, "chunks": []},
            {"size": 9, "extents": [[0, 4]], **chunk},
            {"size": 9, "extents": [[0, 6]], **chunk},
            {"size": 4, "chunks": [], "bundle": {"chunk": chunk["chunks"][0], "offset": 2}},
        ):
            with self.subTest(more=more):
                self.assertIn("LOST sources/x: its", self.refused([directory(), file("a"), file("x", **more)]))
                self.assertEqual(os.listdir(self.scratch / "to/sources"), ["a"])

    def test_newer_repositories(self):
        for header in ({"format": 2}, {"features": ["encryption"]}):
            Writer(self.root, **header)
            code, _, errors = self.run_reader("list")
            self.assertEqual(code, 1)
            self.assertIn("too new", errors)
        Writer(self.root).finish_backup([], format=2)
        self.assertIn("too new", self.run_reader("verify")[2])

    def test_what_is_no_repository_and_no_backup(self):
        self.root.mkdir()
        self.assertIn("is no repository", self.run_reader("list")[2])
        sample(self.root)
        for text in ("ffff", "latest "):
            self.assertEqual(self.run_reader("restore", text, self.scratch / "to")[0], 1, text)
        self.assertEqual(self.run_reader("restore", "latest")[0], 2)

    def test_latest_of_several_instances_is_ambiguous(self):
        writer = Writer(self.root)
        writer.finish_backup([])
        other = {"id": "two", "name": "other", "host": "erp", "source_path": "/opt"}
        writer.finish_backup([], time="2026-11-25T03:00:00Z", instance=other, run="ef01")
        self.assertIn("several instances", self.run_reader("restore", "latest", self.scratch / "to")[2])

    def test_a_lost_manifest_is_noticed_and_a_deleted_one_is_no_loss(self):
        backup = sample(self.root)
        next(self.root.glob("backups/*")).unlink()
        self.assertIn(f"LOST backup {backup[:8]}", self.run_reader("verify")[2])
        mark = {"backup": backup, "kind": "deleted", "at": "2026-11-25T00:00:00Z", "by": "root@erp"}
        Writer(self.root).write(f"marks/{backup}/deleted-20261125T000000Z.json", sealed(mark))
        self.assertEqual(self.run_reader("verify")[0], 0)


if __name__ == "__main__":
    unittest.main()
