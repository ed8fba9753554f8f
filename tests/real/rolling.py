#!/usr/bin/env python3
"""Three replicas restart one after the other behind nginx and HAProxy: rolling.py VESTIBULE_BINARY.

HAProxy asks each replica for `/_vestibule/health`; nginx notices failed connections. wrk asks both for a page over
connections that it keeps. No request may fail. Prints `N passed, N failed`.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import application  # noqa: E402
from gateway import Served, example, free_port, write_users  # noqa: E402

HOST = "localhost:8080"
# Longer than HAProxy takes to see two failed checks.
DELAY = 2
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
trusted_proxies = ["127.0.0.1/32"]
shutdown_delay = "{delay}s"
drain = "10s"

[providers.main]
kind = "fusionauth"
url = "http://127.0.0.1:{provider}"
issuer = "identity.localhost"
api_key = "demo"

[cookies]
keys = ["q83vEjRWeJC6vN7wEjRWeJCrze8SNFZ4kKvN7xI0Vng="]

[log]
level = "warn"

[[sites]]
name = "store"
origin = "http://{host}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:{upstream}"]

[[sites.rules]]
path = "/public"
access = "public"
"""
NGINX = """daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    upstream replicas {{ {servers} keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://replicas; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Host $http_host;
            proxy_next_upstream error timeout;
        }}
    }}
}}
"""
HAPROXY = """defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    option redispatch
    retries 3
frontend sites
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    option httpchk GET /_vestibule/health
    default-server check inter 300ms fall 2 rise 2
{servers}
"""


def wrk(port):
    return subprocess.Popen(
        ["wrk", "-t1", "-c8", "-d3600s", "--timeout", "20s", "-H", f"Host: {HOST}", f"http://127.0.0.1:{port}/public"],
        stdout=subprocess.PIPE, text=True,
    )


def balancers(directory, replicas):
    """nginx and HAProxy before the replicas: name, process, port."""
    nginx, haproxy = free_port(), free_port()
    servers = " ".join(f"server 127.0.0.1:{replica.port} fail_timeout=1s;" for replica in replicas)
    configuration = Path(directory) / "nginx.conf"
    configuration.write_text(NGINX.format(directory=directory, port=nginx, servers=servers))
    # As root, nginx would serve as another user, who may not enter this directory.
    started = [("nginx", subprocess.Popen(["nginx", "-c", configuration, "-g", f"user {os.environ.get('USER', 'root')};"]), nginx)]
    servers = "\n".join(f"    server replica{n} 127.0.0.1:{replica.port}" for n, replica in enumerate(replicas))
    configuration = Path(directory) / "haproxy.cfg"
    configuration.write_text(HAPROXY.format(port=haproxy, servers=servers))
    started.append(("HAProxy", subprocess.Popen(["haproxy", "-q", "-f", configuration]), haproxy))
    return started


def restart(replica):
    """As an orchestrator does: SIGTERM, the end, a new process that is ready."""
    replica.process.terminate()
    if replica.process.wait(60) != 0:
        raise SystemExit("a replica did not end well")
    replica.start()


async def play(binary, identity_server):
    upstream = await asyncio.start_server(application, "127.0.0.1", 0, backlog=1024)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-rolling-") as directory:
        users = Path(directory) / "users.toml"
        write_users(binary, users, "60s")
        identity = subprocess.Popen(
            [identity_server, "--state", Path(directory) / "identity", "--users", users], stdout=subprocess.PIPE, text=True
        )
        provider = int(identity.stdout.readline())
        replicas = []
        for number in range(3):
            folder = Path(directory) / f"replica-{number}"
            folder.mkdir()
            port, admin = free_port(), free_port()
            config = CONFIG.format(
                directory=folder, port=port, admin=admin, provider=provider, host=HOST, delay=DELAY,
                upstream=upstream.sockets[0].getsockname()[1],
            )
            replicas.append(await asyncio.to_thread(Served, binary, folder, config, port, admin, HOST))
        started = balancers(directory, replicas)
        try:
            await asyncio.sleep(2)
            load = {name: wrk(port) for name, _, port in started}
            await asyncio.sleep(1)
            for replica in replicas:
                await asyncio.to_thread(restart, replica)
                # nginx tries a server again a second after it failed; HAProxy needs two checks.
                await asyncio.sleep(3)
            for name, process in load.items():
                process.send_signal(signal.SIGINT)
                output, _ = await asyncio.to_thread(process.communicate)
                faults = re.findall(r"Socket errors:.*|Non-2xx or 3xx responses:.*", output)
                requests = re.search(r"(\d+) requests in", output)
                good = requests and int(requests[1]) > 0 and not faults
                print(f"{'ok' if good else 'FAILED'}: {name}: {requests and requests[1]} requests, {faults or 'none failed'}")
                passed, failed = passed + bool(good), failed + (not good)
        finally:
            for _, process, _ in started:
                process.terminate()
                process.wait()
            for replica in replicas:
                replica.stop()
            identity.kill()
            identity.wait()
    print(f"{passed} passed, {failed} failed")
    return failed == 0


def main():
    start = time.monotonic()
    good = asyncio.run(play(sys.argv[1], example(sys.argv[1], "identity_server")))
    print(f"{time.monotonic() - start:.0f} s")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
