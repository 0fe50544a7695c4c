"""The Kubernetes files keep to the published schemas. (No cluster has run them: nothing here says that they work.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from convserve_server.settings import Settings

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "kubernetes"
FIRST = "1.30"
"""The first version with everything that the files use: `sleep` before a stop."""


Document = dict[str, Any]


def documents(folder: str) -> list[Document]:
    """Every object in the folder's files."""
    files = sorted(f for f in (FOLDER / folder).glob("*.yaml") if f.name != "kustomization.yaml")
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def by_kind(document: Document) -> str:
    return str(document["kind"])


def pod(kind: str) -> Document:
    """The pod that the only object of a kind describes."""
    [found] = [document["spec"]["template"]["spec"] for document in documents("base") if document["kind"] == kind]
    return dict(found)


@pytest.mark.parametrize("version", [FIRST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("document", documents("base"), ids=by_kind)
def test_a_file_keeps_to_the_schema(document: Document, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("document", [*documents("kserve"), *documents("monitoring")], ids=by_kind)
def test_a_custom_resource_has_no_published_schema_here_and_says_what_it_is(document: Document) -> None:
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(document, FIRST, strict=True)
    assert {"apiVersion", "kind", "metadata", "spec"} == set(document)


def test_kustomize_is_told_of_every_file() -> None:
    told = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())["resources"]
    there = {file.name for file in (FOLDER / "base").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(told) == there


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_a_container_may_do_nothing_that_it_need_not(kind: str) -> None:
    """What the namespace's `restricted` asks for, and a read-only root."""
    [container] = pod(kind)["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_the_server_has_time_to_finish_what_it_has_accepted() -> None:
    """The pause before SIGTERM and the server's grace fit into what Kubernetes waits before it kills."""
    server = pod("Deployment")
    [container] = server["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + Settings().grace < server["terminationGracePeriodSeconds"]
