"""A small WebDriver client (W3C WebDriver, JSON over HTTP) for a Chromium of our own. Standard library only."""

import base64
import http.client
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
QUIET = [
    "--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,PasswordLeakDetection",
]


class WebDriverError(Exception):
    """What the driver said instead of an answer."""


class Browser:
    """One headless Chromium with an empty profile. A context manager: it takes everything along when it goes."""

    def __init__(self, driver="chromedriver", arguments=(), environment=None):
        self.environment = environment
        self.profile = tempfile.mkdtemp(prefix="vestibule-chromium-")
        self.session = None
        self.start(driver)
        try:
            options = {"args": [*QUIET, *arguments, f"--user-data-dir={self.profile}"]}
            wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
            self.session = self.call("POST", "/session", wanted)["sessionId"]
        except BaseException:
            self.close()
            raise

    def start(self, driver):
        """On a port of the driver's choice. It takes one for IPv6 and wants the same for IPv4, which may be another's by
        then: it ends, and chooses again."""
        said = ""
        for _ in range(5):
            self.driver = subprocess.Popen(
                [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env=self.environment,
            )
            for line in self.driver.stdout:
                if "successfully on port" in line:
                    self.port = int(line.rstrip(" .\n").rpartition(" ")[2])
                    return
                said += line
            self.driver.wait(10)
        shutil.rmtree(self.profile, ignore_errors=True)
        raise WebDriverError(f"chromedriver did not start:\n{said}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            if self.session:
                self.command("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(10)
            shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            text = None if method in ("GET", "DELETE") else json.dumps(body or {})
            connection.request(method, path, text, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise WebDriverError(f"{value['error']}: {value['message'].splitlines()[0]}")
        return value

    def command(self, method, path, body=None):
        return self.call(method, f"/session/{self.session}{path}", body)

    def goto(self, url):
        self.command("POST", "/url", {"url": url})

    def url(self):
        return self.command("GET", "/url")

    def title(self):
        return self.command("GET", "/title")

    def source(self):
        return self.command("GET", "/source")

    def back(self):
        self.command("POST", "/back")

    def find(self, css):
        return self.command("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def has(self, css):
        return bool(self.command("POST", "/elements", {"using": "css selector", "value": css}))

    def type(self, css, text):
        self.command("POST", f"/element/{self.find(css)}/value", {"text": text})

    def click(self, css):
        self.command("POST", f"/element/{self.find(css)}/click")

    def leave(self, css):
        """Clicks what leads to another page and waits for that one: until it is there, questions are answered by the old one."""
        old = self.find("html")
        self.click(css)
        until(lambda: self.find("html") != old, what=f"another page after a click on {css}")

    def press(self, key):
        """One key, for whatever has the focus; names as in W3C WebDriver, section 17.4.2."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.command("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def value(self, css):
        return self.command("GET", f"/element/{self.find(css)}/property/value")

    def text(self, css="body"):
        return self.command("GET", f"/element/{self.find(css)}/text")

    def script(self, script, *arguments):
        return self.command("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def later(self, script, *arguments):
        """Runs a script whose last argument is a function to be called with the result."""
        return self.command("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def cookies(self):
        return {cookie["name"]: cookie for cookie in self.command("GET", "/cookie")}

    def set_cookie(self, cookie):
        self.command("POST", "/cookie", {"cookie": cookie})

    def forget_cookies(self):
        self.command("DELETE", "/cookie")

    def size(self, width, height=800):
        # The window has a frame and a least width; the emulated screen has neither.
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name):
        """`light` or `dark`, as the visitor's system would say."""
        self.prefers({"prefers-color-scheme": name})

    def prefers(self, features):
        """What the visitor's system says, by media feature."""
        listed = [{"name": name, "value": value} for name, value in features.items()]
        self.cdp("Emulation.setEmulatedMedia", {"features": listed})

    def reads(self, languages):
        """The languages of `Accept-Language` from here on."""
        agent = self.script("return navigator.userAgent")
        self.cdp("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": languages})

    def cdp(self, name, parameters=None):
        return self.command("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters or {}})

    def screenshot(self, path):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The whole page, also what lies below the screen's edge. Chromium can do that by itself, but then pictures of
        # pages from right to left are taken beside the page.
        width, height, whole = self.script("return [innerWidth, innerHeight, document.documentElement.scrollHeight]")
        self.size(width, max(height, whole))
        shot = self.cdp("Page.captureScreenshot")
        self.size(width, height)
        path.write_bytes(base64.b64decode(shot["data"]))

    def tab(self):
        return self.command("GET", "/window")

    def tabs(self):
        return self.command("GET", "/window/handles")

    def new_tab(self):
        handle = self.command("POST", "/window/new", {"type": "tab"})["handle"]
        self.switch(handle)
        return handle

    def switch(self, handle):
        self.command("POST", "/window", {"handle": handle})


def until(condition, seconds=10, what="the condition"):
    """Asks until the answer is truthy, and gives it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = condition()
        except WebDriverError as error:
            # A page that is being left takes its elements along: the next look is at the new one.
            if not re.match("stale element|no such element", str(error)):
                raise
            answer = None
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.05)
