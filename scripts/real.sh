#!/usr/bin/env bash
# Tests the release binary with third-party programs. A test whose program is not available is printed as
# skipped, with the reason. In CI (CI=true), that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
failed=0

skipped() {
    echo "skipped: $1: $2"
    [ "${CI:-}" != true ] || failed=1
}

# counterpart NAME SCRIPT BINARY PROGRAM:PACKAGE...
counterpart() {
    local name=$1 script=$2 binary=$3 output status=0
    shift 3
    echo "== $name"
    if ! output=$(sh scripts/need.sh "$@" 2>&1); then
        skipped "$name" "${output##*need: }"
        return
    fi
    [ -z "$output" ] || echo "$output"
    python3 "$script" "$binary" || status=$?
    # 77, as in automake: the script has printed what is missing.
    case $status in
    0) ;;
    77) [ "${CI:-}" != true ] || failed=1 ;;
    *) failed=1 ;;
    esac
}

echo '== release build'
cargo build --locked --release --bin vestibule
# The programs next to it need not be fast, and build quickly without optimization.
cargo build --locked --example identity_server --example pages
export EXAMPLES="$target/debug/examples"

counterpart 'Chromium' tests/real/browser.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver
counterpart 'axe-core' tests/real/accessibility.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver node:nodejs npm:npm
counterpart "FusionAuth's SDK for React" tests/real/react_sdk.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver node:nodejs npm:npm
counterpart 'a thousand renewals at once' tests/real/parallel_renewal.py "$target/release/vestibule" python3:python3
counterpart 'a flood of passwords' tests/real/flood.py "$target/release/vestibule" python3:python3
counterpart 'upgrades under load' tests/real/upgrade.py "$target/release/vestibule" python3:python3 wrk:wrk
counterpart 'a rolling restart' tests/real/rolling.py "$target/release/vestibule" \
    python3:python3 wrk:wrk nginx:nginx-light haproxy:haproxy
counterpart 'promtool' tests/real/metrics.py "$target/release/vestibule" python3:python3 promtool:prometheus
counterpart 'three replicas and a Redis' tests/real/replicas.py "$target/release/vestibule" \
    python3:python3 redis-server:redis-server
counterpart 'an nginx that caches everything' tests/real/nginx_cache.py "$target/release/vestibule" \
    python3:python3 nginx:nginx-light
counterpart 'proxies that ask first' tests/real/forward_auth.py "$target/release/vestibule" \
    python3:python3 python3.pip:python3-pip nginx:nginx-light caddy:caddy openssl:openssl
counterpart 'odd messages before h11' tests/real/differential.py "$target/release/vestibule" \
    python3:python3 python3.pip:python3-pip
counterpart 'HTTP/2 clients before h11' tests/real/http2.py "$target/release/vestibule" \
    python3:python3 python3.pip:python3-pip
counterpart 'clocks ten seconds apart' tests/real/clocks_apart.py "$target/release/vestibule" \
    python3:python3 redis-server:redis-server openssl:openssl faketime:faketime
counterpart 'TLS scanners' tests/real/tls.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv openssl:openssl testssl:testssl.sh
counterpart 'certificates from pebble' tests/real/acme.py "$target/release/vestibule" \
    python3:python3 pebble:pebble openssl:openssl
counterpart 'schemathesis' tests/real/openapi.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv
counterpart "FusionAuth's Python client" tests/real/fusionauth_client.py "$EXAMPLES/identity_server" \
    python3:python3 python3.ensurepip:python3-venv

# application NAME SCRIPT PROGRAM:PACKAGE...: one of the unmodified applications.
application() {
    local name=$1 script=$2
    shift 2
    counterpart "$name" "tests/real/applications/$script" "$target/release/vestibule" python3:python3 "$@"
}
chromium=(chromium:chromium chromedriver:chromium-driver)
venv=(python3.ensurepip:python3-venv)
php=(nginx:nginx-light php-fpm8.2:php-fpm)
application 'a store (django-oscar)' store.py "${venv[@]}" "${chromium[@]}"
application 'a forum (Spirit)' forum.py "${venv[@]}" "${chromium[@]}"
application 'WordPress' wordpress.py "${chromium[@]}" "${php[@]}" mariadbd:mariadb-server \
    /usr/share/wordpress/index.php:wordpress \
    /usr/share/wordpress/wp-content/themes/twentytwentythree/style.css:wordpress-theme-twentytwentythree
application 'a wiki (MediaWiki)' wiki.py "${chromium[@]}" "${php[@]}" /usr/share/mediawiki/index.php:mediawiki \
    /etc/php/8.2/mods-available/sqlite3.ini:php-sqlite3
application 'notebooks (JupyterLab)' notebooks.py "${venv[@]}" "${chromium[@]}"
application 'a file server (copyparty)' files.py "${venv[@]}" cadaver:cadaver
application 'git over HTTP' git_http.py git:git nginx:nginx-light fcgiwrap:fcgiwrap
application 'a calendar server (Radicale)' calendars.py "${venv[@]}" cadaver:cadaver
application 'a package index (pypiserver)' packages.py "${venv[@]}"
application 'a package registry (verdaccio)' modules.py node:nodejs npm:npm

exit $failed
