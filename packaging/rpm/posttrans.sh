if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    # The new version takes the place of the running one without a lost request.
    if systemctl --quiet is-active vestibule.service; then
        systemctl reload vestibule.service ||
            echo 'vestibule: the version before is still running, see `journalctl -u vestibule`' >&2
    fi
fi
