"""The Compose file for TLS and tokens speaks of settings that there are, and lets nobody write the secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from convserve_server.settings import read_settings

ROOT = Path(__file__).resolve().parents[3]
SERVER: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.secure.yml").read_text())["services"]["server"]


def test_its_settings_turn_tls_and_tokens_on() -> None:
    settings = read_settings([], SERVER["environment"])
    for path in (settings.tls_certificate, settings.tls_key, settings.tokens):
        assert path is not None
        assert path.parent == Path("/secrets")


def test_secrets_are_mounted_read_only() -> None:
    assert SERVER["volumes"] == ["./secrets:/secrets:ro"]
