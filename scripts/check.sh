#!/usr/bin/env bash
# Static checks before the tests. Prints a heading and the duration of each step.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/target.sh

step() {
    local what=$1 start=$SECONDS
    shift
    echo "== $what"
    "$@"
    echo "== $what: $((SECONDS - start)) s"
}

install_deny() {
    cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --quiet
}

# The advisory database is on the network. A finding fails. An unreachable database is reported as skipped.
advisories() {
    local output
    if output=$(cargo deny check advisories 2>&1); then
        echo 'advisories ok'
    elif grep -q 'failed to fetch advisory database' <<<"$output"; then
        echo 'skipped: advisories: the advisory database cannot be fetched'
    else
        echo "$output"
        return 1
    fi
}

build_docs() {
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items --quiet
}

step 'formatting' cargo fmt --check
step 'lints' cargo clippy --locked --all-targets --quiet -- -D warnings
step 'pure modules alone' cargo check --locked --lib --no-default-features --quiet
step 'cargo-deny is installed' install_deny
step 'licences, bans, sources' cargo deny check bans licenses sources
step 'advisories' advisories
step 'documentation' build_docs
