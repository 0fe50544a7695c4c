"""What the images are: small, closed, and without what they do not need."""

from __future__ import annotations

import json
import tomllib

import pytest

from tools.supply import locks

from .engine import ROOT
from .stack import PROFILES, Stack

pytestmark = pytest.mark.timeout(1800)

MEGABYTE = 1_000_000
TARGETS = ("server", "client", "export")


@pytest.mark.parametrize(("target", "most"), [("server", 350), ("client", 270)])
def test_an_image_keeps_its_size_budget(images: Stack, target: str, most: int) -> None:
    """Uncompressed, base image included, as `docker images` counts."""
    size = images.inspect(f"convserve-{target}:test")["Size"] / MEGABYTE
    print(f"\n{target}: {size:.0f} MB of {most} MB")
    assert size <= most


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is_and_runs_as_nobody_in_particular(images: Stack, target: str) -> None:
    config = images.inspect(f"convserve-{target}:test")["Config"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert config["User"] == "10001:10001"
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["version"] == version
    assert labels["licenses"] == "Apache-2.0"
    assert labels["title"].startswith("convserve")
    assert {"description", "revision"} <= set(labels)


@pytest.mark.parametrize(("target", "absent"), [("server", "torch onnx pip"), ("client", "torch onnxruntime pip")])
def test_an_image_has_no_more_than_it_needs(images: Stack, target: str, absent: str) -> None:
    script = f"from importlib.util import find_spec; print([n for n in '{absent}'.split() if find_spec(n)])"
    python = images.docker(
        "run", "--rm", "--network", "none", "--entrypoint", "python", f"convserve-{target}:test", "-c", script
    )
    assert python == "[]"
    compilers = images.docker(
        *("run", "--rm", "--network", "none", "--entrypoint", "sh", f"convserve-{target}:test", "-c"),
        "command -v gcc cc c++ make pip || echo none",
    )
    assert compilers == "none"


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_lists_what_it_holds_at_the_versions_of_the_locks(images: Stack, target: str) -> None:
    """Its bill of materials against what its own Python finds."""
    run = ("run", "--rm", "--network", "none", "--entrypoint")
    image = f"convserve-{target}:test"
    bill = json.loads(images.docker(*run, "cat", image, "/opt/venv/share/sbom.cdx.json"))
    script = "import json; from importlib.metadata import distributions as d; "
    script += "print(json.dumps([[x.metadata['Name'], x.version.partition('+')[0]] for x in d()]))"
    held = {
        (locks.normal(name), version)
        for name, version in json.loads(images.docker(*run, "python", image, "-c", script))
    }
    assert {(each["name"], each["version"]) for each in [*bill["components"], bill["metadata"]["component"]]} == held
    pinned = {(pin.name, pin.version) for part in locks.INSTALLS[f"image-{target}"] for pin in locks.read(part)}
    assert held - {("convserve", bill["metadata"]["component"]["version"])} <= pinned


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_writes_nowhere_but_where_it_is_told(images: Stack, target: str) -> None:
    """Its user may write to no file or folder of the root, but temporary ones and the mount point of artifacts."""
    found = images.docker(
        *(
            "run",
            "--rm",
            "--network",
            "none",
            "--cap-drop",
            "ALL",
            "--entrypoint",
            "sh",
            f"convserve-{target}:test",
            "-c",
        ),
        "find / -xdev -writable \\( -type f -o -type d \\) -not -path '/proc/*' -not -path '/tmp*' -not -path '/dev/*'"
        " 2>/dev/null || true",
    ).split()
    # The mount point is the user's own: a search that finds not even that has not searched.
    assert {"/artifacts"} <= set(found) <= {"/artifacts", "/var/tmp", "/run/lock", "/var/lock"}


@pytest.mark.parametrize("profile", ["", *PROFILES])
def test_compose_takes_the_file(images: Stack, profile: str) -> None:
    images.compose(*(["--profile", profile] if profile else []), "config", "--quiet")


def test_envoy_takes_its_configuration(images: Stack) -> None:
    said = images.compose(
        *("--profile", "scale", "run", "--rm", "--no-deps", "-T", "envoy"),
        *("--mode", "validate", "-c", "/etc/envoy/envoy.yaml"),
    )
    assert "configuration '/etc/envoy/envoy.yaml' OK" in said
