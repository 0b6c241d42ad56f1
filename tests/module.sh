#!/usr/bin/env bash
# Checks the Openbravo module without an ERP: the rules of its dictionary, and that its Java compiles.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PYTHONDONTWRITEBYTECODE=1
python3 -m unittest discover --start-directory tests/module --pattern 'test_*.py' --verbose

if ! command -v mvn >/dev/null; then
  echo "SKIPPED module's Java: there is no mvn"
  exit 0
fi
mvn --quiet --batch-mode --file openbravo-module/pom.xml compile
