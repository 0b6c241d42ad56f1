#!/usr/bin/env bash
# Tests the Openbravo module without an ERP: the rules of its dictionary, and its Java in a real Tomcat and a browser, with the
# real native library, a made-up instance and a private PostgreSQL server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/support/java.sh

if [[ ${1:-} == inside ]]; then
  make_instance "$2" "$3"
  maven_test openbravo-module "$2/maven.log" "${@:4}"
  exit
fi

export PYTHONDONTWRITEBYTECODE=1
python3 -m unittest discover --start-directory tests/module --pattern 'test_*.py' --verbose
in_world "module's Java" tests/module.sh "$@"
