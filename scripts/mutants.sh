#!/usr/bin/env bash
# Plays the mutants of the code with the tests, see `scripts/mutants/mutants.py`. It needs cargo-mutants.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/target.sh

directory=$target/mutants
if ! cmp -s scripts/mutants/requirements.txt "$directory/venv/requirements.txt"; then
    python3 -m venv --clear "$directory/venv"
    "$directory/venv/bin/pip" install --quiet --requirement scripts/mutants/requirements.txt
    cp scripts/mutants/requirements.txt "$directory/venv/"
fi
"$directory/venv/bin/python" scripts/mutants/mutants.py "$directory" "$@"
