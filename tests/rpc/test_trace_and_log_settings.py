"""TraceSetting and LogSettings change what is written while the server runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from support.artifacts import write_sum
from support.open_inference import ask, refused
from support.requests import infer_request
from support.servers import running_app
from support.transports import wait_until

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[grpc.Channel]:
    write_sum(tmp_path / "models")
    with (
        running_app(tmp_path / "models", trace_file=tmp_path / "traces") as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield channel


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The log is the process's own: put it back."""
    logger, root = logging.getLogger("convserve_server"), logging.getLogger()
    level = logger.level
    filters = {handler: list(handler.filters) for handler in root.handlers}
    yield
    logger.setLevel(level)
    for handler, before in filters.items():
        handler.filters = before


def written(file: Path, lines: int) -> list[str]:
    """The traces, once there are so many: they are written behind the reply."""
    wait_until(lambda: file.exists() and file.read_text().count("\n") >= lines)
    return file.read_text().splitlines()


def trace(channel: grpc.Channel, model: str = "", **settings: list[str]) -> dict[str, list[str]]:
    request = oip.TraceSettingRequest(model_name=model)
    for name, value in settings.items():
        request.settings[name].value.extend(value)
    return {name: list(s.value) for name, s in ask(channel, "TraceSetting", request).settings.items()}


def log(channel: grpc.Channel, **settings: Any) -> dict[str, Any]:
    request = oip.LogSettingsRequest()
    for name, value in settings.items():
        kind = {bool: "bool_param", int: "uint32_param", str: "string_param"}[type(value)]
        setattr(request.settings[name], kind, value)
    response = ask(channel, "LogSettings", request)
    return {n: getattr(s, s.WhichOneof("parameter_choice")) for n, s in response.settings.items()}


def infer(channel: grpc.Channel, request_id: str = "") -> None:
    array = np.ones((1, 2), np.float32)
    ask(channel, "ModelInfer", infer_request("sum", {"a": array, "b": array}, id=request_id))


def test_requests_are_traced_by_rate_and_count_and_no_others(channel: grpc.Channel, tmp_path: Path) -> None:
    infer(channel)
    assert trace(channel)["trace_level"] == ["OFF"]
    told = trace(channel, trace_level=["TIMESTAMPS"], trace_rate=["3"], trace_count=["2"])
    assert (told["trace_level"], told["trace_rate"], told["trace_count"]) == (["TIMESTAMPS"], ["3"], ["2"])
    for n in range(12):
        infer(channel, str(n))
    trace(channel, trace_level=["OFF"])
    infer(channel)
    traces = [json.loads(line) for line in written(tmp_path / "traces", 2)]
    assert [(t["model_name"], t["model_version"], t["request_id"]) for t in traces] == [
        ("sum", 1, "0"),
        ("sum", 1, "3"),
    ]
    moments = [m["name"] for m in traces[0]["timestamps"]]
    assert sorted(moments) == ["COMPUTE_END", "COMPUTE_START", "QUEUE_START", "REQUEST_END", "REQUEST_START"]
    assert moments[-1] == "REQUEST_END"


def test_a_model_may_have_settings_of_its_own_and_a_value_that_is_cleared_is_the_default(
    channel: grpc.Channel, tmp_path: Path
) -> None:
    assert trace(channel, "sum", trace_level=["TIMESTAMPS"], trace_rate=["1"])["trace_rate"] == ["1"]
    assert trace(channel)["trace_level"] == ["OFF"]
    infer(channel)
    assert len(written(tmp_path / "traces", 1)) == 1
    assert trace(channel, "sum", trace_rate=[])["trace_rate"] == ["1000"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"trace_level": ["TENSORS"]}, "it takes one of OFF, TIMESTAMPS"),
        ({"trace_rate": ["0"]}, "trace_rate is ['0']"),
        ({"trace_count": ["many"]}, "trace_count is ['many']"),
        ({"trace_file": ["/etc/passwd"]}, "'trace_file' cannot be changed by a call"),
        ({"colour": ["red"]}, "unknown trace setting 'colour'"),
    ],
)
def test_a_bad_trace_setting_is_refused(channel: grpc.Channel, settings: dict[str, list[str]], sentence: str) -> None:
    request = oip.TraceSettingRequest()
    for name, value in settings.items():
        request.settings[name].value.extend(value)
    code, details = refused(channel, "TraceSetting", request)
    assert code is INVALID
    assert sentence in details


def test_traces_need_a_file_and_a_known_model(channel: grpc.Channel, tmp_path: Path) -> None:
    code, _ = refused(channel, "TraceSetting", oip.TraceSettingRequest(model_name="nope"))
    assert code is grpc.StatusCode.NOT_FOUND
    with running_app(tmp_path / "models") as app, grpc.insecure_channel(f"127.0.0.1:{app.port}") as other:
        request = oip.TraceSettingRequest()
        request.settings["trace_level"].value.append("TIMESTAMPS")
        code, details = refused(other, "TraceSetting", request)
        assert code is INVALID
        assert "--trace-file" in details


def test_levels_of_the_log_are_switched_one_by_one(channel: grpc.Channel, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("convserve_server.test")

    def written() -> list[str]:
        caplog.clear()
        for level in ("debug", "info", "warning", "error"):
            getattr(logger, level)(level)
        logging.getLogger("elsewhere").error("elsewhere")
        return [r.message for r in caplog.records]

    told = log(channel, log_info=False, log_verbose_level=1)
    assert (told["log_info"], told["log_warning"], told["log_error"], told["log_verbose_level"]) == (
        False,
        True,
        True,
        1,
    )
    assert written() == ["debug", "warning", "error", "elsewhere"]
    log(channel, log_info=True, log_warning=False, log_error=False, log_verbose_level=0)
    assert written() == ["info", "elsewhere"]
    assert log(channel)["log_format"] == "default"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("log_colour", True, "unknown log setting 'log_colour'"),
        ("log_info", 1, "'log_info' takes a bool_param, but uint32_param was sent"),
        ("log_file", "/etc/passwd", "'log_file' cannot be changed by a call"),
        ("log_format", "ISO8601", "'log_format' cannot be changed by a call; it is 'default'"),
    ],
)
def test_a_bad_log_setting_is_refused_and_changes_nothing(
    channel: grpc.Channel, name: str, value: Any, sentence: str
) -> None:
    before = log(channel)
    request = oip.LogSettingsRequest()
    request.settings["log_warning"].bool_param = not before["log_warning"]
    kind = {bool: "bool_param", int: "uint32_param", str: "string_param"}[type(value)]
    setattr(request.settings[name], kind, value)
    code, details = refused(channel, "LogSettings", request)
    assert code is INVALID
    assert sentence in details
    assert log(channel) == before
