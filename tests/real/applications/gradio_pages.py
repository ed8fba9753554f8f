#!/usr/bin/env python3
"""Gradio behind the gateway, in Chromium: gradio_pages.py VESTIBULE_BINARY [SCENARIO...].

Gradio has no users here: who comes through the gateway is in. Its events are a stream (SSE) of more than a minute, under
tokens of three seconds. Prints `N passed, N failed`.
"""

import os

from deployment import ADA, fills_in, free_port, from_pypi, main, path_of, signs_out_in_another_tab, until

PAGE = """import os
import time
import gradio

def count():
    for number in range(76):
        yield f"counted {number}"
        time.sleep(1)

with gradio.Blocks(title="Porch") as page:
    button = gradio.Button("Count", elem_id="count")
    shown = gradio.Textbox(label="Shown", elem_id="shown")
    button.click(count, None, shown)
page.launch(server_name="127.0.0.1", server_port=int(os.environ["PORT"]))
"""
MEBIBYTES = 60
COUNTED = "return document.querySelector('#shown textarea, #shown input')?.value"
UPLOADS = """const [mebibytes, done] = arguments, body = new FormData();
body.append('files', new Blob(Array(mebibytes).fill(new Uint8Array(1 << 20))), 'large');
fetch('/gradio_api/upload', {method: 'POST', body}).then(answer => done(answer.status), error => done(`${error}`));"""


def prepare(deployment):
    programs, port = from_pypi("dashboards"), free_port()
    page = deployment.directory / "page.py"
    page.write_text(PAGE)
    environment = {
        **os.environ, "HOME": str(deployment.directory), "PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(deployment.directory / "files"),
    }
    deployment.serve(programs / "python", page, port=port, env=environment)
    deployment.guard(port, "")


def opens_the_page(browser, deployment):
    browser.size(1280)
    browser.goto(deployment.site + "/")
    fills_in(browser, ADA)
    until(lambda: browser.has("#count"), 60, "the button of the page")


def events_of_75_seconds(browser, deployment):
    opens_the_page(browser, deployment)
    before = deployment.renewals()
    browser.click("#count")
    until(lambda: browser.script(COUNTED) == "counted 75", 120, "the last event")
    deployment.tokens_end(browser)
    assert browser.later("fetch('/config').then(answer => arguments[0](answer.status))") == 200
    assert deployment.renewals() > before


def an_upload_of_60_mib_past_expiry(browser, deployment):
    opens_the_page(browser, deployment)
    before = deployment.tokens_end(browser)
    assert browser.later(UPLOADS, MEBIBYTES) == 200
    assert deployment.renewals() > before


def events_end_at_sign_out(browser, deployment):
    opens_the_page(browser, deployment)
    browser.click("#count")
    until(lambda: str(browser.script(COUNTED)).startswith("counted"), 30, "the first event")
    signs_out_in_another_tab(browser)
    until(lambda: deployment.gateway.metric("vestibule_open_streams") == 0, what="the end of the events")
    browser.goto(deployment.site + "/")
    until(lambda: path_of(browser).startswith("/login"), what="the sign-in form")


if __name__ == "__main__":
    main("pages (Gradio)", prepare, [events_of_75_seconds, an_upload_of_60_mib_past_expiry, events_end_at_sign_out])
