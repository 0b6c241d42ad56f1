#!/usr/bin/env bash
# Measures obbackup beside scripts, restic and borg on a generated instance; see tests/bench.py and docs/performance.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cargo build --release --locked --bins --examples
place=$(mktemp -d "${BENCH_DIRECTORY:-/var/tmp}/obbackup-bench.XXXXXX")
chmod 755 "$place"
trap 'rm -rf "$place"' EXIT
"$target/release/examples/instance" beside --set shared_buffers=512MB --set max_wal_size=8GB -- \
  python3 tests/bench.py "$target/release" "$place"
