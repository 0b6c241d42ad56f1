#!/usr/bin/env bash
# Tests the Java side against the real library, a made-up instance and a private PostgreSQL server, under -Xcheck:jni,
# and the jar on each Java that there is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Lets a Java look at the jar and work with it: jar NAME JAVA
jar() {
  if ! command -v "$2" >/dev/null; then
    echo "SKIPPED java $1: not fetched by tests/support/setup.sh"
    return
  fi
  local place=$OBBACKUP_WORLD/jar-$1 failed=0
  mkdir "$place"
  "$2" -Xcheck:jni -cp "$(echo java/target/obbackup-*.jar):java/target/test-classes" \
    org.openbravo.backup.JarCheck java/target/obbackup-*.jar "$OBBACKUP_WORLD/openbravo" "$place" </dev/null 2>&1 || failed=1
  echo "java: Tests run: 1, Failures: $failed, Errors: 0, Skipped: 0"
}

# Closes with lines that .ci/run counts, and fails where a test failed or the JVM complained of a use of JNI.
if [[ ${1:-} == inside ]]; then
  cache=$(tests/support/setup.sh cache)
  export OBBACKUP_WORLD=$2 OBBACKUP_EXAMPLES=$3 OBBACKUP_TEST_CACHE=$cache CATALINA_BASE=$2/tomcat
  "$3/instance" create "$OBBACKUP_WORLD" --megabytes 30 --files 800
  log=$OBBACKUP_WORLD/maven.log
  status=0
  (cd java && mvn -B --no-transfer-progress -Dstyle.color=never "${@:4}" test) </dev/null 2>&1 | tee "$log" || status=$?
  # Maven leaves the line unfinished. The last of these is the sum of all.
  echo
  grep -Eo 'Tests run: [0-9]+, Failures: [0-9]+, Errors: [0-9]+, Skipped: [0-9]+$' "$log" | tail -n 1 | sed 's/^/java: /'

  (cd java && mvn -q -B -Dstyle.color=never -DskipTests package) </dev/null || status=$?
  { jar default java && jar 11 "$cache/java/11/bin/java" && jar 21 "$cache/java/21/bin/java"; } | tee "$log.jar"
  ! grep -q '^java: .*Failures: 1' "$log.jar" || status=1

  complaints=$(cat "$log" "$log.jar" java/target/surefire-reports/*.dumpstream 2>/dev/null |
    grep -E '(WARNING|FATAL ERROR) in native method' || true)
  if [[ -n $complaints ]]; then
    printf 'the JVM complains of how JNI is used:\n%s\n' "$complaints"
    status=1
  fi
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
