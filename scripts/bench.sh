#!/usr/bin/env bash
# Memory of a million sessions; then CPU per request of the gateway beside a plain Pingora proxy and a plain nginx,
# before the same upstream.
set -euo pipefail
cd "$(dirname "$0")/.."

sh scripts/need.sh python3:python3 nginx:nginx-light wrk:wrk
cargo build --locked --release --bin vestibule --example plain_proxy --example plain_proxy_mimalloc \
    --example session_memory --example throttle_memory
"${CARGO_TARGET_DIR:-target}/release/examples/session_memory"
"${CARGO_TARGET_DIR:-target}/release/examples/throttle_memory"
exec python3 scripts/bench/side_by_side.py "${CARGO_TARGET_DIR:-target}/release" "$@"
