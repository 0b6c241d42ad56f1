#!/usr/bin/env bash
# Puts the native library and the command where Maven takes them from: java/stage.sh debug|release
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
built=${CARGO_TARGET_DIR:-target}/$1
place=java/target/native/linux-$(uname -m)
mkdir -p "$place"
for name in libobbackup.so obbackup; do
  # Debugging symbols are of no use in a jar and would make it ten times as large.
  strip --strip-debug -o "$place/$name" "$built/$name"
  chmod 755 "$place/$name"
done
(cd "$place" && sha256sum libobbackup.so obbackup >SHA256SUMS)
