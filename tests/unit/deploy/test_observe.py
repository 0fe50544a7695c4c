"""Prometheus and Grafana ask for what the server and Envoy really tell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from convserve_server.calls import Call, Method
from convserve_server.counting import counted
from convserve_server.metrics import Metrics
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[3]
OBSERVE = ROOT / "deploy" / "observe"
DASHBOARD: dict[str, Any] = json.loads((OBSERVE / "grafana" / "dashboards" / "convserve.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
FROM_ENVOY = {"envoy_cluster_upstream_rq_retry", "envoy_cluster_membership_healthy", "envoy_cluster_membership_total"}


def asked_for() -> set[str]:
    """Every metric that a panel or a variable of the dashboard names."""
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in DASHBOARD["templating"]["list"]]
    without_labels = [re.sub(r"\{[^}]*\}", "", query) for query in queries]
    return {name for query in without_labels for name in re.findall(r"\b(?:convserve|process|envoy)_\w+", query)}


def told() -> set[str]:
    """Every metric that a server tells, by the names that queries use."""

    def never_called(payload: bytes, call: Call) -> None:
        raise AssertionError

    _, counts = counted([Method("/a.Service/Method", never_called)])
    names: set[str] = set()
    for family in text_string_to_metric_families(Metrics(list, counts).text().decode()):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def test_every_panel_asks_for_what_there_is() -> None:
    assert asked_for() - FROM_ENVOY <= told()


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in told() if name.startswith("convserve_")}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked_for()}
    assert ours - shown == set()


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
