"""Canaille with one client and one account, in memory: server.py SETTINGS, a JSON object with `port`, `client_id`,
`client_secret`, `site` (the origin of the client) and `lifetime` (of access tokens, in seconds). Prints a line when it
listens. `GET /test/counts` tells how many refreshes were asked for."""

import datetime
import json
import logging
import sys
import threading

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from flask import jsonify, request
from werkzeug.serving import make_server

settings = json.loads(sys.argv[1])
app = create_app(
    {
        "SECRET_KEY": "only for this test",
        "SERVER_NAME": f"localhost:{settings['port']}",
        "PREFERRED_URL_SCHEME": "http",
        "OAUTH2_TOKEN_EXPIRES_IN": {"authorization_code": settings["lifetime"], "refresh_token": settings["lifetime"]},
        "CANAILLE": {"FORCE_HTTPS": False},
    }
)
counts = {"refreshes": 0}
now = datetime.datetime.now(datetime.timezone.utc)
with app.app_context(), Backend.instance.session():
    ann = models.User(
        formatted_name="Ann", family_name="Ann", user_name="ann", display_name="ann", emails=["ann@example.com"],
        password="a password of ann",
    )
    Backend.instance.save(ann)
    site = settings["site"]
    shop = models.Client(
        client_id=settings["client_id"], client_name="shop", client_secret=settings["client_secret"], client_uri=site,
        client_id_issued_at=now, redirect_uris=[f"{site}/_vestibule/callback"], post_logout_redirect_uris=[f"{site}/"],
        grant_types=["authorization_code", "refresh_token"], response_types=["code"],
        scope=["openid", "profile", "email"], token_endpoint_auth_method="client_secret_basic",
        id_token_signed_response_alg="RS256",
    )
    Backend.instance.save(shop)
    shop.audience = [shop]
    Backend.instance.save(shop)


@app.before_request
def count():
    if request.path == "/oauth/token" and request.form.get("grant_type") == "refresh_token":
        counts["refreshes"] += 1


@app.route("/test/counts")
def tell():
    return jsonify(counts)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", settings["port"], app, threaded=True)
print("listening", flush=True)
server.serve_forever()
