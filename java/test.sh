#!/usr/bin/env bash
# Tests the Java side against the real library, a made-up instance and a private PostgreSQL server, under -Xcheck:jni.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Closes with a line that .ci/run counts, and fails where a test failed or the JVM complained of a use of JNI.
if [[ ${1:-} == inside ]]; then
  export OBBACKUP_WORLD=$2 CATALINA_BASE=$2/tomcat
  "$3/instance" create "$OBBACKUP_WORLD" --megabytes 30 --files 800
  log=$OBBACKUP_WORLD/maven.log
  status=0
  (cd java && mvn -B --no-transfer-progress -Dstyle.color=never "${@:4}" test) </dev/null 2>&1 | tee "$log" || status=$?
  complaints=$(cat "$log" java/target/surefire-reports/*.dumpstream 2>/dev/null |
    grep -E '(WARNING|FATAL ERROR) in native method' || true)
  if [[ -n $complaints ]]; then
    printf 'the JVM complains of how JNI is used:\n%s\n' "$complaints"
    status=1
  fi
  # Maven leaves the line unfinished. The last of these is the sum of all.
  echo
  grep -Eo 'Tests run: [0-9]+, Failures: [0-9]+, Errors: [0-9]+, Skipped: [0-9]+$' "$log" | tail -n 1 | sed 's/^/java: /'
  exit "$status"
fi

for program in javac mvn; do
  if ! command -v "$program" >/dev/null; then
    echo "SKIPPED java: there is no $program"
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
"$examples/instance" beside -- java/test.sh inside "$world" "$examples" "$@"
