#!/usr/bin/env bash
# Checks Cargo.lock against the RustSec advisories, and for yanked crates.
#
# The database is a git repository and comes from no package registry. So: it is fetched where its host can be
# reached; else a copy that is there already serves, with its date; else the check is said not to have been done.
# OBBACKUP_ADVISORY_DB names a clone to use instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=$(tests/support/setup.sh cache)
deny="$cache/bin/cargo-deny"
upstream=https://github.com/RustSec/advisory-db
databases="$cache/advisories"
# The directory that cargo-deny keeps a clone of `upstream` in: the name and a hash of the address.
clone="$databases/advisory-db-3157b0e258782691"
mkdir -p "$databases"
sed "s|^\[advisories\]|&\ndb-path = \"$databases\"|" deny.toml >"$databases/deny.toml"

if [[ -n ${OBBACKUP_ADVISORY_DB:-} ]]; then
  rm -rf "$clone"
  git clone --quiet --depth 1 "file://$(realpath "$OBBACKUP_ADVISORY_DB")" "$clone"
elif timeout 20 git ls-remote --exit-code "$upstream" HEAD >/dev/null 2>&1; then
  # A copy that was put there by hand may not be updated from the real one.
  [[ $(git -C "$clone" config remote.origin.url 2>/dev/null || true) == "$upstream" ]] || rm -rf "$clone"
  exec "$deny" --locked --config "$databases/deny.toml" check advisories
fi
if [[ -d $clone ]]; then
  echo "advisories: a copy of $(git -C "$clone" log -1 --format=%cs)"
  exec "$deny" --locked --offline --config "$databases/deny.toml" check advisories
fi
echo "SKIPPED advisories: $upstream cannot be reached and no copy is at hand (OBBACKUP_ADVISORY_DB)" >&2
