"""What the tests with unmodified applications share: an application in an environment of its own, the gateway before it,
its two users, and a person's ways in Chromium. Standard library only."""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from gateway import Served, free_port  # noqa: E402
from installed import called, kept, or_skipped, target_directory, virtual_environment  # noqa: E402
from webdriver import Browser, until  # noqa: E402

# With what separates and escapes elsewhere.
PASSWORD = "lantern:by%the-porch"
ADA, GRACE = "ada@example.com", "grace@example.com"
ACCESS, REFRESH, SESSION = "vestibule-access", "vestibule-refresh", "vestibule-session"
SUBMIT = "button[type=submit]"
USERS = """algorithm = "ES256"
access_token_lifetime = "{lifetime}"
[[users]]
email = "ada@example.com"
username = "ada"
password = "{password}"
state = "{ada}"
[[users]]
email = "grace@example.com"
username = "grace"
password = "{password}"
[users.roles]
"*" = ["admin"]
"""
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"

[providers.local]
kind = "embedded"
users = "{directory}/users.toml"
leeway = "0s"

[log]
level = "warn"

[[sites]]
name = "site"
origin = "http://localhost:{port}"
application_id = "site"
upstreams = ["{upstream}"]
{site}
"""
def from_pypi(name):
    """The programs of a virtual environment with exactly `requirements-NAME.txt`, made where it is not there yet."""
    wanted = HERE / f"requirements-{name}.txt"
    return virtual_environment(f"applications/{name}-venv", wanted, "--no-deps")


def from_npm(name):
    """The directory with exactly the packages of `NAME/package-lock.json`."""
    folder = kept(f"applications/{name}")
    for file in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name / file, folder / file)
    if not (folder / "node_modules" / ".package-lock.json").exists():
        called(["npm", "ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"], cwd=folder)
    return folder


def with_django(deployment, project, programs):
    """The environment of a project in `django_projects`, whose database is made and filled. Migrations take longer than
    all else: their result is kept for exactly these packages and this project."""
    sources = HERE / "django_projects"
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": f"{project}_settings", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{sources}:{deployment.directory}", "DATA": str(deployment.directory),
    }
    files = [HERE / f"requirements-{project}.txt", *sorted(sources.glob("*.py"))]
    wanted = "".join(file.read_text() for file in files)
    folder = kept(f"applications/{project}")
    if not (folder / "made-of").exists() or (folder / "made-of").read_text() != wanted:
        deployment.run(programs / "django-admin", "migrate", "-v0", env=environment)
        deployment.run(programs / "python", sources / f"{project}_seed.py", env=environment)
        shutil.copy(deployment.directory / "data.sqlite3", folder)
        (folder / "made-of").write_text(wanted)
    shutil.copy(folder / "data.sqlite3", deployment.directory)
    return environment


def with_gunicorn(deployment, programs, environment):
    """The project under gunicorn. Gives the port."""
    port = free_port()
    command = [programs / "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "4"]
    deployment.serve(*command, "served:application", port=port, env=environment)
    return port


class Deployment:
    """An application and the gateway before it, in a directory that goes with it."""

    def __init__(self, binary, directory, ends):
        self.binary, self.directory, self.ends = str(Path(binary).resolve()), Path(directory), ends
        self.gateway, self.hash = None, None

    def run(self, *command, **more):
        """One command from start to end, in the directory."""
        more = {"cwd": self.directory, "capture_output": True, "text": True, "timeout": 300, **more}
        ran = subprocess.run([str(part) for part in command], **more)
        assert ran.returncode == 0, f"{' '.join(map(str, command))}:\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def serve(self, *command, port, **more):
        """A server until the end of the test. It is ready when it accepts connections at the port or Unix socket."""
        name = Path(str(command[0])).name
        log = self.ends.enter_context(open(self.directory / f"{name}.log", "w"))
        more = {"cwd": self.directory, **more}
        # With its children in a group of its own: they end together.
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, start_new_session=True, **more)
        self.ends.callback(end, process)
        deadline = time.monotonic() + 60
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                said = (self.directory / f"{name}.log").read_text()
                raise AssertionError(f"{name} does not get ready:\n{said}")
            time.sleep(0.05)
        return process

    def write_users(self, lifetime, ada="active"):
        if self.hash is None:
            self.hash = self.run(self.binary, "hash-password", input=PASSWORD).strip()
        users = self.directory / "users.toml"
        users.touch(0o600)
        users.write_text(USERS.format(lifetime=lifetime, password=self.hash, ada=ada))

    def guard(self, upstream, site, lifetime=3):
        """The gateway before `upstream`, a URL or a port on this machine. `site` are lines of its `[[sites]]` table.
        Access tokens live for `lifetime` seconds."""
        self.lifetime = lifetime
        self.write_users(f"{lifetime}s")
        port, admin = free_port(), free_port()
        upstream = f"http://127.0.0.1:{upstream}" if isinstance(upstream, int) else upstream
        config = CONFIG.format(directory=self.directory, port=port, admin=admin, upstream=upstream, site=site)
        self.gateway = Served(self.binary, self.directory, config, port, admin, f"localhost:{port}")
        self.ends.callback(self.gateway.stop)
        self.site = f"http://localhost:{port}"
        return self.site

    def renewals(self):
        return self.gateway.metric(("vestibule_renewals_total", 'result="renewed"'))

    def tokens_end(self, browser):
        """Waits until the access token of the browser has ended, and tells how many renewals there were."""
        ends = time.time() + self.lifetime
        if access := browser.cookies().get(ACCESS):
            token = access["value"].split(".")[1]
            ends = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))["exp"]
        time.sleep(max(0, ends - time.time()))
        return self.renewals()


def end(process):
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except ProcessLookupError:
        process.wait()


def accepts(port):
    """Whether something accepts connections: at a port of this machine, or at the path of a Unix socket."""
    kind, address = (socket.AF_INET, ("127.0.0.1", port)) if isinstance(port, int) else (socket.AF_UNIX, str(port))
    with socket.socket(kind) as probe:
        return probe.connect_ex(address) == 0


def get(deployment, path, method="GET", body=None, **headers):
    """One request at the gateway, not by a browser. Gives status, fields and text."""
    connection = http.client.HTTPConnection("127.0.0.1", deployment.gateway.port, timeout=60)
    try:
        fields = {"Host": deployment.gateway.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors="replace")
    finally:
        connection.close()


def path_of(browser):
    return re.sub(r"^https?://[^/]+", "", browser.url())


def fills_in(browser, email):
    """The sign-in form, with the name of that person."""
    until(lambda: browser.has("#loginId"), what="the sign-in form")
    browser.script("document.querySelector('#loginId').value = ''")
    browser.type("#loginId", email)
    browser.type("#password", PASSWORD)
    browser.leave(SUBMIT)


def signs_in(browser, deployment, email, path):
    """Opens a page that asks for a sign-in, and arrives there."""
    browser.goto(deployment.site + path)
    fills_in(browser, email)
    until(lambda: path_of(browser) == path, what=f"{path} after signing in")


def signs_out(browser, deployment):
    """With the gateway's own page."""
    browser.goto(deployment.site + "/logout")
    browser.leave(SUBMIT)
    until(lambda: not path_of(browser).startswith("/logout"), what="the page after signing out")


def signs_out_in_another_tab(browser):
    """The session ends while the page stays as it is."""
    script = "fetch('/logout', {method: 'POST', redirect: 'manual'}).then(() => arguments[0](true))"
    assert browser.later(script)


def loses_the_session(browser):
    """As a browser that was closed, or whose session has ended by its age: the gateway's cookies are gone, those of the
    application are not."""
    for name in (ACCESS, REFRESH, SESSION):
        browser.command("DELETE", f"/cookie/{name}")


def sends_again(browser):
    """What was preserved, after the sign-in."""
    until(lambda: browser.has(".written"), what="the step before it is sent")
    browser.leave(SUBMIT)


def main(what, prepare, scenarios):
    """Runs the scenarios against one deployment that `prepare(binary, deployment)` has built; a scenario with a parameter `browser`
    gets a fresh one. Prints `N passed, N failed`; exits with 77, saying why, where the application cannot be had."""
    binary, only = sys.argv[1], sys.argv[2:]
    passed = failed = 0
    with contextlib.ExitStack() as ends:
        directory = ends.enter_context(tempfile.TemporaryDirectory(prefix="vestibule-application-"))
        deployment = Deployment(binary, directory, ends)
        or_skipped(what, prepare, deployment)
        for scenario in scenarios:
            name = scenario.__name__.replace("_", " ")
            if only and not any(word in name for word in only):
                continue
            started = time.monotonic()
            try:
                meets(scenario, deployment)
                passed += 1
                print(f"ok: {name} ({time.monotonic() - started:.0f} s)", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED: {name}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def meets(scenario, deployment):
    if "browser" not in scenario.__code__.co_varnames[:scenario.__code__.co_argcount]:
        return scenario(deployment)
    with Browser() as browser:
        try:
            scenario(browser, deployment)
        except Exception:
            picture = target_directory() / "screenshots" / f"failed-{scenario.__name__}.png"
            browser.screenshot(picture)
            print(f"at {browser.url()}, see {picture}", flush=True)
            raise
