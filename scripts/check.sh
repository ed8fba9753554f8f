#!/usr/bin/env bash
# All that is asked of the code before its tests run. One heading and one time per step.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    local what=$1 start=$SECONDS
    shift
    echo "== $what"
    "$@"
    echo "== $what: $((SECONDS - start)) s"
}

deny_is_here() {
    cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --quiet
}

# Advisories live in a database on the network. A finding fails; a database out of reach is said, not hidden.
advisories() {
    local said
    if said=$(cargo deny check advisories 2>&1); then
        echo 'advisories ok'
    elif grep -q 'failed to fetch advisory database' <<<"$said"; then
        echo 'skipped: advisories: the advisory database cannot be fetched'
    else
        echo "$said"
        return 1
    fi
}

document() {
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items --quiet
}

step 'formatting' cargo fmt --check
step 'lints' cargo clippy --locked --all-targets --quiet -- -D warnings
step 'the pure core alone' cargo check --locked --lib --no-default-features --quiet
step 'cargo-deny is here' deny_is_here
step 'licences, bans, sources' cargo deny check bans licenses sources
step 'advisories' advisories
step 'documentation' document
