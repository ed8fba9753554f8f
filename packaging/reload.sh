#!/bin/sh
# reload.sh PID: `systemctl reload vestibule`. The running process reads its configuration again. If
# the program was replaced on disk, a process of the new one takes its place instead, without a
# refused connection or a failed request (docs/reference/commands.md#upgrade).
set -eu
running=$1
program=/usr/bin/vestibule
socket=${STATE_DIRECTORY:-/var/lib/vestibule}/upgrade.sock

if [ "/proc/$running/exe" -ef "$program" ]; then
    kill -HUP "$running"
    exit 0
fi

inode() { stat -c %i "$socket" 2>/dev/null || echo none; }

before=$(inode)
"$program" serve --upgrade --config "${VESTIBULE_CONFIG:-/etc/vestibule/vestibule.toml}" &
new=$!
# The socket belongs to the process that accepts the connections.
while [ "$(inode)" = "$before" ]; do
    if ! kill -0 "$new" 2>/dev/null; then
        echo "the new version of vestibule cannot take over, the running one serves on" >&2
        exit 1
    fi
    sleep 0.1
done
kill -QUIT "$running"
