#!/usr/bin/env python3
"""Streamlit behind the gateway, in Chromium: streamlit_pages.py VESTIBULE_BINARY [SCENARIO...].

Streamlit has no users here: who comes through the gateway is in. Its pages are drawn over a WebSocket that outlives tokens
of three seconds, and ends with the session. Prints `N passed, N failed`.
"""

import os

from deployment import ADA, fills_in, free_port, from_pypi, main, path_of, signs_out_in_another_tab, until

PAGE = """import time
import streamlit

streamlit.title("Porch")
if streamlit.button("Count"):
    shown = streamlit.empty()
    for number in range(13):
        shown.write(f"counted {number}")
        time.sleep(1)
if sent := streamlit.file_uploader("A file"):
    streamlit.write(f"{len(sent.getvalue())} bytes")
"""
MEBIBYTES = 60


def prepare(deployment):
    programs, port = from_pypi("dashboards"), free_port()
    page = deployment.directory / "page.py"
    page.write_text(PAGE)
    deployment.serve(
        programs / "streamlit", "run", page, "--server.address=127.0.0.1", f"--server.port={port}", "--server.headless=true",
        "--browser.gatherUsageStats=false", port=port, env={**os.environ, "HOME": str(deployment.directory)},
    )
    deployment.guard(port, "")


def opens_the_page(browser, deployment):
    browser.size(1280)
    browser.goto(deployment.site + "/")
    fills_in(browser, ADA)
    until(lambda: "Porch" in browser.text(), 60, "the page, which comes over the WebSocket")


def a_count_past_expiry(browser, deployment):
    opens_the_page(browser, deployment)
    until(lambda: browser.has("[data-testid=stButton] button"), what="the button")
    browser.click("[data-testid=stButton] button")
    until(lambda: "counted 12" in browser.text(), 60, "the end of the count")
    before = deployment.tokens_end(browser)
    browser.goto(deployment.site + "/")
    until(lambda: "Porch" in browser.text(), 60, "the page again")
    assert deployment.renewals() > before


def an_upload_of_60_mib_past_expiry(browser, deployment):
    large = deployment.directory / "large"
    large.write_bytes(os.urandom(MEBIBYTES << 20))
    opens_the_page(browser, deployment)
    # The page asks for more by itself meanwhile.
    before = deployment.renewals()
    deployment.tokens_end(browser)
    browser.type("input[type=file]", str(large))
    until(lambda: f"{MEBIBYTES << 20} bytes" in browser.text(), 60, "the size of the file")
    assert deployment.renewals() > before


def the_websocket_ends_at_sign_out(browser, deployment):
    opens_the_page(browser, deployment)
    assert deployment.gateway.metric("vestibule_open_streams") >= 1
    signs_out_in_another_tab(browser)
    until(lambda: deployment.gateway.metric("vestibule_open_streams") == 0, what="the end of the WebSocket")
    browser.goto(deployment.site + "/")
    until(lambda: path_of(browser).startswith("/login"), what="the sign-in form")


if __name__ == "__main__":
    main("pages (Streamlit)", prepare, [
        a_count_past_expiry, an_upload_of_60_mib_past_expiry, the_websocket_ends_at_sign_out,
    ])
