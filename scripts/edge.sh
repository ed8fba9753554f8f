#!/usr/bin/env bash
# The long forms of the tests of listeners, protocols and upgrades, and all scenarios of the OpenID Connect
# servers, with the release binary. They take about half an hour on an idle machine. `scripts/real.sh` plays
# the short ones.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/target.sh
. scripts/counterpart.sh

echo '== release build'
cargo build --locked --release --bin vestibule
binary=$target/release/vestibule

arguments='100000 1000' counterpart 'HTTP/2 clients before h11' tests/real/http2.py "$binary" \
    python3:python3 python3.pip:python3-pip
arguments='20 200' counterpart 'upgrades under load' tests/real/upgrade.py "$binary" \
    python3:python3 wrk:wrk curl:curl openssl:openssl
counterpart 'upstreams that die' tests/real/upstreams.py "$binary" \
    python3:python3 wrk:wrk unshare:util-linux
arguments=1024 counterpart 'large bodies' tests/real/large_bodies.py "$binary" \
    python3:python3 curl:curl openssl:openssl
arguments=60 counterpart 'slow clients' tests/real/slow_clients.py "$binary" \
    python3:python3 slowhttptest:slowhttptest openssl:openssl
arguments=long counterpart 'certificates from pebble' tests/real/acme.py "$binary" \
    python3:python3 pebble:pebble openssl:openssl
counterpart 'a flood of webhooks' tests/real/hook_flood.py "$binary" \
    python3:python3 wrk:wrk
browser='python3:python3 chromium:chromium chromedriver:chromium-driver redis-server:redis-server'
# Without quotes: several programs.
# shellcheck disable=SC2086
{
    counterpart 'oidc-provider' tests/real/oidc_provider.py "$binary" $browser node:nodejs npm:npm
    counterpart 'Glewlwyd' tests/real/glewlwyd.py "$binary" $browser openssl:openssl glewlwyd:glewlwyd
    counterpart 'Canaille' tests/real/canaille.py "$binary" $browser python3.ensurepip:python3-venv
    counterpart 'LemonLDAP::NG' tests/real/lemonldap.py "$binary" $browser openssl:openssl starman:starman \
        /usr/share/lemonldap-ng/portal/htdocs/index.psgi:liblemonldap-ng-portal-perl \
        /usr/share/perl5/String/Random.pm:libstring-random-perl /usr/share/perl5/IO/String.pm:libio-string-perl
}

exit $failed
