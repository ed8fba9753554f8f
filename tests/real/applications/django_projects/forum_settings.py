"""The project that `spirit startproject` makes. Who is there comes from a header, with Django's own middleware."""

import os

from forum.settings.dev import *  # noqa: F403
from forum.settings.dev import BASE_DIR, DATABASES, MIDDLEWARE

SECRET_KEY = "a key for tests"
ALLOWED_HOSTS = ["localhost"]
ST_SITE_URL = "http://localhost/"
# Scenarios post faster than a person.
ST_RATELIMIT_ENABLE = False
DATABASES["default"]["NAME"] = os.path.join(os.environ["DATA"], "data.sqlite3")
DATABASES["default"]["OPTIONS"] = {"timeout": 20}
MEDIA_ROOT = os.path.join(BASE_DIR, "media")
MIDDLEWARE.insert(
    MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1, "remote_user.Middleware"
)
AUTHENTICATION_BACKENDS = ["remote_user.Backend"]
