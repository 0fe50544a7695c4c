"""Asks how the server is, again and again while it is loaded: health, metadata, statistics, metrics, probes."""

from __future__ import annotations

import time
import urllib.request
from typing import Any

import grpc
from convserve_client.bench.request import METHOD
from convserve_proto import open_inference as oip
from grpc_health.v1 import health_pb2

from benchmarks import affine_model
from benchmarks.soak.calls import Calls
from benchmarks.soak.findings import Findings

_OIP = f"/{oip.SERVICE}/"
_HEALTH = "/grpc.health.v1.Health/"
_PATIENCE = 60.0
_PAUSE = 0.1
_SERVING = health_pb2.HealthCheckResponse.SERVING


class _Observer:
    def __init__(self, channel: grpc.Channel, metrics: str, calls: Calls, findings: Findings) -> None:
        self._channel, self._metrics, self._calls, self._findings = channel, metrics, calls, findings
        self._version = 0

    def _ask(self, path: str, request: Any, kind: Any) -> Any:
        method: Any = self._channel.unary_unary(path, None, kind.FromString)
        return method(request.SerializeToString(), timeout=_PATIENCE)

    def health(self) -> bool:
        names = ("", oip.SERVICE, f"models/{affine_model.NAME}")
        asked = (health_pb2.HealthCheckRequest(service=name) for name in names)
        return all(self._ask(_HEALTH + "Check", a, health_pb2.HealthCheckResponse).status == _SERVING for a in asked)

    def watch(self) -> bool:
        method: Any = self._channel.unary_stream(_HEALTH + "Watch", None, health_pb2.HealthCheckResponse.FromString)
        answers = method(health_pb2.HealthCheckRequest().SerializeToString(), timeout=_PATIENCE)
        serving = bool(next(answers).status == _SERVING)
        answers.cancel()
        return serving

    def readiness(self) -> bool:
        ready = self._ask(_OIP + "ServerReady", oip.ServerReadyRequest(), oip.ServerReadyResponse).ready
        request = oip.ModelReadyRequest(name=affine_model.NAME)
        return bool(ready and self._ask(_OIP + "ModelReady", request, oip.ModelReadyResponse).ready)

    def metadata(self) -> bool:
        request = oip.ModelMetadataRequest(name=affine_model.NAME)
        model = self._ask(_OIP + "ModelMetadata", request, oip.ModelMetadataResponse)
        server = self._ask(_OIP + "ServerMetadata", oip.ServerMetadataRequest(), oip.ServerMetadataResponse)
        return bool(server.name == "convserve" and [i.name for i in model.inputs] == [affine_model.INPUT])

    def statistics(self) -> bool:
        request = oip.ModelStatisticsRequest(name=affine_model.NAME)
        told = self._ask(_OIP + "ModelStatistics", request, oip.ModelStatisticsResponse).model_stats
        index = self._ask(_OIP + "RepositoryIndex", oip.RepositoryIndexRequest(ready=True), oip.RepositoryIndexResponse)
        return {s.name for s in told} == {affine_model.NAME} <= {m.name for m in index.models}

    def newest(self) -> bool:
        """No older version answers after a newer one."""
        request, wrong = self._calls.infer_request(1)
        response = self._ask(METHOD, request, oip.ModelInferResponse)
        before, self._version = self._version, int(response.model_version)
        return not wrong(response) and self._version >= before

    def metrics(self) -> bool:
        return "convserve_calls_total" in self._read("/metrics") and self._read("/readyz") == "ready\n"

    def _read(self, path: str) -> str:
        with urllib.request.urlopen(self._metrics + path, timeout=_PATIENCE) as answer:
            return str(answer.read().decode())

    def look(self) -> None:
        questions = (
            self.health,
            self.watch,
            self.readiness,
            self.metadata,
            self.statistics,
            self.newest,
            self.metrics,
        )
        for question in questions:
            try:
                fault = "" if question() else "the answer is wrong"
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    self._findings.outcomes[f"{question.__name__}, refused"] += 1
                    continue
                fault = f"{error.code()} {error.details()}"
            except OSError as error:
                fault = str(error)
            self._findings.outcomes[f"{question.__name__}, {'wrong' if fault else 'right'}"] += 1
            if fault:
                self._findings.violation(f"{question.__name__}: {fault}")


def observe(channel: grpc.Channel, metrics: str, calls: Calls, end: float, findings: Findings) -> None:
    """Ask until ``end``, on the monotonic clock."""
    observer = _Observer(channel, metrics, calls, findings)
    while time.monotonic() < end:
        observer.look()
        time.sleep(_PAUSE)
