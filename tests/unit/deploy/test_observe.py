"""Prometheus and Grafana ask for what the server and Envoy really tell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from convserve_server.calls import Call, Code, Method
from convserve_server.counting import counted
from convserve_server.engine.batcher import Statistics
from convserve_server.load import Load
from convserve_server.metrics import METHOD, MODEL, Metrics, Sources, unanswered
from convserve_server.workers.metrics import WorkerMetrics
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[3]
OBSERVE = ROOT / "deploy" / "observe"
DASHBOARD: dict[str, Any] = json.loads((OBSERVE / "grafana" / "dashboards" / "convserve.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((OBSERVE / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
FROM_ENVOY = {"envoy_cluster_upstream_rq_retry", "envoy_cluster_membership_healthy", "envoy_cluster_membership_total"}


def asked_for() -> set[str]:
    """Every metric that a panel or a variable of the dashboard names."""
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in DASHBOARD["templating"]["list"]]
    return {name for query in queries for name in named_in(query)}


def named_in(query: str) -> set[str]:
    """The metrics that a query names."""
    return set(re.findall(r"\b(?:convserve|process|envoy)_\w+", re.sub(r"\{[^}]*\}", "", query)))


def labels_in(query: str) -> set[str]:
    """The labels that a query selects or sums by."""
    selected = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)
    summed = [name for names in re.findall(r"\bby \(([^)]*)\)", query) for name in names.split(",")]
    return {*selected, *(name.strip() for name in summed)}


def families() -> list[Any]:
    """Everything that a server tells, and what the parent of several adds."""
    _, counts = counted(Method("/a.Service/Method", never_called))
    load = Load(1)
    load.refuse("calls")
    text = Metrics(Sources(calls=[counts], load=load)).text() + WorkerMetrics().text()
    return list(text_string_to_metric_families(text.decode()))


def never_called(payload: bytes, call: Call) -> None:
    raise AssertionError


def told() -> set[str]:
    """Every metric that a server tells, by the names that queries use."""
    names: set[str] = set()
    for family in families():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def test_every_panel_asks_for_what_there_is() -> None:
    assert asked_for() - FROM_ENVOY <= told()


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in told() if name.startswith("convserve_")}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked_for()}
    assert ours - shown == set()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    names = named_in(rule["expr"])
    assert names <= told()
    assert names or rule["alert"] == "ConvserveDown"
    known = {"job", "instance", "le", *METHOD, "code", *MODEL, "why"}
    assert labels_in(rule["expr"]) <= known
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_alert_is_explained_to_operators() -> None:
    explained = re.findall(r"^\| `(Convserve\w+)` \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert explained == [rule["alert"] for rule in ALERTS]


def test_codes_and_reasons_in_alerts_are_those_that_are_told() -> None:
    queries = "".join(rule["expr"] for rule in ALERTS)
    codes = {code for codes in re.findall(r'code=~?"([^"]*)"', queries) for code in codes.split("|")}
    assert codes <= {code.name for code in Code}
    assert set(re.findall(r'why="([^"]*)"', queries)) <= set(unanswered(Statistics()))


def test_prometheus_reads_the_alerts() -> None:
    [rules] = yaml.safe_load((OBSERVE / "prometheus.yml").read_text())["rule_files"]
    mounted = [v.split(":")[:2] for v in COMPOSE["services"]["prometheus"]["volumes"]]
    assert ["./deploy/observe/alerts.yml", f"/etc/prometheus/{rules}"] in mounted


def test_prometheus_asks_the_services_at_the_ports_that_they_have() -> None:
    jobs = yaml.safe_load((OBSERVE / "prometheus.yml").read_text())["scrape_configs"]
    asked = {name: sd["port"] for job in jobs for sd in job["dns_sd_configs"] for name in sd["names"]}
    assert set(asked) <= set(COMPOSE["services"])
    for name in ("server", "server-gpu"):
        assert COMPOSE["services"][name]["environment"]["CONVSERVE_METRICS"] == f"0.0.0.0:{asked[name]}"
    envoy = yaml.safe_load((ROOT / "deploy" / "envoy" / "envoy.yaml").read_text())
    [metrics] = [li for li in envoy["static_resources"]["listeners"] if li["name"] == "metrics"]
    assert metrics["address"]["socket_address"]["port_value"] == asked["envoy"]


def test_grafana_finds_its_data_and_its_dashboard() -> None:
    [source] = yaml.safe_load((OBSERVE / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    grafana = COMPOSE["services"]["grafana"]
    mounted = {target: ROOT / host for host, target, *_ in (v.split(":") for v in grafana["volumes"])}
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (mounted[str(home.parent)] / home.name).is_file()
