"""What the README says of hashed locks: pip takes them, and what comes is what they say and works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.supply import locks

from .conftest import ROOT, make_environment, run

pytestmark = pytest.mark.timeout(600)

SERVE = "import convserve_server.app, convserve_client, onnxruntime; print(onnxruntime.__version__)"


def lock(name: str) -> list[str]:
    return ["-r", str(locks.path(name))]


def test_a_server_installed_by_hash_holds_what_the_locks_say_and_starts(tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "venv")
    hashed = ["install", "--quiet", "--no-compile", "--require-hashes"]
    # The order of the README's two steps; then the client's lock asks for nothing that is not there.
    environment.pip(*hashed, *lock("server-cpu"), *lock("metrics"), *lock("build"))
    environment.pip("install", "--quiet", "--no-compile", "--no-index", "--no-deps", "--no-build-isolation", str(ROOT))
    assert environment.pip(*hashed, "--no-index", *lock("client")).strip() == ""

    pins = {pin.name: pin.version for name in ("server-cpu", "metrics", "build") for pin in locks.read(name)}
    held = {locks.normal(name) for name in environment.distributions()}
    # convserve itself is frozen as a path, pip and setuptools are the environment's own.
    assert {name for name in held if " @ " not in name} - {"pip", "setuptools"} == set(pins)
    assert environment.pip("check").strip() == "No broken requirements found."
    assert environment.run("python", "-c", SERVE).strip() == pins["onnxruntime"]
    assert "usage: convserve-server" in environment.run("convserve-server", "--help").lower()


def test_a_file_with_another_hash_is_refused(tmp_path: Path) -> None:
    """The locks would be decoration if pip did not hold to them."""
    environment = make_environment(tmp_path / "venv")
    [pin] = [pin for pin in locks.read("client") if pin.name == "typing-extensions"]
    forged = tmp_path / "forged.txt"
    forged.write_text(f"{pin.name}=={pin.version} --hash=sha256:{'0' * 64}\n")
    with pytest.raises(pytest.fail.Exception, match=r"(?s)DO NOT MATCH THE HASHES"):
        run([str(environment.bin / "python"), "-m", "pip", "install", "-r", str(forged)], cwd=tmp_path)
