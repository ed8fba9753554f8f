"""An nginx of our own, as the server of an application."""

from house import free_port

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


def nginx(house, lines):
    """With these lines in its `server`. Gives the port."""
    port = free_port()
    file = house.directory / "nginx.conf"
    file.write_text(NGINX.format(directory=house.directory, port=port, lines=lines))
    house.serve("/usr/sbin/nginx", "-p", house.directory, "-c", file, port=port)
    return port
