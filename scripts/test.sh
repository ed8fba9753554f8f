#!/usr/bin/env bash
# Every test there is: unit and integration tests, the examples in the documentation, then programs we did not write.
# What cannot run here is printed as `skipped: WHAT: REASON` and told again at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

# The store's tests start it themselves, and say so where it is missing.
said=$(sh scripts/need.sh redis-server:redis-server redis-sentinel:redis-sentinel 2>&1) || true
[ -z "$said" ] || echo "$said"

# One failure does not hide what comes after it.
circle() {
    "$@" 2>&1 | tee -a "$log" || failed=1
}

circle cargo test --locked --no-fail-fast --lib --bins --tests --examples
circle cargo test --locked --doc
circle bash scripts/real.sh

grep '^skipped: ' "$log" || true
echo "== tests: $SECONDS s"
# Sums the lines `test result: ok. 3 passed; 0 failed; …` of cargo and `3 passed, 0 failed` of the scripts.
awk '/^test result: / { passed += $4; failed += $6; ignored += $8 }
     /^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3 }
     /^skipped: / { skipped += 1 }
     END { printf "tests: %d passed, %d failed, %d ignored, %d counterparts skipped\n", passed, failed, ignored, skipped }' "$log"
exit $failed
