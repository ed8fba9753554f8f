#!/usr/bin/env bash
# Measures the memory of a million sessions and of a million rate-limited accounts. Then compares the CPU
# per request of the gateway with plain Pingora, nginx, HAProxy and Envoy in front of the same upstream, in
# the clear and over TLS. Arguments are those of scripts/bench/side_by_side.py after the directory.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/target.sh

sh scripts/need.sh python3:python3 nginx:nginx-light wrk:wrk curl:curl openssl:openssl
# What is still missing is printed as skipped.
sh scripts/need.sh haproxy:haproxy h2load:nghttp2-client || true
cargo build --locked --release --bin vestibule --example plain_proxy --example plain_proxy_mimalloc \
    --example session_memory --example throttle_memory
"$target/release/examples/session_memory"
"$target/release/examples/throttle_memory"
exec python3 scripts/bench/side_by_side.py "$target/release" "$@"
