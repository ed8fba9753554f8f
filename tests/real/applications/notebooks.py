#!/usr/bin/env python3
"""JupyterLab behind the gateway, in Chromium: notebooks.py VESTIBULE_BINARY [SCENARIO...].

JupyterLab has no users here: who comes through the gateway is in. Its kernels talk over a WebSocket that outlives many
tokens of three seconds, and ends with the session. Prints `N passed, N failed`.
"""

import os

from deployment import ADA, fills_in, free_port, from_pypi, main, path_of, signs_out_in_another_tab, until

NOTEBOOK = "[data-category=Notebook].jp-LauncherCard"
OUTPUTS = "return [...document.querySelectorAll('.jp-OutputArea-output')].map(output => output.innerText.trim())"


def prepare(deployment):
    programs = from_pypi("jupyterlab")
    port = free_port()
    (deployment.directory / "notebooks").mkdir()
    deployment.serve(
        programs / "jupyter", "lab", "--no-browser", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        "--ServerApp.allow_root=True", "--IdentityProvider.token=", "--ServerApp.allow_remote_access=True",
        "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--ServerApp.root_dir={deployment.directory}/notebooks", port=port,
        env={**os.environ, "HOME": str(deployment.directory), "PATH": f"{programs}:{os.environ['PATH']}"},
    )
    deployment.guard(port, "")


def opens_a_notebook(browser, deployment):
    browser.size(1280)
    browser.goto(deployment.site + "/lab")
    fills_in(browser, ADA)
    until(lambda: browser.has(NOTEBOOK), 60, "the launcher")
    browser.click(NOTEBOOK)
    until(lambda: browser.has(".jp-Notebook .jp-Cell .cm-content"), 60, "a cell")
    idle = "return jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
    until(lambda: browser.script(idle), 60, "the kernel")
    assert deployment.gateway.metric("vestibule_open_streams") >= 1


def runs(browser, line):
    """In the last cell of the notebook, as its button does."""
    browser.script(
        "const notebook = jupyterapp.shell.currentWidget.content;"
        "notebook.activeCell.model.sharedModel.setSource(arguments[0]);"
        "jupyterapp.commands.execute('notebook:run-cell-and-insert-below')", line,
    )


def cells_past_expiry_and_their_end_at_sign_out(browser, deployment):
    opens_a_notebook(browser, deployment)
    runs(browser, "6*7")
    until(lambda: "42" in browser.script(OUTPUTS), 60, "what the cell says")
    deployment.tokens_end(browser)
    runs(browser, "'porch'*2")
    until(lambda: "'porchporch'" in browser.script(OUTPUTS), 20, "what the cell says past expiry")
    signs_out_in_another_tab(browser)
    until(lambda: deployment.gateway.metric("vestibule_open_streams") == 0, what="the end of the streams")
    assert browser.later("fetch('/api/kernels').then(answer => arguments[0](answer.status))") == 401
    browser.goto(deployment.site + "/lab")
    until(lambda: path_of(browser).startswith("/login"), what="the sign-in form")


if __name__ == "__main__":
    main("notebooks (JupyterLab)", prepare, [cells_past_expiry_and_their_end_at_sign_out])
