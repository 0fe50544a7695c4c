"""Traces single inference requests into a file: when each of its steps began, as Triton's tracing does."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convserve_server.engine.model import Answer, Description, Reply
from convserve_server.errors import InvalidRequest, ServerError

log = logging.getLogger(__name__)

LEVELS = ("OFF", "TIMESTAMPS")
FIXED = {"log_frequency": ("0",), "trace_mode": ("triton",)}
"""Settings that clients may read and cannot change: there is one file, and lines are appended to it."""


@dataclass(frozen=True)
class TraceSettings:
    """What is traced."""

    level: str = "OFF"
    rate: int = 1000
    """One request of so many."""
    count: int = -1
    """How many more; -1 is without end."""

    def changed(self, values: Mapping[str, Sequence[str]], default: TraceSettings) -> TraceSettings:
        """With new values; one without a value goes back to its default. Raises InvalidRequest."""
        settings = self
        for name, value in values.items():
            if name == "trace_level":
                settings = replace(settings, level=_level(value) if value else default.level)
            elif name == "trace_rate":
                settings = replace(settings, rate=_number(name, value, 1) if value else default.rate)
            elif name == "trace_count":
                settings = replace(settings, count=_number(name, value, -1) if value else default.count)
            elif name not in ("trace_file", *FIXED):
                raise InvalidRequest(f"unknown trace setting '{name}'")
            elif value:
                raise InvalidRequest(f"trace setting '{name}' cannot be changed by a call")
        return settings


def _level(value: Sequence[str]) -> str:
    if len(value) != 1 or value[0] not in LEVELS:
        raise InvalidRequest(f"trace_level is {list(value)}; it takes one of {', '.join(LEVELS)}")
    return value[0]


def _number(name: str, value: Sequence[str], least: int) -> int:
    try:
        (text,) = value
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise InvalidRequest(f"{name} is {list(value)}; it takes a whole number, {least} or more")
    return number


class Tracer:
    """Decides which requests are traced, and writes what was seen of them; one line of JSON each."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.on = False
        """False where no request can be traced: all that calls look at then."""
        self._default = TraceSettings()
        self._by_model: dict[str, TraceSettings] = {}
        self._seen: dict[str, int] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def settings(self, model: str = "") -> TraceSettings:
        """What is traced of a model, or of those that have no settings of their own."""
        return self._by_model.get(model, self._default)

    def change(self, model: str, values: Mapping[str, Sequence[str]]) -> None:
        """Change settings; raises InvalidRequest for what cannot be."""
        with self._lock:
            settings = self.settings(model).changed(values, self._default if model else TraceSettings())
            if settings.level != "OFF" and self.file is None:
                raise InvalidRequest("there is nowhere to write traces to: start the server with --trace-file FILE")
            if model:
                self._by_model[model] = settings
            else:
                self._default = settings
            self._seen.clear()
            self.on = any(s.level != "OFF" for s in (self._default, *self._by_model.values()))

    def around(self, description: Description, request_id: str, reply: Reply) -> Reply:
        """``reply``, or one that traces as well, where this request is one of those to be traced."""
        started = time.time_ns()
        if not self._wanted(description.name):
            return reply

        def traced(result: Answer | ServerError) -> None:
            ran = time.time_ns()
            reply(result)
            moments = {"REQUEST_START": started, "REQUEST_END": time.time_ns()}
            if isinstance(result, Answer):
                moments["COMPUTE_END"] = ran
                moments["COMPUTE_START"] = ran - round(result.inference_seconds * 1e9)
                moments["QUEUE_START"] = moments["COMPUTE_START"] - round(result.queue_seconds * 1e9)
            self._write(description, request_id, moments)

        return traced

    def _wanted(self, model: str) -> bool:
        with self._lock:
            settings = self.settings(model)
            if settings.level == "OFF":
                return False
            seen = self._seen[model] = self._seen.get(model, 0) + 1
            number, rest = divmod(seen - 1, settings.rate)
            return not rest and (settings.count < 0 or number < settings.count)

    def _write(self, description: Description, request_id: str, moments: Mapping[str, int]) -> None:
        trace: dict[str, Any] = {
            "id": next(self._ids),
            "model_name": description.name,
            "model_version": description.version,
            "request_id": request_id,
            "timestamps": [{"name": n, "ns": t} for n, t in sorted(moments.items(), key=lambda m: m[1])],
        }
        try:
            with self._lock, Path(str(self.file)).open("a", encoding="utf-8") as file:
                file.write(json.dumps(trace) + "\n")
        except OSError as error:
            log.error("a trace cannot be written to %s: %s", self.file, error)
