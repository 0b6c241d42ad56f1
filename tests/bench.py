"""Measures obbackup beside pg_dump and tar, restic and borg on one generated instance, in one run.

Called by bench.sh beside a private PostgreSQL server. Every round measures each program once on the same state of the
instance, after a run that warms the caches alike; the table shows medians. CPU is that of the whole machine while the
command ran, so that the server's share is in it: keep the machine quiet.

BENCH_ROUNDS       rounds (3)
BENCH_MEGABYTES    size of the database (1800)
BENCH_FILES        number of files (35000)
BENCH_MEMORY       1: make a 5 GB instance instead and print the peak memory of every command of obbackup
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

programs, place = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
world = place / "instance"
memory_only = os.environ.get("BENCH_MEMORY") == "1"
rounds = int(os.environ.get("BENCH_ROUNDS", 3))
megabytes = os.environ.get("BENCH_MEGABYTES", "4500" if memory_only else "1800")
files = os.environ.get("BENCH_FILES", "35000")
environment = dict(
    os.environ,
    CATALINA_BASE=str(world / "tomcat"),
    OBBACKUP_INSTANCE=str(world / "openbravo"),
    BORG_BASE_DIR=str(place / "borg-base"),
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
    RESTIC_CACHE_DIR=str(place / "restic-cache"),
    RESTIC_PASSWORD_FILE=str(place / "restic-password"),
)
directories = " ".join(str(world / name) for name in ("openbravo", "tomcat", "attachments"))


def machine_cpu_seconds():
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def shell(command):
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=environment, check=True, stdout=subprocess.DEVNULL)


def measured(command):
    """Wall and CPU seconds, and the largest process's peak memory in MiB."""
    subprocess.run(["sync"], check=True)
    report = place / "time"
    cpu, start = machine_cpu_seconds(), time.monotonic()
    shell(f"/usr/bin/time --quiet -f %M -o {report} bash -euo pipefail -c '{command}'")
    wall = time.monotonic() - start
    return {"wall": wall, "cpu": machine_cpu_seconds() - cpu, "memory": int(report.read_text().split()[-1]) / 1024}


def size(path):
    """MiB of a repository, without the room that obbackup keeps free in it for prune, which holds no backup."""
    files = (entry for entry in path.rglob("*") if entry.is_file() and entry.parent.name != ".reserve")
    return sum(entry.stat().st_size for entry in files) / 2**20


def obbackup(arguments):
    return f"{programs}/obbackup --quiet --json {arguments}"


def instance(arguments):
    shell(f"{programs}/examples/instance {arguments}")


PROGRAMS = {
    "obbackup": {
        "init": lambda: obbackup(f"init --repository {place}/obbackup"),
        "backup": lambda: obbackup(f"--repository {place}/obbackup backup"),
    },
    "pg_dump + tar": {
        "init": lambda: f"mkdir {place}/scripts",
        "backup": lambda: f"rm -f {place}/scripts/*; pg_dump -Fc -f {place}/scripts/db.dump openbravo;"
        f" tar czf {place}/scripts/files.tgz {directories} 2>/dev/null",
    },
    "restic": {
        "init": lambda: f"restic init -q -r {place}/restic",
        "backup": lambda: f"pg_dump openbravo | restic backup -q -r {place}/restic --stdin --stdin-filename db.sql;"
        f" restic backup -q -r {place}/restic {directories}",
    },
    "borg": {
        "init": lambda: f"borg init -e none {place}/borg",
        "backup": lambda: f"pg_dump openbravo | borg create {place}/borg::db-$RANDOM$RANDOM -;"
        f" borg create {place}/borg::files-$RANDOM$RANDOM {directories}",
    },
}
AFTER_RESTORE = "dropdb bench_restored; psql -qc CHECKPOINT postgres"
PLACES = {"obbackup": "obbackup", "pg_dump + tar": "scripts", "restic": "restic", "borg": "borg"}


def main():
    (place / "restic-password").write_text("bench\n")
    world.mkdir()
    instance(f"create {world} --megabytes {megabytes} --files {files}")
    if memory_only:
        return memory()
    results = {}
    for number in range(rounds):
        for name in PROGRAMS:
            shutil.rmtree(place / PLACES[name], ignore_errors=True)
            (world / "openbravo/config/obbackup.toml").unlink(missing_ok=True)
            shell(PROGRAMS[name]["init"]())
        # Warms the caches of files and tables for whoever comes first.
        shell(f"pg_dump openbravo >/dev/null; tar cf - {directories} 2>/dev/null | cat >/dev/null")
        for stage in ("full", "night"):
            for name in PROGRAMS:
                before = size(place / PLACES[name]) if PLACES[name] != "scripts" else 0
                result = measured(PROGRAMS[name]["backup"]())
                result["stored"] = size(place / PLACES[name]) - before
                results.setdefault((stage, name), []).append(result)
            if stage == "full":
                restore(results)
                instance(f"day {world}")
        print(f"round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    if not table(results):
        sys.exit("a bar was not held")


def restore(results):
    """Into a new database: ours, and pg_restore from the scripts' dump, twice in both orders.

    The first restore on a server makes the files of its log, which those after it use again: so one goes before that
    is not measured.
    """
    theirs = f"createdb bench_restored; pg_restore -j2 -d bench_restored {place}/scripts/db.dump"
    commands = {
        "obbackup": obbackup(f"--repository {place}/obbackup restore latest --to-database bench_restored --yes"),
        "pg_restore -j2": theirs,
    }
    shell(f"{theirs}; {AFTER_RESTORE}")
    for name in (*commands, *reversed(commands)):
        result = measured(commands[name])
        print(f"restore by {name}: {result['wall']:.1f} s", file=sys.stderr, flush=True)
        results.setdefault(("restore", name), []).append(result)
        shell(AFTER_RESTORE)


def table(results):
    def median(stage, name, key):
        return statistics.median(result[key] for result in results[stage, name])

    print(f"\nMedians of {rounds} rounds; {os.cpu_count()} cores; database {megabytes} MB, {files} files.\n")
    print("| | program | wall s | CPU s | peak MiB | stored MiB | wall, ours / theirs |")
    print("|---|---|---|---|---|---|---|")
    for stage, name in results:
        stored = f"{median(stage, name, 'stored'):.1f}" if stage != "restore" else ""
        ratio = median(stage, "obbackup", "wall") / median(stage, name, "wall")
        print(
            f"| {stage} | {name} | {median(stage, name, 'wall'):.1f} | {median(stage, name, 'cpu'):.1f} "
            f"| {median(stage, name, 'memory'):.0f} | {stored} | {'' if name == 'obbackup' else f'{ratio:.2f}'} |"
        )
    ours = median("full", "obbackup", "wall")
    best = min(median("full", name, "wall") for name in ("restic", "borg"))
    night = min(median("night", name, "stored") for name in ("restic", "borg"))
    print()
    is_held = True
    for text, value, bar in (
        ("full / scripts", ours / median("full", "pg_dump + tar", "wall"), 0.35),
        ("full / best of restic and borg", ours / best, 1.0),
        ("stored on the night / best", median("night", "obbackup", "stored") / night, 1.0),
        ("restore / pg_restore -j2", median("restore", "obbackup", "wall") / median("restore", "pg_restore -j2", "wall"), 0.95),
    ):
        is_held &= value <= bar
        print(f"- {text}: {value:.2f}, bar {bar:.2f}: {'held' if value <= bar else 'NOT held'}")
    return is_held


def memory():
    repository = f"--repository {place}/obbackup"
    shell(obbackup(f"init --repository {place}/obbackup"))
    print(f"\nDatabase {megabytes} MB, {files} files.\n\n| command | wall s | peak MiB |\n|---|---|---|")
    for name, arguments in (
        ("backup, first", "backup"),
        ("backup, unchanged", "backup"),
        ("list", "list"),
        ("ls", "ls latest sources"),
        ("cat of a table", "cat latest table:public.fact_acct"),
        ("verify --read-data", "verify --read-data"),
        ("restore to a database", "restore latest --to-database bench_restored --yes"),
        ("restore to a directory", f"restore latest --to-directory {place}/restored --yes"),
    ):
        result = measured(obbackup(f"{repository} {arguments}"))
        print(f"| {name} | {result['wall']:.1f} | {result['memory']:.0f} |", flush=True)


main()
