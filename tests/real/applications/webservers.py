"""An nginx of our own, as the server of an application."""

import os
from pathlib import Path

from deployment import free_port

NGINX = """
# One process, so that it runs as whoever started it.
master_process off;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{}}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    absolute_redirect off;
    gzip on;
    gzip_proxied any;
    server {{
        listen 127.0.0.1:{port};
        {lines}
    }}
}}
"""


def nginx(deployment, lines):
    """With these lines in its `server`. Gives the port."""
    port = free_port()
    file = deployment.directory / "nginx.conf"
    file.write_text(NGINX.format(directory=deployment.directory, port=port, lines=lines))
    deployment.serve("/usr/sbin/nginx", "-p", deployment.directory, "-c", file, port=port)
    return port


PHP = """[global]
error_log = {directory}/php-fpm-error.log
daemonize = no
[www]
listen = {directory}/php
pm = static
pm.max_children = 4
catch_workers_output = yes
{account}
"""


def php(deployment):
    """php-fpm at the socket `php` in the directory, with Debian's settings."""
    account = "user = root\ngroup = root" if os.getuid() == 0 else ""
    file = deployment.directory / "php-fpm.conf"
    file.write_text(PHP.format(directory=deployment.directory, account=account))
    program = next(Path("/usr/sbin").glob("php-fpm*"))
    deployment.serve(program, *(["-R"] if os.getuid() == 0 else []), "-F", "-y", file, port=deployment.directory / "php")


def mariadb(deployment):
    """A database server at the socket `mariadb` in the directory, with the database `data`."""
    data = deployment.directory / "mariadb-data"
    deployment.run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
              "--skip-test-db", *account_of_mariadb())
    deployment.serve("/usr/sbin/mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={deployment.directory}/mariadb",
                "--skip-networking", "--skip-grant-tables", f"--pid-file={deployment.directory}/mariadb.pid",
                *account_of_mariadb(), port=deployment.directory / "mariadb")
    deployment.run("mariadb", "--no-defaults", f"--socket={deployment.directory}/mariadb", "-e", "CREATE DATABASE data")


def account_of_mariadb():
    return ["--user=root"] if os.getuid() == 0 else []
