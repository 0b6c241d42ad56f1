"""Writes small repositories as docs/format.md has them, for tests: no backup tool."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def zstd(data):
    command = ["zstd", "-1", "-cq", f"--stream-size={len(data)}"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def to_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sealed(record):
    body = to_json(record)
    return body[:-1] + b',"sha256":"' + sha256(body).encode() + b'"}\n'


def directory(path="", **more):
    return {"path": path, "kind": "directory", "mode": 0o755, "uid": 0, "gid": 0, "mtime": [1000000000, 5], **more}


def file(path, **more):
    return {"path": path, "kind": "file", "mode": 0o640, "uid": 0, "gid": 0, "mtime": [1000000000, 6], **more}


class Writer:
    """A repository in a directory that does not exist yet."""

    def __init__(self, root, **header):
        self.root, self.chunks = root, {}
        chunker = {"min": 65536, "average": 262144, "max": 1048576}
        self.write("repo.json", sealed({
            "format": 1, "id": "0" * 32, "created_at": "2026-11-24T02:00:00Z", "features": [],
            "chunker": {"data": chunker, "metadata": chunker}, "compression": "zstd", **header,
        }))

    def write(self, path, data):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)
        return path

    def put(self, plain, codec="zstd"):
        """Keeps a chunk for the next pack."""
        self.chunks[sha256(plain)] = (codec, plain)
        return sha256(plain)

    def finish_pack(self, table=True):
        """Writes the chunks that were put; what an index says of the pack."""
        out, places = io.BytesIO(), []
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT, bufsize=512) as tar:
            for chunk, (codec, plain) in self.chunks.items():
                stored = {
                    "plain": lambda: plain,
                    "gzip": lambda: gzip.compress(plain, mtime=0),
                    "zstd": lambda: zstd(plain),
                }[codec]()
                self.add(tar, chunk + {"plain": "", "gzip": ".gz", "zstd": ".zst"}[codec], stored)
                offset = tar.offset - -(-len(stored) // 512) * 512
                places.append({
                    "id": chunk, "codec": codec, "offset": offset,
                    "stored_bytes": len(stored), "plain_bytes": len(plain),
                })
            if table:
                self.add(tar, "toc.json.gz", gzip.compress(to_json({"chunks": places}), mtime=0))
            end = tar.offset
        data = out.getvalue()[:end] + bytes(1024)
        self.chunks = {}
        self.write(f"packs/{sha256(data)[:2]}/{sha256(data)}.tar", data)
        return {"id": sha256(data), "bytes": len(data), "chunks": places}

    @staticmethod
    def add(tar, name, data):
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o600
        tar.addfile(entry, io.BytesIO(data))

    def finish_index(self, *packs):
        data = gzip.compress(to_json({"packs": list(packs)}), mtime=0)
        return self.write(f"index/{sha256(data)}.json.gz", data)

    def catalog(self, entries, codec="gzip"):
        lines = b"".join(to_json(entry) + b"\n" for entry in entries)
        half = len(lines) // 2
        chunks = [self.put(part, codec) for part in (lines[:half], lines[half:])]
        return {"entries": len(entries), "bytes": len(lines), "chunks": chunks}

    def part(self, entries, part="sources"):
        files = [entry for entry in entries if entry["kind"] == "file"]
        size = sum(entry["size"] for entry in files)
        return {"part": part, "root": "/opt", "files": len(files), "bytes": size, "catalog": self.catalog(entries)}

    def finish_backup(self, files, time="2026-11-24T03:00:00.5Z", **more):
        """Writes the manifest, and the run that made it; its id and path."""
        zeros = ("database_bytes", "files", "files_bytes", "files_read", "new_bytes", "stored_bytes")
        manifest = {
            "format": 1, "tool": "0", "type": "manual", "status": "good", "started_at": time, "finished_at": time,
            "run": "abcd", "instance": {"id": "one", "name": "openbravo", "host": "erp", "source_path": "/opt"},
            "files": files, "statistics": dict.fromkeys(zeros, 0), **more,
        }
        data = gzip.compress(to_json(manifest), mtime=0)
        compact = time[:19].replace("-", "").replace(":", "") + "Z"
        run = {
            "id": manifest["run"], "command": "backup", "instance": "one", "type": "manual", "started_at": time,
            "finished_at": time, "backup": sha256(data), "backup_finished_at": time, "outcome": "ok",
        }
        self.write(f"runs/{compact}-{manifest['run']}.json", sealed(run))
        return sha256(data), self.write(f"backups/{compact}-{sha256(data)}.json.gz", data)
