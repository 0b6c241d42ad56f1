#!/usr/bin/env bash
# Runs the tests of the independent reader of the repository format.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PYTHONDONTWRITEBYTECODE=1
exec python3 -m unittest discover --start-directory tests/reader --pattern 'test_*.py' --verbose
