"""Measures backups through JNI: their time beside the command's, or with `memory` what a JVM needs for a large instance.

Called by bench_jni.sh beside a private PostgreSQL server. A pair is one backup by each of the two, of the same state into
new repositories, and each begins every second pair; what is judged is the median of the pairs' ratios. The time of the
command is that of its process; that of JNI is the call's, in a JVM that runs already.

BENCH_ROUNDS       pairs (7)
BENCH_MEGABYTES    size of the database (600; with `memory` 6500, which makes 5 GB of data)
BENCH_FILES        number of files (10000; with `memory` 5000)
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

programs, java, place = map(pathlib.Path, sys.argv[1:4])
is_memory = sys.argv[4:] == ["memory"]
world = place / "instance"
rounds = int(os.environ.get("BENCH_ROUNDS", 7))
megabytes = int(os.environ.get("BENCH_MEGABYTES", 6500 if is_memory else 600))
files = os.environ.get("BENCH_FILES", "5000" if is_memory else "10000")
environment = dict(os.environ, CATALINA_BASE=str(world / "tomcat"))
BAR = 1.05
# What is large without the tables of `grow`.
SMALL_MEGABYTES = 200
HEAP = ["-Xms256m", "-Xmx256m", "-XX:+AlwaysPreTouch"]


def run(*command):
    subprocess.run([str(word) for word in command], env=environment, check=True, stdout=subprocess.DEVNULL)


def instance():
    """With `memory` most of it is a few plain tables: cheaper to make than documents, and as large to read."""
    small = min(megabytes, SMALL_MEGABYTES) if is_memory else megabytes
    run(programs / "examples/instance", "create", world, "--megabytes", small, "--files", files)
    for number in range((megabytes - small) // 1000):
        grow(f"bench_{number}")


def grow(table):
    """A gigabyte of rows that compress somewhat."""
    statement = f"""
        CREATE TABLE {table} AS
        SELECT md5(n::text) AS id, n AS number, now() - n * interval '1 second' AS created,
               md5((n / 100)::text) AS partner, repeat(md5((n % 1000)::text), 8) AS description
        FROM generate_series(1, 2600000) n;
        ALTER TABLE {table} OWNER TO tad"""
    run("psql", "-XAtqv", "ON_ERROR_STOP=1", "-d", "openbravo", "-c", statement)


class Jvm:
    """A JVM that takes a backup for each directory that it is given."""

    def __init__(self):
        jar = next(java.glob("obbackup-*.jar"))
        command = ["java", *HEAP, "-cp", f"{jar}:{java}/test-classes", "org.openbravo.backup.Bench"]
        self.process = subprocess.Popen(
            [*command, str(world / "openbravo")],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def backup(self):
        directory = fresh("jni")
        self.process.stdin.write(f"{directory}\n")
        self.process.stdin.flush()
        result = json.loads(self.process.stdout.readline())
        assert result["good"], result
        return result

    def end(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def fresh(name):
    directory = place / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    # So that neither waits for what the other has written.
    subprocess.run(["sync"], check=True)
    return directory


def command():
    directory = fresh("command")
    words = [programs / "obbackup", "--quiet", "--json", "--instance", world / "openbravo"]
    words += ["--config", directory / "obbackup.toml"]
    run(*words, "init", "--repository", directory / "repository")
    begun = time.monotonic()
    run(*words, "backup")
    return time.monotonic() - begun


def overhead():
    jvm = Jvm()
    # The first of each warms the caches, and the JVM.
    command()
    jvm.backup()
    pairs = []
    for number in range(rounds):
        if number % 2:
            through_jni, by_command = jvm.backup()["seconds"], command()
        else:
            by_command, through_jni = command(), jvm.backup()["seconds"]
        pairs.append((by_command, through_jni))
        print(f"pair {number + 1} of {rounds}: {by_command:.2f} s and {through_jni:.2f} s", file=sys.stderr, flush=True)
    jvm.end()
    by_command, through_jni = (statistics.median(times) for times in zip(*pairs))
    ratio = statistics.median(jni / command for command, jni in pairs)
    print(f"\nMedians of {rounds} pairs; {os.cpu_count()} cores; database {megabytes} MB, {files} files.\n")
    print("| backup | wall s |\n|---|---|")
    print(f"| by the command | {by_command:.2f} |\n| through JNI | {through_jni:.2f} |\n")
    held = ratio <= BAR
    print(f"- JNI / command: {ratio:.3f}, bar {BAR}: {'held' if held else 'NOT held'}")
    return held


def memory():
    jvm = Jvm()
    result = jvm.backup()
    jvm.end()
    mib = {name: value / 2**20 for name, value in result.items() if name.endswith("_bytes")}
    print(f"\n{mib['data_bytes'] / 1024:.2f} GiB of data in {result['seconds']:.0f} s, in a JVM with a heap of "
          f"{mib['heap_limit_bytes']:.0f} MiB.\n")
    print("| peak of | MiB |\n|---|---|")
    print(f"| heap in use | {mib['heap_bytes']:.0f} |")
    print(f"| native memory that the backup adds | {mib['native_bytes']:.0f} |")
    print(f"| the whole process | {mib['process_bytes']:.0f} |")


instance()
if is_memory:
    memory()
elif not overhead():
    sys.exit("a bar was not held")
