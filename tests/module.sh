#!/usr/bin/env bash
# Tests the Openbravo module without an ERP: the rules of its dictionary, and its Java in a real Tomcat and a browser, with the
# real native library, a made-up instance and a private PostgreSQL server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Closes with a line that .ci/run counts.
if [[ ${1:-} == inside ]]; then
  export OBBACKUP_WORLD=$2 CATALINA_BASE=$2/tomcat
  "$3/instance" create "$OBBACKUP_WORLD" --megabytes 30 --files 800
  log=$OBBACKUP_WORLD/maven.log
  status=0
  (cd openbravo-module && mvn -B --no-transfer-progress -Dstyle.color=never "${@:4}" test) </dev/null 2>&1 |
    tee "$log" || status=$?
  echo
  grep -Eo 'Tests run: [0-9]+, Failures: [0-9]+, Errors: [0-9]+, Skipped: [0-9]+$' "$log" | tail -n 1 | sed 's/^/java: /'
  exit "$status"
fi

export PYTHONDONTWRITEBYTECODE=1
python3 -m unittest discover --start-directory tests/module --pattern 'test_*.py' --verbose

for program in javac mvn; do
  if ! command -v "$program" >/dev/null; then
    echo "SKIPPED module's Java: there is no $program"
    exit 0
  fi
done
cargo build --locked --lib --bins --examples
java/stage.sh debug
world=$(mktemp -d)
# The server's user must be able to look in.
chmod 755 "$world"
trap 'rm -rf "$world"' EXIT
examples=$(realpath "${CARGO_TARGET_DIR:-target}/debug/examples")
"$examples/instance" beside -- tests/module.sh inside "$world" "$examples" "$@"
