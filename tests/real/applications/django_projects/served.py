"""A project as gunicorn serves it. Static files are answered before the middleware, as by WhiteNoise or another server:
their requests carry no identity, which `RemoteUserMiddleware` would take for a sign-out."""

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

application = StaticFilesHandler(get_wsgi_application())
