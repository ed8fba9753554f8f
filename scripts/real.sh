#!/usr/bin/env bash
# Tests the release binary with third-party programs, and in front of those unmodified applications that CI runs.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/target.sh
. scripts/counterpart.sh

echo '== release build'
cargo build --locked --release --bin vestibule
# The programs next to it need not be fast, and build quickly without optimization.
cargo build --locked --example identity_server --example pages
export EXAMPLES="$target/debug/examples"

counterpart 'Chromium' tests/real/browser.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver
counterpart 'one sign-in for two sites in Chromium' tests/real/one_sign_in.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver
arguments='fragment forgotten replicas signing disabled administrator' counterpart 'oidc-provider' \
    tests/real/oidc_provider.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver redis-server:redis-server node:nodejs npm:npm
arguments='Python Node Ruby' counterpart 'the snippets that verify assertions' \
    tests/real/assertion.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv node:nodejs npm:npm ruby:ruby \
    /usr/share/doc/ruby-jwt/copyright:ruby-jwt
arguments=PHP counterpart 'the snippet for PHP' tests/real/assertion.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv php:php-cli
arguments=Java counterpart 'the snippet for Java' tests/real/assertion.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv javac:default-jdk-headless \
    /usr/share/java/jackson-databind.jar:libjackson2-databind-java
arguments=Go counterpart 'the snippet for Go' tests/real/assertion.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv go:golang-go \
    /usr/share/gocode/src/github.com/coreos/go-oidc:golang-github-coreos-go-oidc-dev
counterpart 'axe-core' tests/real/accessibility.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver node:nodejs npm:npm
counterpart "FusionAuth's SDK for React" tests/real/react_sdk.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver node:nodejs npm:npm
counterpart 'a thousand renewals at once' tests/real/parallel_renewal.py "$target/release/vestibule" python3:python3
counterpart 'a flood of passwords' tests/real/flood.py "$target/release/vestibule" python3:python3
counterpart 'upgrades under load' tests/real/upgrade.py "$target/release/vestibule" \
    python3:python3 wrk:wrk curl:curl openssl:openssl
counterpart 'a rolling restart' tests/real/rolling.py "$target/release/vestibule" \
    python3:python3 wrk:wrk nginx:nginx-light haproxy:haproxy
counterpart 'promtool' tests/real/metrics.py "$target/release/vestibule" python3:python3 promtool:prometheus
counterpart 'the dashboard and the alerts' tests/real/observability.py "$target/release/vestibule" \
    python3:python3 openssl:openssl prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager
counterpart 'traces at a collector' tests/real/traces.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv
counterpart 'the causes in the guide to troubleshooting' tests/real/causes.py "$target/release/vestibule" \
    python3:python3 redis-server:redis-server openssl:openssl
counterpart 'the shell blocks of the guides' tests/real/guides.py "$target/release/vestibule" \
    python3:python3 curl:curl openssl:openssl unshare:util-linux jq:jq
counterpart 'manifests for containers' tests/real/manifests.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv openssl:openssl
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
counterpart 'gRPC' tests/real/grpc_calls.py "$target/release/vestibule" \
    python3:python3 python3.pip:python3-pip openssl:openssl
counterpart 'large bodies' tests/real/large_bodies.py "$target/release/vestibule" \
    python3:python3 curl:curl openssl:openssl
counterpart 'clocks ten seconds apart' tests/real/clocks_apart.py "$target/release/vestibule" \
    python3:python3 redis-server:redis-server openssl:openssl faketime:faketime
counterpart 'TLS scanners' tests/real/tls.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv openssl:openssl testssl:testssl.sh
counterpart 'certificates from pebble' tests/real/acme.py "$target/release/vestibule" \
    python3:python3 pebble:pebble openssl:openssl
counterpart 'Chromium over https' tests/real/https_browser.py "$target/release/vestibule" \
    python3:python3 chromium:chromium chromedriver:chromium-driver pebble:pebble openssl:openssl certutil:libnss3-tools
counterpart 'schemathesis' tests/real/openapi.py "$target/release/vestibule" \
    python3:python3 python3.ensurepip:python3-venv
counterpart "FusionAuth's Python client" tests/real/fusionauth_client.py "$EXAMPLES/identity_server" \
    python3:python3 python3.ensurepip:python3-venv

bash scripts/applications.sh ci || failed=1

exit $failed
