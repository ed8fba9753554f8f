#!/usr/bin/env bash
# Runs all tests: unit and integration tests, the examples in the documentation, then the tests with
# third-party programs. Skipped tests are printed as `skipped: WHAT: REASON`, and again at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/target.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

# The tests of the Redis store start the servers themselves, and report missing programs.
output=$(sh scripts/need.sh redis-server:redis-server redis-sentinel:redis-sentinel 2>&1) || true
[ -z "$output" ] || echo "$output"

# A failure does not prevent the tests after it.
run() {
    "$@" 2>&1 | tee -a "$log" || failed=1
}

run env SIMULATION_SCHEDULES=0 cargo test --locked --no-fail-fast --lib --bins --tests --examples
# Again with browsers and phones that speak HTTP/2, for the modules whose subject is what they get.
run env STORIES_OVER=http2 cargo test --locked --no-fail-fast --test stories -- browsers:: caches:: \
    first_visit:: hosted_backend:: known_devices:: languages:: lost_work:: mobile:: service_tokens:: \
    signing_in:: signing_out:: single_page:: steps_by_form:: trouble:: web_pages_with
run cargo test --locked --doc
# The simulation runs in virtual time: it may share the machine with the build that the next tests need.
# That one ends on a single core. If it fails, scripts/real.sh says why.
cargo build --locked --release --bin vestibule --quiet >/dev/null 2>&1 &
run cargo test --locked --test simulation
wait
run bash scripts/real.sh

grep '^skipped: ' "$log" || true
echo "== tests: $SECONDS s"
# Sums the lines `test result: ok. 3 passed; 0 failed; …` of cargo and `3 passed, 0 failed` of the scripts.
awk '/^test result: / { passed += $4; failed += $6; ignored += $8 }
     /^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3 }
     /^skipped: / { skipped += 1 }
     END { printf "tests: %d passed, %d failed, %d ignored, %d counterparts skipped\n", passed, failed, ignored, skipped }' "$log"
exit $failed
