#!/usr/bin/env bash
# The whole story on a made-up instance: back up, a day of business, back up again, lose everything, restore, compare.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}
if [[ ${1:-} != inside ]]; then
  cargo build --release --locked --bins --examples
  place=$(mktemp -d)
  # The server's user must be able to look in.
  chmod 755 "$place"
  trap 'rm -rf "$place"' EXIT
  "$target/release/examples/instance" beside --set fsync=off -- bash tests/demo.sh inside "$place"
  exit
fi

place=$2
world=$place/instance
mkdir "$world"
sources=$world/openbravo
export CATALINA_BASE=$world/tomcat OBBACKUP_INSTANCE=$sources PGCLIENTENCODING=UTF8
obbackup=$(realpath "$target/release/obbackup")

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' green=$'\e[32m' plain=$'\e[0m'; else bold='' green='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() { printf '%s$ obbackup %s%s\n' "$bold" "$*" "$plain"; "$obbackup" --quiet "$@"; }
same() { printf '%s  same  %s%s\n' "$green" "$*" "$plain"; }
fail() { printf 'NOT THE SAME: %s\n' "$*" >&2; exit 1; }
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }

# One line a table: its name, its rows, and a checksum that their order does not matter to.
tables() {
  local name
  sql --dbname "$1" --command "
      SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1" |
    while read -r name; do
      echo "SELECT '$name', count(*), coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0) FROM $name t;"
    done | sql --dbname "$1"
}

# One line a file: kind, mode, owner, size, time, name, where it points to, and a checksum of its content.
trees() {
  local directory
  for directory in "$sources" "$world/tomcat/webapps/openbravo" "$world/attachments"; do
    (cd "$directory" &&
      find . -name .obbackup -prune -o -printf '%y %m %U:%G %s %T@ %p %l\n' | sed 's/^d \([^ ]* [^ ]*\) [^ ]*/d \1 -/' |
      grep -v ' \. $' | LC_ALL=C sort
      find . -name .obbackup -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
  done
}

say '1  A made-up Openbravo instance'
"$target/release/examples/instance" create "$world" --megabytes 40 --files 3000 2>/dev/null
printf '  database    %s, %s tables\n' "$(sql --dbname postgres -c "SELECT pg_size_pretty(pg_database_size('openbravo'))")" "$(tables openbravo | wc -l)"
for directory in openbravo tomcat attachments; do
  printf '  %-11s %s files, %s\n' "$directory" "$(find "$world/$directory" -type f | wc -l)" "$(du -sh "$world/$directory" | cut -f1)"
done

say '2  The first backup: all of it, while the application could keep running'
run init --repository "$place/repository"
run backup --label 'first'

say '3  A day of business, and the backup of the night: only what changed is stored'
"$target/release/examples/instance" day "$world" 2>/dev/null
sql --dbname openbravo --command 'REFRESH MATERIALIZED VIEW sales_of_month_mv'
run backup --label 'after a day'
run list

say '4  Every byte in the repository is read and proven'
run verify --read-data

say '5  Disaster: tables dropped, documents deleted, attachments and sources gone'
tables openbravo >"$place/tables"
trees >"$place/trees"
sql --dbname openbravo --command 'DROP TABLE c_orderline, fact_acct CASCADE; DELETE FROM c_file;' 2>/dev/null
rm -rf "$world/attachments"/* "$sources/src" "$sources/modules" "$world/tomcat/webapps/openbravo/WEB-INF"
printf '  %s tables are left, %s files\n' "$(tables openbravo | wc -l)" "$(find "$world"/{openbravo,tomcat,attachments} -type f | wc -l)"

say '6  One command brings it back'
latest=$("$obbackup" --quiet --json list | python3 -c 'import json, sys; print(json.load(sys.stdin)["backups"][0]["id"][:8])')
run restore "$latest" --yes --no-safety-backup

say '7  Is it the same?'
tables openbravo >"$place/tables-now"
trees >"$place/trees-now"
diff "$place/tables" "$place/tables-now" >&2 || fail 'the rows of the database'
same "$(wc -l <"$place/tables") tables, row for row"
diff "$place/trees" "$place/trees-now" >&2 || fail 'the files'
same "$(grep -c '^[0-9a-f]\{64\} ' "$place/trees") files: content, mode, owner and time"
[[ $(sql --dbname openbravo -c "SELECT ad_db_modified('N')") == N ]] || fail 'ad_db_modified'
same "ad_db_modified('N') answers N: Openbravo sees an untouched database"
printf '\n%sEverything came back.%s\n' "$green$bold" "$plain"
