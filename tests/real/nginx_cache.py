#!/usr/bin/env python3
"""An nginx that caches everything, in front of a gateway before an application that wants everything cached:
nginx_cache.py VESTIBULE_BINARY.

No second visitor gets a cookie or a token of the first. Prints `N passed, N failed`.
"""

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import CONFIG, EMAIL, PASSWORD, Served, free_port, write_users  # noqa: E402

# Whole seconds: one that lives for one may have ended when it arrives.
LIFETIME = 2
# Each is a way to tell a cache to keep the answer. nginx takes `X-Accel-Expires` before all others, wherever it stands.
ANSWERS = {
    "accel": ["X-Accel-Expires: 3600", "Cache-Control: public, max-age=3600"],
    "accel-last": ["Cache-Control: public, max-age=3600", "X-Accel-Expires: 3600"],
    "control": ["Cache-Control: public, max-age=3600, s-maxage=3600"],
    "expires": ["Expires: Fri, 01 Jan 2100 00:00:00 GMT"],
    "both": ["Expires: Fri, 01 Jan 2100 00:00:00 GMT", "Cache-Control: public, max-age=3600", "CDN-Cache-Control: max-age=3600"],
    "nothing": [],
    # `proxy_cache_valid any` keeps these too.
    "missing": ["X-Accel-Expires: 3600"],
    # Kept by the cache before, and confirmed by the application when it has become stale.
    "stale": ["X-Accel-Expires: 1", "Cache-Control: public, max-age=1"],
}
NGINX = """
# One process, so that it runs as whoever started it.
master_process off;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/temp;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    proxy_cache_path {directory}/plain keys_zone=plain:1m;
    proxy_cache_path {directory}/eager keys_zone=eager:1m;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_cache_key $http_host$request_uri;
    proxy_cache_valid any 1h;
    proxy_cache_revalidate on;
    add_header X-Cache $upstream_cache_status always;
    server {{
        listen 127.0.0.1:{plain};
        location / {{ proxy_pass http://127.0.0.1:{gateway}; proxy_cache plain; }}
    }}
    # An nginx does not keep answers with `Set-Cookie`, unless it is told to, as many are.
    server {{
        listen 127.0.0.1:{eager};
        location / {{ proxy_pass http://127.0.0.1:{gateway}; proxy_cache eager; proxy_ignore_headers Set-Cookie Vary; }}
    }}
}}
"""


async def application(reader, writer):
    """Answers as the path says, and 304 whenever it may."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            kind = head.split(b" ", 2)[1].decode().split("/")[2]
            status = "404 Not Found" if kind == "missing" else "200 OK"
            if b"\r\nif-none-match:" in head.lower():
                status = "304 Not Modified"
            lines = [f"HTTP/1.1 {status}", *ANSWERS.get(kind, []), 'ETag: "one"']
            body = "" if status.startswith("304") else "hello"
            if body:
                lines.append(f"Content-Length: {len(body)}")
            writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, IndexError):
        writer.close()


class Answer:
    def __init__(self, port, host, path, headers=None, method="GET", body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, path, body, {"Host": host, **(headers or {})})
        answer = connection.getresponse()
        self.status, self.fields = answer.status, [(name.lower(), value) for name, value in answer.getheaders()]
        self.body = answer.read().decode()

    def all(self, name):
        return [value for have, value in self.fields if have == name]

    def credentials(self):
        """The gateway's cookies, new or cleared, and its tokens."""
        cookies = [value for value in self.all("set-cookie") if value.startswith("vestibule-")]
        return cookies + self.all("vestibule-access-token") + self.all("vestibule-refresh-token")


class Deployment:
    """The gateway and the nginx before it."""

    def __init__(self, binary, nginx, directory, upstream):
        directory = Path(directory)
        write_users(binary, directory / "users.toml", f"{LIFETIME}s")
        port, admin = free_port(), free_port()
        config = CONFIG.format(directory=directory, port=port, admin=admin, workers=0, upstream=upstream)
        config = config.replace("[[sites.rules]]\npath = \"/public\"\naccess = \"public\"", "")
        rule = '\n[[sites.rules]]\npath = "/open/*"\naccess = "optional"\n'
        config = config.replace("\n[[sites]]\nname = \"sessions\"", f"bearer = true\n{rule}\n[[sites]]\nname = \"sessions\"")
        self.gateway = Served(binary, directory, config + rule, port, admin, f"localhost:{port}")
        self.hosts = {"cookies": f"localhost:{port}", "session": f"sessions.localhost:{port}", "bearer": f"localhost:{port}"}
        self.caches = {"plain": free_port(), "eager": free_port()}
        file = directory / "nginx.conf"
        file.write_text(NGINX.format(directory=directory, gateway=port, **self.caches))
        self.nginx = subprocess.Popen([nginx, "-p", directory, "-c", file], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self.listens():
            if self.nginx.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((directory / "error.log").read_text())
            time.sleep(0.05)

    def listens(self):
        try:
            return Answer(self.caches["eager"], "localhost", "/healthz").status > 0
        except OSError:
            return False

    def stop(self):
        self.nginx.terminate()
        self.nginx.wait()
        self.gateway.stop()

    def sign_in(self, kind):
        """The headers of a visitor who has just signed in."""
        if kind != "bearer":
            return {"Cookie": self.gateway.sign_in(self.hosts[kind])}
        body = json.dumps({"loginId": EMAIL, "password": PASSWORD, "tokens": "body"})
        said = json.loads(
            Answer(self.gateway.port, self.hosts[kind], "/api/login", {"Content-Type": "application/json"}, "POST", body).body
        )
        return {"Authorization": f"Bearer {said['token']}", "Vestibule-Refresh-Token": said["refreshToken"]}

    def sign_out(self, kind, visitor):
        host = self.hosts[kind]
        headers = {**visitor, "Origin": f"http://{host}"} if kind != "bearer" else visitor
        path = "/logout" if kind != "bearer" else "/api/logout"
        return Answer(self.gateway.port, host, path, headers, "POST").status


def is_kept_from_the_next(deployment, kind, cache, path, visitor):
    """The first visitor is given credentials through the cache, and the second one asks for the same."""
    port, host = deployment.caches[cache], deployment.hosts[kind]
    first = Answer(port, host, path, visitor)
    # An nginx answers with the fields that it has stored where the application confirms them with 304.
    given = first.credentials() or first.all("x-cache") == ["REVALIDATED"]
    assert given, f"{path}: the first visitor is given nothing: {first.status} {first.fields}"
    second = Answer(port, host, path)
    assert not second.credentials(), f"{path} through {cache}: {second.all('x-cache')} {second.credentials()}"


def new_credentials_are_kept_from_the_next_visitor(deployment):
    for kind in deployment.hosts:
        for cache in deployment.caches:
            for answer in ANSWERS:
                path = f"/open/{answer}/{kind}"
                if answer == "stale":
                    Answer(deployment.caches[cache], deployment.hosts[kind], path)
                visitor = deployment.sign_in(kind)
                time.sleep(LIFETIME + 0.1)
                is_kept_from_the_next(deployment, kind, cache, path, visitor)


def cleared_cookies_are_kept_from_the_next_visitor(deployment):
    for kind in ("cookies", "session"):
        for cache in deployment.caches:
            visitor = deployment.sign_in(kind)
            assert deployment.sign_out(kind, visitor) == 303
            for answer in ANSWERS:
                if answer == "stale":
                    continue
                is_kept_from_the_next(deployment, kind, cache, f"/open/{answer}/{kind}-cleared", visitor)


def what_has_no_credentials_is_cached(deployment):
    """Otherwise this test would prove nothing."""
    for cache in deployment.caches:
        for expected in ("MISS", "HIT"):
            answer = Answer(deployment.caches[cache], deployment.hosts["cookies"], "/open/accel/anonymous")
            assert answer.all("x-cache") == [expected], answer.fields


SCENARIOS = [
    what_has_no_credentials_is_cached,
    new_credentials_are_kept_from_the_next_visitor,
    cleared_cookies_are_kept_from_the_next_visitor,
]


async def play(binary):
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    upstream = await asyncio.start_server(application, "127.0.0.1", 0, backlog=1024)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-nginx-") as directory:
        deployment = await asyncio.to_thread(Deployment, binary, nginx, directory, upstream.sockets[0].getsockname()[1])
        try:
            for scenario in SCENARIOS:
                name = scenario.__name__.replace("_", " ")
                try:
                    await asyncio.to_thread(scenario, deployment)
                    print(f"ok: {name}", flush=True)
                    passed += 1
                except AssertionError as fault:
                    print(f"FAILED: {name}: {fault}", flush=True)
                    failed += 1
        finally:
            await asyncio.to_thread(deployment.stop)
    print(f"{passed} passed, {failed} failed")
    return failed == 0


def main():
    sys.exit(0 if asyncio.run(play(sys.argv[1])) else 1)


if __name__ == "__main__":
    main()
