"""A calendar program that uses the library `caldav`: caldav_client.py SITE USER PASSWORD WHAT [HOW]. Prints what it did."""

import sys
import time
from datetime import datetime, timezone

import caldav
from caldav.lib.error import AuthorizationError

site, user, password, what = sys.argv[1:5]
client = caldav.DAVClient(url=site, username=user, password=password)


def errand(life):
    calendar = client.principal().make_calendar(name="errands")
    event = calendar.save_event(
        dtstart=datetime(2026, 1, 2, 18, tzinfo=timezone.utc), dtend=datetime(2026, 1, 2, 19, tzinfo=timezone.utc),
        summary="Lanterns",
    )
    print("made")
    time.sleep(life)
    found = calendar.search(
        start=datetime(2026, 1, 1, tzinfo=timezone.utc), end=datetime(2026, 1, 3, tzinfo=timezone.utc), event=True
    )
    assert [one.icalendar_component["summary"] for one in found] == ["Lanterns"], found
    print("found")
    event.icalendar_component["summary"] = "Two lanterns"
    event.save()
    assert calendar.events()[0].icalendar_component["summary"] == "Two lanterns"
    print("changed")
    event.delete()
    assert calendar.events() == []
    calendar.delete()
    print("deleted")


if what == "errand":
    errand(float(sys.argv[5]))
elif what == "calendar":
    client.principal().make_calendar(name=sys.argv[5], cal_id=sys.argv[5])
else:
    try:
        client.principal().calendars()
    except AuthorizationError:
        print("refused")
