"""Containers may do nothing that they need not, wherever we say how to run them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from .test_kubernetes import FOLDER, documents

COMPOSE = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("service", COMPOSE)
def test_a_compose_service_has_a_read_only_root_no_capabilities_and_none_to_gain(service: str) -> None:
    settings = COMPOSE[service]
    assert settings["read_only"] is True
    assert settings["tmpfs"] == ["/tmp"]
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert not settings.get("cap_add")
    assert not settings.get("privileged")


@pytest.mark.parametrize("service", COMPOSE)
def test_a_compose_service_writes_to_its_own_volumes_only(service: str) -> None:
    """The client writes where the user is, which is what it is for; what is mounted from this folder is read."""
    mounted = [volume.split(":") for volume in COMPOSE[service].get("volumes", ()) if not volume.startswith("${")]
    writable = {volume[0] for volume in mounted if volume[-1] != "ro"}
    assert writable <= {"artifacts" if service == "export" else service}


def kserve_container() -> dict[str, Any]:
    [runtime] = [document for document in documents("kserve") if document["kind"] == "ServingRuntime"]
    [container] = runtime["spec"]["containers"]
    return dict(container)


def test_the_kserve_runtime_has_the_same_rights_as_the_deployment() -> None:
    security = kserve_container()["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_a_pod_runs_as_nobody_in_particular_without_a_token(kind: str) -> None:
    [found] = [each["spec"]["template"]["spec"] for each in documents("base") if each["kind"] == kind]
    assert found["automountServiceAccountToken"] is False
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
