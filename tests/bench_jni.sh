#!/usr/bin/env bash
# Measures backups through JNI: their time beside the command's, or with `memory` what a JVM with a heap of 256 MB
# needs for an instance of 5 GB. See tests/bench_jni.py and docs/performance.md.
#
#   bench_jni.sh [memory]      BENCH_PROFILE=debug tries the mechanics without a release build
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=${BENCH_PROFILE:-release}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/$profile
[[ $profile == debug ]] && build=() || build=(--release)
cargo build "${build[@]}" --locked --lib --bins --examples
java/stage.sh "$profile"
(cd java && mvn --quiet --batch-mode --define style.color=never --define skipTests package)
place=$(mktemp -d "${BENCH_DIRECTORY:-/var/tmp}/obbackup-bench.XXXXXX")
chmod 755 "$place"
trap 'rm -rf "$place"' EXIT
"$target/examples/instance" beside --set shared_buffers=512MB --set max_wal_size=8GB -- \
  python3 tests/bench_jni.py "$target" java/target "$place" "$@"
