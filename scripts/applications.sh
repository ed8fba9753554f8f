#!/usr/bin/env bash
# Tests the release binary in front of unmodified applications: all of them, or with the argument `ci` those
# that CI runs.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/target.sh
. scripts/counterpart.sh

cargo build --locked --release --bin vestibule

# application NAME SCRIPT PROGRAM:PACKAGE...
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
application 'git over HTTP' git_http.py git:git nginx:nginx-light fcgiwrap:fcgiwrap
application 'a calendar server (Radicale)' calendars.py "${venv[@]}" cadaver:cadaver
application 'a package index (pypiserver)' packages.py "${venv[@]}"
application 'a package registry (verdaccio)' modules.py node:nodejs npm:npm
[ "${1:-}" != ci ] || exit $failed

application 'WordPress' wordpress.py "${chromium[@]}" "${php[@]}" mariadbd:mariadb-server \
    /usr/share/wordpress/index.php:wordpress \
    /usr/share/wordpress/wp-content/themes/twentytwentythree/style.css:wordpress-theme-twentytwentythree
application 'a wiki (MediaWiki)' wiki.py "${chromium[@]}" "${php[@]}" /usr/share/mediawiki/index.php:mediawiki \
    /etc/php/8.2/mods-available/sqlite3.ini:php-sqlite3
application 'notebooks (JupyterLab)' notebooks.py "${venv[@]}" "${chromium[@]}"
application 'a file server (copyparty)' files.py "${venv[@]}" cadaver:cadaver
application 'Redmine' redmine.py "${chromium[@]}" /usr/share/redmine/config.ru:redmine \
    /usr/share/doc/redmine-sqlite/copyright:redmine-sqlite puma:puma
application 'flows (Node-RED)' flows.py "${chromium[@]}" node:nodejs npm:npm
application 'pages (Streamlit)' streamlit_pages.py "${venv[@]}" "${chromium[@]}"
application 'pages (Gradio)' gradio_pages.py "${venv[@]}" "${chromium[@]}"

exit $failed
