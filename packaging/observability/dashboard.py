#!/usr/bin/env python3
"""The Grafana dashboard, from one list of panels: dashboard.py > dashboard.json. Standard library only."""

import json

SITE = 'instance=~"$instance",site=~"$site"'
INSTANCE = 'instance=~"$instance"'


def rate(metric, by, labels=SITE):
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def increase(metric, by, labels=SITE):
    return f"sum by ({by}) (increase({metric}{{{labels}}}[$__rate_interval]))"


def quantile(share, metric, by, labels=SITE):
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'le, {by}', labels)})"


# Heading, description, unit of Grafana, and pairs of a query and the legend of its lines. The first are the largest.
PANELS = [
    (
        "Unexpected sign-outs",
        "Users who were signed out without asking for it. More than a few need an explanation: see the runbook.",
        "short",
        [(increase("vestibule_unexpected_sign_outs_total", "site, cause"), "{{site}} {{cause}}")],
    ),
    (
        "Requests by outcome",
        "What the gateway did with requests. `failed` is its own or its provider's failure.",
        "reqps",
        [(rate("vestibule_requests_total", "outcome"), "{{outcome}}")],
    ),
    (
        "Sign-ins",
        "Attempts by result. `invalid_credentials` without `success` may be somebody who tries passwords.",
        "short",
        [(increase("vestibule_logins_total", "result") + " > 0", "{{result}}")],
    ),
    (
        "Refreshes",
        "Access tokens that were refreshed. `refused` ends sign-ins, `unavailable` ends none.",
        "short",
        [(increase("vestibule_renewals_total", "result"), "{{result}}")],
    ),
    (
        "Refused and failed requests by reason",
        "The ten most frequent reasons.",
        "reqps",
        [("topk(10, " + rate("vestibule_requests_total", "reason", SITE + ',outcome=~"refused|failed"') + " > 0)", "{{reason}}")],
    ),
    (
        "Responses by class",
        "The statuses that clients got, from the application too.",
        "reqps",
        [(rate("vestibule_responses_total", "class"), "{{class}}")],
    ),
    (
        "Duration of requests",
        "From the first byte of the request to the last byte of the response, with the application's time.",
        "s",
        [
            (quantile(0.5, "vestibule_request_duration_seconds", "site"), "{{site}} median"),
            (quantile(0.99, "vestibule_request_duration_seconds", "site"), "{{site}} 99 %"),
        ],
    ),
    (
        "The gateway's own time",
        "Before it contacts the application or responds itself, without waiting for providers and the store.",
        "s",
        [(quantile(0.99, "vestibule_decision_duration_seconds", "site"), "{{site}} 99 %")],
    ),
    (
        "Requests in flight, open streams",
        "",
        "short",
        [
            (f"sum by (site) (vestibule_requests_in_flight{{{SITE}}})", "{{site}} requests"),
            (f"sum by (site) (vestibule_open_streams{{{SITE}}})", "{{site}} streams"),
        ],
    ),
    (
        "Upstreams",
        "1: the upstream gets requests. 0: it fails its health check or is ejected.",
        "short",
        [(f"min by (site, upstream) (vestibule_upstream_healthy{{{SITE}}})", "{{site}} {{upstream}}")],
    ),
    (
        "Errors of upstreams",
        "Attempts that gave no response, by cause.",
        "short",
        [(increase("vestibule_upstream_errors_total", "site, upstream, error"), "{{site}} {{upstream}} {{error}}")],
    ),
    (
        "Time of upstreams",
        "Until the head of the response, 99 %.",
        "s",
        [(quantile(0.99, "vestibule_upstream_request_duration_seconds", "site, upstream"), "{{site}} {{upstream}}")],
    ),
    (
        "Calls to providers",
        "`refused` is an answer. `unavailable` and `misconfigured` are failures.",
        "short",
        [(increase("vestibule_provider_requests_total", "provider, operation, result", INSTANCE) + " > 0", "{{provider}} {{operation}} {{result}}")],
    ),
    (
        "Time of providers",
        "99 %.",
        "s",
        [(quantile(0.99, "vestibule_provider_request_duration_seconds", "provider, operation", INSTANCE), "{{provider}} {{operation}}")],
    ),
    (
        "Rate limits on sign-in",
        "Attempts that were refused, by account or by address.",
        "short",
        [(increase("vestibule_throttled_total", "site, limit"), "{{site}} {{limit}}")],
    ),
    (
        "Checks of access tokens",
        "`remembered` costs a lookup, the others a signature.",
        "ops",
        [(rate("vestibule_token_checks_total", "result", INSTANCE), "{{result}}")],
    ),
    (
        "Server-side sessions, evictions of the store",
        "",
        "short",
        [
            (f"sum(vestibule_sessions{{{INSTANCE}}})", "sessions"),
            (increase("vestibule_store_evictions_total", "store", INSTANCE), "evicted: {{store}}"),
        ],
    ),
    (
        "Connections of clients",
        "",
        "short",
        [(f"sum by (listener, protocol) (vestibule_connections{{{INSTANCE}}})", "{{listener}} {{protocol}}")],
    ),
    (
        "TLS handshakes",
        "",
        "short",
        [(increase("vestibule_tls_handshakes_total", "listener, result", INSTANCE), "{{listener}} {{result}}")],
    ),
    (
        "Validity of certificates",
        "",
        "s",
        [(f"min by (name) (vestibule_certificate_expiry_timestamp_seconds{{{INSTANCE}}}) - time()", "{{name}}")],
    ),
    (
        "Configuration",
        "1: the last configuration that was read is in force. 0: it was refused.",
        "short",
        [(f"vestibule_config_last_reload_successful{{{INSTANCE}}}", "{{instance}}")],
    ),
    (
        "Age of the cookie key",
        "`vestibule keys rotate` adds a new one and signs nobody out.",
        "s",
        [(f"max(vestibule_cookie_key_age_seconds{{{INSTANCE}}})", "age")],
    ),
    (
        "Processor",
        "Cores in use.",
        "short",
        [(f"rate(process_cpu_seconds_total{{{INSTANCE}}}[$__rate_interval]) and on (instance) vestibule_build_info", "{{instance}}")],
    ),
    (
        "Memory",
        "",
        "bytes",
        [(f"process_resident_memory_bytes{{{INSTANCE}}} and on (instance) vestibule_build_info", "{{instance}}")],
    ),
    (
        "Open files",
        "As a share of what the system allows.",
        "percentunit",
        [(f"process_open_fds{{{INSTANCE}}} / process_max_fds and on (instance) vestibule_build_info", "{{instance}}")],
    ),
    (
        "Versions",
        "",
        "short",
        [(f"sum by (version) (vestibule_build_info{{{INSTANCE}}})", "{{version}}")],
    ),
]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel(number, heading, description, unit, queries):
    """The first panel has a row of its own; then there are three in each."""
    row, column = divmod(number - 1, 3) if number else (0, 0)
    place = {"x": 8 * column, "y": 9 + 8 * row, "w": 8, "h": 8} if number else {"x": 0, "y": 0, "w": 24, "h": 9}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": heading,
        "description": description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(queries)
        ],
    }


def variable(name, label):
    query = f"label_values({'vestibule_requests_total' if name == 'site' else 'vestibule_build_info'}, {name})"
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
        "refresh": 2, "includeAll": True, "allValue": ".*", "multi": True, "current": {"text": "All", "value": "$__all"},
    }


def dashboard():
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "vestibule",
        "title": "Vestibule",
        "tags": ["vestibule"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source, variable("instance", "Gateway"), variable("site", "Site")]},
        "panels": [panel(number, *rest) for number, rest in enumerate(PANELS)],
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=2))
