#!/bin/sh
# need.sh PROGRAM:PACKAGE...: installs the Debian package of each missing program, with apt if that is
# allowed (root, or sudo without a password), and names those that it cannot install. Fails if a program
# is still missing. `python3.NAME` is a Python module in a package of its own, and a path is a file of the
# package.
set -u

is_installed() {
    case $1 in
    python3.*) python3 -c "import ${1#python3.}" >/dev/null 2>&1 ;;
    /*) [ -e "$1" ] ;;
    # Debian installs daemons outside the PATH of ordinary users.
    *) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] ;;
    esac
}

missing=
for pair in "$@"; do
    is_installed "${pair%%:*}" || missing="$missing $pair"
done
[ -z "$missing" ] && exit 0

apt=
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then
        apt='env DEBIAN_FRONTEND=noninteractive apt-get'
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        apt='sudo -n env DEBIAN_FRONTEND=noninteractive apt-get'
    fi
fi
[ -n "$apt" ] && { $apt -qq update >/dev/null 2>&1 || echo "need: apt-get update failed" >&2; }

status=0
for pair in $missing; do
    program=${pair%%:*} package=${pair#*:}
    if [ -z "$apt" ]; then
        echo "need: $program is missing; install it with: apt-get install $package" >&2
        status=1
    elif $apt -qq install -y --no-install-recommends "$package" >/dev/null 2>&1; then
        echo "need: installed $package for $program"
    else
        echo "need: $program is missing, and apt-get install $package failed" >&2
        status=1
    fi
done
exit $status
