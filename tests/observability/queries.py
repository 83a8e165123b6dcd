#!/usr/bin/env python3
"""Asks a running Prometheus everything that the dashboard and the alerts ask.

    queries.py PROMETHEUS-URL dashboard.json alerts.yaml serving.md

Prints `ok name` or `FAIL name: why` for each question. Series take a few scrapes to
appear and to have a rate, so a question is put again until it has its answer or the time
is over; how long an answer takes is not judged.
"""

import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE = 90  # seconds, for everything together

# Queries whose answer may be nought, by the series they ask for: nothing panics here, bodies
# are gone before anyone looks, map and certificate of one replica are broken, and without an
# API server nothing is watched. All others must count.
MAY_BE_NOUGHT = [
    "pullpass_panics_total",
    "pullpass_body_memory_bytes",
    "pullpass_connections_displaced_total",
    "pullpass_requests_in_flight",
    "pullpass_map_last_load_successful",
    "pullpass_certificate_last_load_successful",
    "pullpass_webhook_configuration_problems",
]

# What the replicas of this test give reason for, and nothing else. PullpassReviewsSlow is
# left out, because how fast a busy machine is proves nothing, and so are the dates of the example.
ALARMING = {
    "PullpassCertificateReloadFailing",
    "PullpassHandshakesFailing",
    "PullpassMapReloadFailing",
    "PullpassReplicaDown",
    "PullpassReviewsFailing",
}
EITHER = {"PullpassReviewsSlow", "PullpassEntryExpiresSoon", "PullpassEntryDeniesSoon"}

# Those of others (apiserver_*, kube_*) the program under test cannot show.
OURS = re.compile(r"\b(?:pullpass|process)_[a-z_]+")

# What Grafana puts in, for a view of one minute.
VARIABLES = {"$__rate_interval": "10s", "$__range": "60s"}
CHOICES = [{"$namespace": ".*", "$job": ".*"}, {"$namespace": "pullpass", "$job": "(pullpass|other)"}]


class Prometheus:
    def __init__(self, url):
        self.url = url

    def get(self, path, **parameters):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise Wrong(json.load(error).get("error", str(error))) from error

    def query(self, expr):
        """The values of an expression's series; a scalar is one series."""
        data = self.get("query", query=expr)
        if data["resultType"] == "scalar":
            return [float(data["result"][1])]
        return [float(series["value"][1]) for series in data["result"]]


class Wrong(Exception):
    """Something will not become right by waiting, or has not become so."""


def panels_of(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def put_in(expr, choice):
    # The longest name first: $__range is the beginning of others.
    for name, value in sorted({**VARIABLES, **choice}.items(), key=lambda item: -len(item[0])):
        expr = expr.replace(name, value)
    if "$" in expr:
        raise Wrong(f"a variable that the dashboard does not have: {expr}")
    return expr


def shape_of(dashboard):
    """What Grafana needs to take and to draw it on anybody's data source."""
    wrong = []
    if dashboard.get("schemaVersion", 0) < 36:
        wrong.append("schemaVersion is old")
    if dashboard.get("id") is not None:
        wrong.append("id must be null: it is the number of a dashboard in one Grafana")
    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    if variables != ["datasource", "namespace", "job"]:
        wrong.append(f"variables are {variables}")
    ids = [panel["id"] for panel in panels_of(dashboard)]
    if len(ids) != len(set(ids)):
        wrong.append("two panels have one id")

    def sources(value):
        if isinstance(value, dict):
            if "datasource" in value:
                yield value["datasource"]
            for inner in value.values():
                yield from sources(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from sources(inner)

    for source in sources(dashboard):
        if source not in ({"type": "prometheus", "uid": "${datasource}"}, {"type": "grafana", "uid": "-- Grafana --"}):
            wrong.append(f"a data source of its own: {source}")
    taken = {}
    for panel in panels_of(dashboard):
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            wrong.append(f"{panel['title']} is wider than the dashboard")
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if (x, y) in taken:
                    wrong.append(f"{panel['title']} lies on {taken[x, y]}")
                taken[x, y] = panel["title"]
    if wrong:
        raise Wrong("; ".join(dict.fromkeys(wrong)))


def data_of(prometheus, expr):
    """At least one number, and not merely noughts."""
    values = [value for value in prometheus.query(expr) if math.isfinite(value)]
    if not values:
        raise Wrong(f"no data: {expr}")
    if not any(values) and not any(name in expr for name in MAY_BE_NOUGHT):
        raise Wrong(f"nothing but noughts: {expr}")


def choices_of(prometheus, variable):
    """`label_values(series, label)`, as Grafana asks for it."""
    series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
    series = put_in(series, CHOICES[0])
    if prometheus.get(f"label/{label}/values", **{"match[]": series}) != ["pullpass"]:
        raise Wrong(f"the choices of {series} are not the one namespace or job that there is")


def can_be_narrowed(rules):
    """Whoever replaces `namespace=~".*"` must reach every series of ours, and `up`."""
    wide = [name for name in re.findall(r"\b((?:pullpass_[a-z_]+|up)\b)(?!{namespace=~\"\.\*\")", rules)]
    if wide:
        raise Wrong(f'no selector that begins with namespace=~".*": {", ".join(wide)}')


def evaluates(prometheus, name):
    for group in prometheus.get("rules", type="alert")["groups"]:
        for rule in group["rules"]:
            if rule["name"] != name:
                continue
            if rule["health"] != "ok" or rule.get("lastError"):
                raise Wrong(f"{rule['health']}: {rule.get('lastError')}")
            if name not in EITHER and (rule["state"] != "inactive") != (name in ALARMING):
                raise Wrong(f"is {rule['state']}")
            prometheus.query(rule["query"])
            for alert in rule["alerts"]:
                for key, words in alert["annotations"].items():
                    if "<" in words or "{{" in words or "NaN" in words:
                        raise Wrong(f"{key} says: {words}")


def exists(prometheus, name):
    if not prometheus.query(f"count({name})"):
        raise Wrong("no such series")


def documented_series(page):
    """The names in the metrics table; those with a star stand for several."""
    table = page.split("| metric | labels | what |", 1)[1].split("\n\n", 1)[0]
    names = [name for row in table.splitlines() for name in re.findall(r"`((?:pullpass|process)_[a-z_]+)`", row.split("|")[1] if "|" in row else "")]
    # The one histogram.
    return [name + "_bucket" if name.endswith("_duration_seconds") else name for name in names]


def questions(prometheus, dashboard, rules, written, page):
    yield "the dashboard's shape", lambda: shape_of(dashboard)
    yield "the alerts' selectors", lambda: can_be_narrowed(written)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"choices of {variable['name']}", lambda variable=variable: choices_of(prometheus, variable)
    texts = [rule["query"] for rule in rules]
    for panel in panels_of(dashboard):
        if panel["type"] != "row" and not panel.get("targets"):
            raise Wrong(f"panel {panel['title']} asks nothing")
        for target in panel.get("targets", []):
            texts.append(target["expr"])
            for choice in CHOICES:
                name = f"panel {panel['title']} {target['refId']} ({choice['$namespace']})"
                yield name, lambda expr=target["expr"], choice=choice: data_of(prometheus, put_in(expr, choice))
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            texts.append(annotation["expr"])
            # Nothing to show is an answer here.
            name = f"annotation {annotation['name']}"
            yield name, lambda expr=annotation["expr"]: prometheus.query(put_in(expr, CHOICES[0]))
    for rule in rules:
        yield f"alert {rule['name']}", lambda rule=rule: evaluates(prometheus, rule["name"])
    # An alert on a misspelt series is as silent as a good one.
    for name in sorted({name for text in texts for name in OURS.findall(text)}):
        yield f"series {name}", lambda name=name: exists(prometheus, name)
    for name in documented_series(page):
        yield f"documented series {name}", lambda name=name: exists(prometheus, name)


def main():
    url, dashboard, alerts, page = sys.argv[1:]
    prometheus = Prometheus(url)
    with open(dashboard, encoding="utf-8") as file:
        dashboard = json.load(file)
    with open(page, encoding="utf-8") as file:
        page = file.read()
    # As Prometheus read them, so that no YAML has to be parsed here.
    rules = [rule for group in prometheus.get("rules", type="alert")["groups"] for rule in group["rules"]]
    with open(alerts, encoding="utf-8") as file:
        written = file.read()
    if [rule["name"] for rule in rules] != re.findall(r"- alert: (\w+)", written):
        raise Wrong("Prometheus has not all the alerts that the file has")

    end = time.monotonic() + PATIENCE
    open_questions = list(questions(prometheus, dashboard, rules, written, page))
    failed = {}
    while open_questions:
        again = []
        for name, question in open_questions:
            try:
                question()
                print(f"ok {name}")
            except (Wrong, OSError) as error:
                failed[name] = error
                again.append((name, question))
        open_questions = again
        if time.monotonic() > end:
            break
        time.sleep(0.5)
    for name, _ in open_questions:
        print(f"FAIL {name}: {failed[name]}")
    return 1 if open_questions else 0


if __name__ == "__main__":
    sys.exit(main())
