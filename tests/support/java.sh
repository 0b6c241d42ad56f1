# What the Java tests run in: the real native library, a made-up instance and a private PostgreSQL server. To be sourced by a
# bash script in the project's directory, which calls itself inside of it.

# in_world NAME SCRIPT [ARGUMENT...]: builds, and runs `SCRIPT inside WORLD EXAMPLES ARGUMENT...` beside the server.
in_world() {
  local name=$1 script=$2 program world examples
  shift 2
  for program in javac mvn; do
    if ! command -v "$program" >/dev/null; then
      echo "SKIPPED $name: there is no $program"
      exit 0
    fi
  done
  cargo build --locked --lib --bins --examples
  java/stage.sh debug
  world=$(mktemp -d)
  # The server's user must be able to look in.
  chmod 755 "$world"
  # shellcheck disable=SC2064 # Gone is the local one when the trap runs.
  trap "rm -rf '$world'" EXIT
  examples=$(realpath "${CARGO_TARGET_DIR:-target}/debug/examples")
  "$examples/instance" beside -- "$script" inside "$world" "$examples" "$@"
}

# make_instance WORLD EXAMPLES: what the tests find by OBBACKUP_WORLD and CATALINA_BASE.
make_instance() {
  export OBBACKUP_WORLD=$1 CATALINA_BASE=$1/tomcat
  "$2/instance" create "$1" --megabytes 30 --files 800
}

# maven_test DIRECTORY LOG [ARGUMENT...]: runs the tests, and closes with a line that .ci/run counts.
maven_test() {
  local directory=$1 log=$2 status=0
  shift 2
  (cd "$directory" && mvn -B --no-transfer-progress -Dstyle.color=never "$@" test) </dev/null 2>&1 | tee "$log" || status=$?
  # Maven leaves the line unfinished. The last of these is the sum of all.
  echo
  grep -Eo 'Tests run: [0-9]+, Failures: [0-9]+, Errors: [0-9]+, Skipped: [0-9]+$' "$log" | tail -n 1 | sed 's/^/java: /'
  return "$status"
}
