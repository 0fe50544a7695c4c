"""Changes models while they are called: new versions, spoilt ones, removed ones, the same again, loads and unloads."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from random import Random
from typing import Any

import grpc
from convserve_client.bench.request import METHOD
from convserve_proto import open_inference as oip

from benchmarks import affine_model
from benchmarks.soak.calls import Calls
from benchmarks.soak.findings import Findings

_PATIENCE = 60.0
_GUEST = "guest"
"""A model that comes and goes."""
_SERVICE = f"/{oip.SERVICE}/"


class Reloader:
    """Changes the models of a server in mode explicit; not thread-safe."""

    def __init__(self, channel: grpc.Channel, repository: Path, calls: Calls, findings: Findings) -> None:
        self._channel, self._repository, self._calls, self._findings = channel, repository, calls, findings
        self._version = 1
        self.spoilt: list[Path] = []
        """Versions that had to be refused."""

    def change(self, random: Random) -> str:
        """One change at random; gives its name."""
        changes = (self.new_version, self.new_version, self.spoilt_version, self.same_again, self.guest)
        change = random.choice(changes)
        try:
            change()
        except (grpc.RpcError, OSError) as error:
            self._findings.violation(f"{change.__name__}: {error!r}")
        name = change.__name__.replace("_", " ")
        self._findings.outcomes[f"reload, {name}"] += 1
        return name

    def new_version(self) -> None:
        """The next version takes the place of the one before, which is removed."""
        self._version += 1
        affine_model.publish(self._repository, self._version)
        self._load(affine_model.NAME)
        self._expect(affine_model.NAME, self._version)
        shutil.rmtree(self._repository / affine_model.NAME / str(self._version - 1))

    def spoilt_version(self) -> None:
        """A version that is not what its manifest says is refused, and the one before goes on."""
        folder = affine_model.publish(self._repository, self._version + 1)
        (folder / "model.onnx").write_bytes(b"spoilt")
        self.spoilt.append(folder)
        try:
            self._load(affine_model.NAME)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INTERNAL:
                raise
        else:
            self._findings.violation(f"spoilt version {folder.name} was loaded")
        finally:
            shutil.rmtree(folder)
        self._load(affine_model.NAME)
        self._expect(affine_model.NAME, self._version)

    def same_again(self) -> None:
        """The classifier's file looks new, so it is read, verified, warmed and put in place of itself."""
        for file in (self._repository / "simple_cnn").glob("*/model.onnx"):
            os.utime(file)
        self._load("simple_cnn")

    def guest(self) -> None:
        """A model with two versions comes, loses the newer one, and goes."""
        for version in (1, 2):
            affine_model.publish(self._repository, version, _GUEST)
        try:
            self._load(_GUEST)
            self._expect(_GUEST, 2)
            shutil.rmtree(self._repository / _GUEST / "2")
            self._load(_GUEST)
            self._expect(_GUEST, 1)
            self._ask("RepositoryModelUnload", oip.RepositoryModelUnloadRequest(model_name=_GUEST))
            self._expect_gone(_GUEST)
        finally:
            shutil.rmtree(self._repository / _GUEST)

    def _load(self, name: str) -> None:
        self._ask("RepositoryModelLoad", oip.RepositoryModelLoadRequest(model_name=name))

    def _expect(self, name: str, version: int) -> None:
        request, wrong = self._calls.infer_request(2, name)
        response = self._infer(request)
        if fault := wrong(response):
            self._findings.violation(f"after a reload: {fault}")
        if int(response.model_version) != version:
            self._findings.violation(f"version {response.model_version} of {name} answers, and {version} should")

    def _expect_gone(self, name: str) -> None:
        try:
            self._infer(self._calls.infer_request(1, name)[0])
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE):
                return
            raise
        self._findings.violation(f"{name} answers though it was unloaded")

    def _infer(self, request: Any) -> Any:
        """The response; a refusal for overload is no fault, and is tried again."""
        method: Any = self._channel.unary_unary(METHOD)
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                return oip.ModelInferResponse.FromString(method(request.SerializeToString(), timeout=_PATIENCE))
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > limit:
                    raise
            time.sleep(0.1)

    def _ask(self, name: str, request: Any) -> None:
        method: Any = self._channel.unary_unary(_SERVICE + name)
        method(request.SerializeToString(), timeout=_PATIENCE)
