#!/usr/bin/env bash
# Runs the tests of the independent reader of the repository format.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHONPATH="$(tests/support/setup.sh cache)/python${PYTHONPATH:+:$PYTHONPATH}"
PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH PYTHONDONTWRITEBYTECODE
exec python3 -m unittest discover --start-directory tests/reader --pattern 'test_*.py' --verbose
