systemd-sysusers vestibule.conf || :
install -d -m 0700 /etc/vestibule/secrets
if [ "$1" -eq 1 ]; then
    chown root:vestibule /etc/vestibule /etc/vestibule/users.toml || :
    chmod 0750 /etc/vestibule || :
    chmod 0640 /etc/vestibule/users.toml || :
    systemctl --no-reload preset vestibule.service >/dev/null 2>&1 || :
fi
