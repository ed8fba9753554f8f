#!/usr/bin/env bash
# Measures the memory of a million sessions and of a million rate-limited accounts. Then compares the CPU
# per request of the gateway with a plain Pingora proxy and a plain nginx in front of the same upstream.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/target.sh

sh scripts/need.sh python3:python3 nginx:nginx-light wrk:wrk curl:curl
cargo build --locked --release --bin vestibule --example plain_proxy --example plain_proxy_mimalloc \
    --example session_memory --example throttle_memory
"$target/release/examples/session_memory"
"$target/release/examples/throttle_memory"
exec python3 scripts/bench/side_by_side.py "$target/release" "$@"
