#!/usr/bin/env bash
# The release binary against programs we did not write. What is missing here is printed as skipped, with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
failed=0

# counterpart NAME SCRIPT BINARY PROGRAM:PACKAGE...
counterpart() {
    local name=$1 script=$2 binary=$3 said
    shift 3
    echo "== $name"
    if [ ! -f "$script" ]; then
        echo "skipped: $name: $script is not there"
    elif ! said=$(sh scripts/need.sh "$@" 2>&1); then
        echo "skipped: $name: ${said##*need: }"
    else
        [ -z "$said" ] || echo "$said"
        python3 "$script" "$binary" || failed=1
    fi
}

echo '== release build'
cargo build --locked --release --bin vestibule
[ ! -f examples/identity.rs ] || cargo build --locked --release --example identity

counterpart 'Chromium' tests/real/browser.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver
counterpart "FusionAuth's Python client" tests/real/fusionauth_client.py "$target/release/examples/identity" \
    python3:python3 pip3:python3-pip

exit $failed
