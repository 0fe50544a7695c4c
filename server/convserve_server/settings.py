"""Every option of the server, declared once: flag, environment variable, default and sentence."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from convserve_server.errors import InvalidSettings
from convserve_server.option_values import address, count, for_core, names, positive, seconds, yes_or_no

PREFIX = "CONVSERVE_"


@dataclass(frozen=True)
class Option:
    """One option. Its flag is --name with dashes, its variable CONVSERVE_NAME."""

    name: str
    default: Any
    help: str
    parse: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    switch: bool = False
    """Yes or no: the flag alone says yes."""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


OPTIONS = (
    Option("repository", Path("artifacts"), "folder with the models, laid out as NAME/VERSION/", Path),
    Option(
        "repository_mode",
        "none",
        "none (what is there at the start), poll (what is there at any time), explicit (what callers load and unload)",
        choices=("none", "poll", "explicit"),
    ),
    Option("poll_seconds", 5.0, "seconds between two looks at the repository in mode poll", seconds),
    Option("load_model", (), "models to load at the start in mode explicit, with commas; * is all", names),
    Option(
        "allow_unverified",
        False,
        "serve models that have no manifest: nothing says that they are what was exported",
        yes_or_no,
        switch=True,
    ),
    Option("require_public_key", None, "PEM file; serve only artifacts that its owner has signed", Path),
    Option("listen", "127.0.0.1:8001", "HOST:PORT to serve on; port 0 takes a free one", address),
    Option("tls_certificate", None, "PEM file with the server's certificate and its chain; serves TLS only", Path),
    Option("tls_key", None, "PEM file with the certificate's private key", Path),
    Option("tls_client_ca", None, "PEM file; let in only callers with a certificate that one of these signed", Path),
    Option("tokens", None, "TOML file of bearer tokens; let in only callers with one of them", Path),
    Option(
        "health_without_token",
        True,
        "with --tokens: let probes without a token ask whether the server lives and is ready",
        yes_or_no,
        switch=True,
    ),
    Option("make_token", None, "make a token with this name, print its lines for --tokens, and exit"),
    Option(
        "provider",
        "auto",
        "auto (CUDA where it really works, else CPU), cpu, or cuda (CUDA, or no start)",
        choices=("auto", "cpu", "cuda"),
    ),
    Option(
        "precision",
        "auto",
        "auto (the fastest variant that passed its gates on hardware like this), fp32, fp16, or int8",
        choices=("auto", "fp32", "fp16", "int8"),
    ),
    Option("instances", 0, "batches of a model that may run at the same time; 0 chooses by the CPUs", count),
    Option("threads", 0, "CPU threads of one run; 0 chooses by the CPUs", count),
    Option(
        "cuda_conv_search",
        "heuristic",
        "how CUDA finds the fastest convolution for a shape: heuristic, exhaustive (seconds a shape), default",
        choices=("heuristic", "exhaustive", "default"),
    ),
    Option(
        "cuda_tf32", False, "let CUDA round factors to 10 bits: faster, not what was verified", yes_or_no, switch=True
    ),
    Option("cuda_graphs", False, "try CUDA graphs, keep those that are right and faster", yes_or_no, switch=True),
    Option("max_batch_size", 32, "rows in one run; larger requests are split and answered as one", positive),
    Option("max_queue_size", 1024, "rows of a model that may wait; more are refused", positive),
    Option("max_request_rows", 1024, "rows that one request may have", positive),
    Option("max_queue_delay", 0.0, "seconds that a batch which is not full waits for company", seconds),
    Option("max_queue_time", 0.0, "seconds that a request may wait for its run; 0 is as long as its deadline", seconds),
    Option("max_message_bytes", 64 << 20, "size limit of a request and of a reply", for_core),
    Option("max_decode_time", 10.0, "seconds that decoding the pictures of a request may take, by estimate", seconds),
    Option("max_waiting_bytes", 512 << 20, "bytes of requests not answered yet; more are refused", positive),
    Option("max_calls", 1024, "calls in flight; more are refused", positive),
    Option(
        "max_transfer_time",
        60.0,
        "seconds for a request to arrive and for an answer to be taken; 0 is for ever",
        seconds,
    ),
    Option("max_connections", 512, "connections; more are closed as they come", positive),
    Option("max_streams", 10_000, "calls in flight of one connection, which clients keep to by themselves", for_core),
    Option("max_header_bytes", 16 << 10, "size limit of the metadata of a call", for_core),
    Option("min_ping_interval", 10.0, "seconds between pings of a client; who pings more is disconnected", seconds),
    Option("keepalive", 60.0, "seconds of silence after which the server asks if a client lives; 0 never", seconds),
    Option("max_connection_idle", 0.0, "seconds without calls after which a connection is closed; 0 never", seconds),
    Option("max_connection_age", 0.0, "seconds after which a connection is to be made anew; 0 never", seconds),
    Option(
        "transport",
        "auto",
        "auto (fast for versions of grpcio that it was tested with, else standard), fast, or standard",
        choices=("auto", "fast", "standard"),
    ),
    Option(
        "tune",
        False,
        "measure a few settings on this machine, print the best and exit; takes less than a minute",
        yes_or_no,
        switch=True,
    ),
    Option("workers", 1, "processes that serve on one port and share the CPUs (Linux)", positive),
    Option(
        "metrics",
        None,
        "HOST:PORT for Prometheus (/metrics) and for probes over HTTP (/healthz, /readyz)",
        address,
    ),
    Option(
        "profiling",
        False,
        "serve /debug/profile beside the metrics: where the time goes; with --tokens, for scope administer",
        yes_or_no,
        switch=True,
    ),
    Option(
        "traces",
        False,
        "export OpenTelemetry traces; its OTEL_* variables say where to and how many",
        yes_or_no,
        switch=True,
    ),
    Option(
        "pre_stop_delay",
        0.0,
        "seconds between not ready and no new calls at a stop: callers hear of it first",
        seconds,
    ),
    Option("grace", 10.0, "seconds that accepted calls may take to finish at a stop", seconds),
    Option("trace_file", None, "file that traces are appended to, once a TraceSetting call turns them on", Path),
    Option("port_file", None, "file to write the port to once the server is ready", Path),
    Option("log_level", "info", "how much to log", choices=("debug", "info", "warning", "error")),
    Option("log_format", "text", "text (for people) or json (an object a line)", choices=("text", "json")),
    Option("log_requests", False, "a line of the log for each call, when it has ended", yes_or_no, switch=True),
)


class Settings:
    """The values of all options, as attributes."""

    repository: Path
    repository_mode: str
    poll_seconds: float
    load_model: tuple[str, ...]
    allow_unverified: bool
    require_public_key: Path | None
    listen: str
    tls_certificate: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    tokens: Path | None
    health_without_token: bool
    make_token: str | None
    provider: str
    precision: str
    instances: int
    threads: int
    cuda_conv_search: str
    cuda_tf32: bool
    cuda_graphs: bool
    max_batch_size: int
    max_queue_size: int
    max_request_rows: int
    max_queue_delay: float
    max_queue_time: float
    max_message_bytes: int
    max_decode_time: float
    max_waiting_bytes: int
    max_calls: int
    max_transfer_time: float
    max_connections: int
    max_streams: int
    max_header_bytes: int
    min_ping_interval: float
    keepalive: float
    max_connection_idle: float
    max_connection_age: float
    transport: str
    tune: bool
    workers: int
    metrics: str | None
    profiling: bool
    traces: bool
    pre_stop_delay: float
    grace: float
    trace_file: Path | None
    port_file: Path | None
    log_level: str
    log_format: str
    log_requests: bool

    def __init__(self, **values: Any) -> None:
        for option in OPTIONS:
            setattr(self, option.name, values.pop(option.name, option.default))
        if values:
            raise TypeError(f"unknown settings: {', '.join(values)}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """What is wrong, and nothing else: the usage of so many options would hide it."""
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


def parser() -> argparse.ArgumentParser:
    """The command line, with every option's variable and default in its help."""
    command = _Parser(
        prog="convserve-server",
        # What is short for one option today may be short for two tomorrow.
        allow_abbrev=False,
        description="Serve exported networks over gRPC. Every option is also an environment variable.",
    )
    command.add_argument("--version", action="version", version=f"convserve {metadata.version('convserve')}")
    for option in OPTIONS:
        default = "" if option.default in (None, ()) else f"; default {option.default}"
        text = f"{option.help} [{option.variable}{default}]"
        alone: dict[str, Any] = {"nargs": "?", "const": "yes"} if option.switch else {}
        command.add_argument(option.flag, dest=option.name, metavar="X", help=text, **alone)
    return command


def read_settings(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line, then the environment, then defaults.

    Raises InvalidSettings for a value that cannot be used.
    """
    flags = vars(parser().parse_args(arguments))
    values = {}
    for option in OPTIONS:
        source, text = option.flag, flags[option.name]
        if text is None:
            source, text = option.variable, environment.get(option.variable)
        if text is not None:
            values[option.name] = _value(option, source, text)
    return Settings(**values)


def _value(option: Option, source: str, text: str) -> Any:
    if option.choices and text not in option.choices:
        raise InvalidSettings(f"{source} is '{text}'; it takes {', '.join(option.choices)}")
    try:
        return option.parse(text)
    except ValueError as error:
        raise InvalidSettings(f"{source} is '{text}'; it takes {error}: {option.help}") from None
