#!/usr/bin/env bash
# Tests the Openbravo module on a real ERP that has it, in a browser; see docs/testing.md. The ERP is changed, restored and
# restarted: never name one that somebody works with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -z ${OPENBRAVO_HOME:-} || -z ${OPENBRAVO_URL:-} ]]; then
  echo "SKIPPED the module on a real Openbravo: OPENBRAVO_HOME and OPENBRAVO_URL do not name one"
  exit 0
fi
place=$(tests/support/setup.sh cache)/erp
mkdir -p "$place"
cp -R tests/erp/*.json tests/erp/*.mjs tests/erp/harmless "$place/"
(cd "$place" && npm ci --silent --no-audit --no-fund)
export OBBACKUP_TEST_PICTURES=${OBBACKUP_TEST_PICTURES:-$PWD/target/screenshots/erp}
cd "$place"
exec node --test --test-reporter=spec --test-concurrency=1 "$@"
