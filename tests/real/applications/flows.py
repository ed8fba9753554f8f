#!/usr/bin/env python3
"""Node-RED behind the gateway, in Chromium: flows.py VESTIBULE_BINARY [SCENARIO...].

Node-RED has no users here: who comes through the gateway is in. Its editor talks over a WebSocket that outlives tokens of
three seconds, and ends with the session. Prints `N passed, N failed`.
"""

import json
import os

from deployment import ADA, fills_in, free_port, from_npm, main, path_of, signs_out_in_another_tab, until

# A node that is triggered by its button, and one that shows what it gets in the sidebar.
FLOWS = [
    {"id": "f6f2187d.f17ca8", "type": "tab", "label": "Porch"},
    {"id": "3cc11d24.ff01a2", "type": "inject", "z": "f6f2187d.f17ca8", "name": "lantern", "props": [{"p": "payload"}],
     "repeat": "", "once": False, "payload": "a lantern", "payloadType": "str", "x": 150, "y": 80,
     "wires": [["36b8d9d4.4c1b06"]]},
    {"id": "36b8d9d4.4c1b06", "type": "debug", "z": "f6f2187d.f17ca8", "name": "", "active": True, "tosidebar": True,
     "complete": "payload", "targetType": "msg", "x": 350, "y": 80, "wires": []},
]
SETTINGS = """module.exports = {{ uiHost: "127.0.0.1", uiPort: {port}, flowFile: "flows.json", userDir: {directory},
credentialSecret: false, logging: {{ console: {{ level: "info" }} }}, editorTheme: {{ tours: false, projects: {{ enabled: false }} }},
telemetry: {{ enabled: false, updateNotification: false }} }};
"""
PRESSES = "fetch('/inject/3cc11d24.ff01a2', {method: 'POST'}).then(answer => arguments[0](answer.status))"
SHOWN = "return [...document.querySelectorAll('.red-ui-debug-msg-payload')].map(message => message.textContent)"


def prepare(deployment):
    folder, port = from_npm("node_red"), free_port()
    directory = deployment.directory / "node-red"
    directory.mkdir()
    (directory / "flows.json").write_text(json.dumps(FLOWS))
    settings = directory / "settings.js"
    settings.write_text(SETTINGS.format(port=port, directory=json.dumps(str(directory))))
    deployment.serve("node", folder / "node_modules" / "node-red" / "red.js", "--settings", settings, port=port,
                     env={**os.environ, "HOME": str(deployment.directory)})
    deployment.guard(port, "")


def an_editor_past_expiry_and_its_end_at_sign_out(browser, deployment):
    browser.size(1280)
    browser.goto(deployment.site + "/")
    fills_in(browser, ADA)
    until(lambda: browser.has(".red-ui-flow-node"), 60, "the nodes of the flow")
    until(lambda: deployment.gateway.metric("vestibule_open_streams") >= 1, what="the WebSocket of the editor")
    assert browser.later(PRESSES) == 200
    until(lambda: len(browser.script(SHOWN)) == 1, what="the message in the sidebar")
    before = deployment.tokens_end(browser)
    assert browser.later(PRESSES) == 200
    until(lambda: len(browser.script(SHOWN)) == 2, what="the message past expiry, over the same WebSocket")
    assert "a lantern" in browser.script(SHOWN)[1]
    assert deployment.renewals() > before
    signs_out_in_another_tab(browser)
    until(lambda: deployment.gateway.metric("vestibule_open_streams") == 0, what="the end of the WebSocket")
    assert browser.later("fetch('/flows').then(answer => arguments[0](answer.status))") == 401
    browser.goto(deployment.site + "/")
    until(lambda: path_of(browser).startswith("/login"), what="the sign-in form")


if __name__ == "__main__":
    main("flows (Node-RED)", prepare, [an_editor_past_expiry_and_its_end_at_sign_out])
