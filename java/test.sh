#!/usr/bin/env bash
# Tests the Java side against the real library, a made-up instance and a private PostgreSQL server, under -Xcheck:jni,
# and the jar on each Java that there is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/support/java.sh

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
  # Copies of what lies in buckets are kept where nobody's own are.
  export OBBACKUP_EXAMPLES=$3 OBBACKUP_TEST_CACHE=$cache XDG_CACHE_HOME=$2/cache
  make_instance "$2" "$3"
  log=$2/maven.log
  status=0
  maven_test java "$log" "${@:4}" || status=$?

  (cd java && mvn -q -B -Dstyle.color=never -DskipTests package) </dev/null || status=$?
  { jar default java && jar 11 "$cache/java/11/bin/java" && jar 21 "$cache/java/21/bin/java"; } | tee "$log.jar"
  ! grep -q '^java: .*Failures: 1' "$log.jar" || status=1

  complaints=$(cat "$log" "$log.jar" java/target/surefire-reports/*.dumpstream 2>/dev/null |
    grep -E '(WARNING|FATAL ERROR) in native method|JNI local refs: ' || true)
  if [[ -n $complaints ]]; then
    printf 'the JVM complains of how JNI is used:\n%s\n' "$complaints"
    status=1
  fi
  exit "$status"
fi

in_world java java/test.sh "$@"
