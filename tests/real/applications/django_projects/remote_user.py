"""Who is there, as Django's documentation says to take it from a header of a proxy."""

from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.middleware import RemoteUserMiddleware


class Middleware(RemoteUserMiddleware):
    header = "HTTP_REMOTE_USER"


class Backend(RemoteUserBackend):
    def configure_user(self, request, user, created=True):
        user.email = request.META.get("HTTP_REMOTE_EMAIL", "")
        user.is_staff = "admin" in request.META.get("HTTP_REMOTE_GROUPS", "").split(",")
        user.save()
        return user
