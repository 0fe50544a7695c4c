"""Every option is a flag and an environment variable; what cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from convserve_server.errors import InvalidSettings
from convserve_server.settings import OPTIONS, Option, Settings, read_settings

EXAMPLES = {
    "repository": ("/models", Path("/models")),
    "repository_mode": ("poll", "poll"),
    "poll_seconds": ("0.5", 0.5),
    "load_model": ("a, b", ("a", "b")),
    "allow_unverified": ("yes", True),
    "listen": ("[::1]:9000", "[::1]:9000"),
    "tls_certificate": ("server.pem", Path("server.pem")),
    "tls_key": ("server.key", Path("server.key")),
    "tls_client_ca": ("callers.pem", Path("callers.pem")),
    "tokens": ("/etc/convserve/tokens.toml", Path("/etc/convserve/tokens.toml")),
    "health_without_token": ("no", False),
    "make_token": ("web-frontend", "web-frontend"),
    "precision": ("int8", "int8"),
    "require_public_key": ("key.pem", Path("key.pem")),
    "provider": ("cpu", "cpu"),
    "instances": ("3", 3),
    "threads": ("2", 2),
    "cuda_conv_search": ("exhaustive", "exhaustive"),
    "cuda_tf32": ("yes", True),
    "cuda_graphs": ("yes", True),
    "max_batch_size": ("16", 16),
    "max_queue_size": ("99", 99),
    "max_request_rows": ("7", 7),
    "max_queue_delay": ("0.002", 0.002),
    "max_message_bytes": ("1000000", 1_000_000),
    "max_queue_time": ("1.5", 1.5),
    "max_decode_time": ("0.5", 0.5),
    "max_waiting_bytes": ("2000000", 2_000_000),
    "max_calls": ("5", 5),
    "max_transfer_time": ("2.5", 2.5),
    "max_connections": ("6", 6),
    "max_streams": ("7", 7),
    "max_header_bytes": ("9000", 9000),
    "min_ping_interval": ("0.5", 0.5),
    "keepalive": ("30", 30.0),
    "max_connection_idle": ("300", 300.0),
    "max_connection_age": ("600", 600.0),
    "metrics": ("127.0.0.1:9090", "127.0.0.1:9090"),
    "transport": ("standard", "standard"),
    "tune": ("yes", True),
    "workers": ("3", 3),
    "pre_stop_delay": ("5", 5.0),
    "grace": ("2.5", 2.5),
    "trace_file": ("/var/traces", Path("/var/traces")),
    "port_file": ("/run/port", Path("/run/port")),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "log_requests": ("yes", True),
    "traces": ("yes", True),
    "profiling": ("yes", True),
}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: o.name)
def test_an_option_is_a_flag_a_variable_and_a_default(option: Option) -> None:
    text, value = EXAMPLES[option.name]
    assert getattr(read_settings([], {}), option.name) == option.default
    assert getattr(read_settings([option.flag, text], {}), option.name) == value
    assert getattr(read_settings([], {option.variable: text}), option.name) == value


def test_a_flag_wins_over_its_variable() -> None:
    assert read_settings(["--grace", "1"], {"CONVSERVE_GRACE": "2"}).grace == 1


def test_every_setting_is_declared_as_an_attribute() -> None:
    assert set(Settings.__annotations__) == {o.name for o in OPTIONS}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--provider", "tpu"], "--provider is 'tpu'; it takes auto, cpu, cuda"),
        (["--max-batch-size", "0"], "--max-batch-size is '0'; it takes a whole number above 0: rows in one run"),
        (["--max-batch-size", "many"], "--max-batch-size is 'many'; it takes a whole number above 0"),
        (["--max-calls", "1e3"], "--max-calls is '1e3'; it takes a whole number above 0"),
        (["--max-calls", "9" * 5000], "--max-calls is '999"),
        (["--grace", "-1"], "--grace is '-1'; it takes seconds, from 0 to less than 1,000,000: seconds that"),
        (["--grace", "nan"], "--grace is 'nan'; it takes seconds"),
        (["--grace", "inf"], "--grace is 'inf'; it takes seconds"),
        (["--grace", "soon"], "--grace is 'soon'; it takes seconds"),
        (["--threads", "-2"], "--threads is '-2'; it takes a whole number, 0 or more"),
        (
            ["--max-message-bytes", "2147483648"],
            "--max-message-bytes is '2147483648'; it takes a whole number from 1 to",
        ),
        (["--max-header-bytes", "2147483648"], "--max-header-bytes is '2147483648'; it takes a whole number from 1 to"),
        (["--max-streams", "2147483648"], "--max-streams is '2147483648'; it takes a whole number from 1 to"),
        (["--log-requests", "maybe"], "--log-requests is 'maybe'; it takes yes or no: a line of the log"),
        (["--listen", "8001"], "--listen is '8001'; it takes HOST:PORT, such as 127.0.0.1:8001"),
        (["--listen", ":8001"], "--listen is ':8001'; it takes HOST:PORT"),
        (["--metrics", "127.0.0.1:65536"], "--metrics is '127.0.0.1:65536'; it takes HOST:PORT"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(arguments: list[str], sentence: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(arguments, {})
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["--max-cal", "5"], ["--grace"]])
def test_an_option_that_there_is_not_is_a_line_that_says_where_to_look(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(arguments, {})
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert arguments[0] in line
    assert line.endswith("--help lists the options")


def test_a_bad_variable_is_named_as_the_variable() -> None:
    with pytest.raises(InvalidSettings, match="CONVSERVE_PROVIDER is 'gpu'"):
        read_settings([], {"CONVSERVE_PROVIDER": "gpu"})


def test_the_help_names_every_flag_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"], {})
    text = "".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        assert option.flag in text
        assert option.variable in text
