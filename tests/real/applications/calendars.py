#!/usr/bin/env python3
"""Radicale behind the gateway, with calendar programs: calendars.py VESTIBULE_BINARY [SCENARIO...].

The programs know no form: they come with a user and a password (`basic = true`). Radicale knows its users by a header.
Tokens live for three seconds. Prints `N passed, N failed`.
"""

import time

from deployment import ADA, HERE, PASSWORD, free_port, from_pypi, get, main
from webdav import cadaver

SITE = """basic = true

[sites.headers]
"X-Remote-User" = "{username|email}"
"""
RADICALE = """[server]
hosts = 127.0.0.1:{port}
[auth]
type = http_x_remote_user
[rights]
type = owner_only
[storage]
filesystem_folder = {directory}/collections
"""
EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//porch//EN
BEGIN:VEVENT
UID:by-cadaver
DTSTAMP:20260101T000000Z
DTSTART:20260102T180000Z
SUMMARY:Lanterns
END:VEVENT
END:VCALENDAR
"""


def prepare(deployment):
    deployment.programs = from_pypi("radicale")
    port = free_port()
    (deployment.directory / "radicale.conf").write_text(RADICALE.format(port=port, directory=deployment.directory))
    deployment.serve(deployment.programs / "radicale", "--config", deployment.directory / "radicale.conf", port=port)
    deployment.guard(port, SITE)


def caldav(deployment, *arguments):
    return deployment.run(deployment.programs / "python", HERE / "caldav_client.py", deployment.site, *arguments)


def the_caldav_library_past_expiry(deployment):
    said = caldav(deployment, ADA, PASSWORD, "errand", str(deployment.lifetime))
    assert said.split() == ["made", "found", "changed", "deleted"], said


def the_caldav_library_with_a_wrong_password(deployment):
    started = time.monotonic()
    said = caldav(deployment, "ada", "wrong", "refused")
    assert said.strip() == "refused" and time.monotonic() - started < 15, said


def cadaver_past_expiry(deployment):
    caldav(deployment, "ada", PASSWORD, "calendar", "porch")
    (deployment.directory / "event.ics").write_text(EVENT.replace("\n", "\r\n"))
    said = cadaver(deployment, "/ada/porch/", ["put event.ics by-cadaver.ics", "ls"])
    assert "by-cadaver.ics" in said and "fail" not in said.lower(), said
    time.sleep(deployment.lifetime)
    said = cadaver(deployment, "/ada/porch/", ["get by-cadaver.ics back.ics", "delete by-cadaver.ics", "ls"])
    assert "fail" not in said.lower(), said
    assert "SUMMARY:Lanterns" in (deployment.directory / "back.ics").read_text()


def nobody_reads_a_calendar_of_somebody_else(deployment):
    caldav(deployment, "ada", PASSWORD, "calendar", "hers")
    said = cadaver(deployment, "/ada/hers/", ["ls"], user="grace")
    assert "403" in said, said
    said = cadaver(deployment, "/ada/hers/", ["ls"], password="wrong")
    assert "Authentication" in said or "Could not authenticate" in said, said


def a_browser_gets_the_form(deployment):
    """And never its own dialog for a password."""
    status, fields, _ = get(deployment, "/", Accept="text/html", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document")
    assert (status, fields["Location"]) == (302, "/login?return_to=/"), (status, fields.items())
    status, fields, _ = get(deployment, "/", Sec_Fetch_Mode="cors", Sec_Fetch_Site="same-origin")
    assert status == 401 and not fields["WWW-Authenticate"].startswith("Basic"), fields.items()


if __name__ == "__main__":
    main("a calendar server (Radicale)", prepare, [
        the_caldav_library_past_expiry, the_caldav_library_with_a_wrong_password, cadaver_past_expiry,
        nobody_reads_a_calendar_of_somebody_else, a_browser_gets_the_form,
    ])
