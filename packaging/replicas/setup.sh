#!/bin/sh
# Makes ./secrets for compose.yaml: keys, passwords, and a self-signed certificate for store.localhost.
set -eu
cd "$(dirname "$0")"
[ ! -e secrets ] || { echo "setup.sh: ./secrets is there already" >&2; exit 1; }
umask 077
mkdir secrets
openssl rand -base64 32 >secrets/cookie.key
openssl rand -hex 32 >secrets/redis.password
printf 'redis://:%s@redis:6379\n' "$(cat secrets/redis.password)" >secrets/redis.url
# The key of the identity server with the accounts of the demo.
printf 'demo\n' >secrets/fusionauth.key
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=store.localhost \
    -addext subjectAltName=DNS:store.localhost -keyout secrets/store.key -out secrets/store.pem 2>/dev/null
# The containers run as other users. The directory keeps others out.
chmod 644 secrets/*
chmod 711 secrets
