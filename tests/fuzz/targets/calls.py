"""Every unary call of the Open Inference Protocol's service, one after the other on one server's state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convserve_proto import open_inference as oip
from convserve_server.calls import Method
from convserve_server.engine.repository import Repository
from convserve_server.load import Load
from convserve_server.model_configs import read_model_settings
from convserve_server.rpc.open_inference_service import OpenInferenceService
from support.artifacts import write_sum

from fuzz.answers import answer_of, told
from fuzz.models import SETTINGS, EchoLoader
from fuzz.target import IN_MEMORY, Target, Try
from fuzz.targets.infer import REGION, seeds, shared_request
from fuzz.wire_fields import join, split

CALLS = (
    "ModelInfer",
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
    "CudaSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister",
    "TraceSetting",
    "LogSettings",
)
"""An input is a message whose field numbers, from 1 on, say which of these its bytes go to. Seeds know the numbers:
new calls are added at the end."""
_MOST_CALLS = 6


class _Server:
    """A service over a repository that callers may change, put back after each input."""

    def __init__(self, folder: Path) -> None:
        models, memory = folder / "models", folder / "memory"
        memory.mkdir()
        (memory / REGION).write_bytes(bytes(64))
        write_sum(models)

        def settings(folder: Path, config: str | None) -> Any:
            return read_model_settings(folder, config, SETTINGS)

        self._repository = Repository(models, EchoLoader(), settings, allow_uploads=True)
        self._repository.load()
        service = OpenInferenceService(
            self._repository,
            lambda: True,
            Load(1 << 30),
            version="0",
            repository_mode="explicit",
            trace_file=Path("/dev/null"),
            shared_memory=memory,
        )
        self.methods = {method.path.rpartition("/")[2]: method for method in service.methods()}

    def attempt(self, data: bytes) -> str:
        outcomes = []
        for number, _, payload in (split(data) or ())[:_MOST_CALLS]:
            if isinstance(payload, bytes) and number <= len(CALLS):
                name = CALLS[number - 1]
                outcomes.append(told(answer_of(self._method(name), payload), getattr(oip, f"{name}Response")))
        self._put_back()
        return "; ".join(outcomes)

    def _method(self, name: str) -> Method:
        return self.methods[name]

    def _put_back(self) -> None:
        answer_of(self._method("SystemSharedMemoryUnregister"), b"")
        off = oip.TraceSettingRequest(settings={"trace_level": oip.TraceSettingRequest.SettingValue(value=["OFF"])})
        answer_of(self._method("TraceSetting"), off.SerializeToString())
        for name in self._repository.names():
            if name != "sum":
                self._repository.unload_model(name)
        # Loads anew only what is not served as it lies there.
        self._repository.load_model("sum")


@contextmanager
def _opened() -> Iterator[Try]:
    with TemporaryDirectory(prefix="convserve-fuzz-", dir=IN_MEMORY) as folder:
        yield _Server(Path(folder)).attempt


def _seeds() -> Iterator[bytes]:
    (infer, *_), one = seeds(), oip.InferParameter
    named = oip.ModelMetadataRequest(name="sum", version="1").SerializeToString()
    yield _calls(ModelInfer=infer)
    yield _calls(ServerLive=b"", ServerReady=b"", ServerMetadata=b"", ModelReady=named, ModelMetadata=named)
    yield _calls(ModelInfer=infer, ModelConfig=named, ModelStatistics=named)
    yield _calls(RepositoryIndex=oip.RepositoryIndexRequest(ready=True))
    load = oip.RepositoryModelLoadRequest(model_name="sum")
    load.parameters["config"].string_param = '{"max_batch_size": 2, "instance_group": [{"count": 2}]}'
    yield _calls(RepositoryModelLoad=load, ModelConfig=named, ModelInfer=infer)
    upload = oip.RepositoryModelLoadRequest(model_name="new")
    upload.parameters["config"].string_param = "{}"
    upload.parameters["file:1/model.onnx"].bytes_param = b"no model"
    upload.parameters["file:1/manifest.json"].bytes_param = b'{"format": 1, "name": "new", "version": 1}'
    yield _calls(RepositoryModelLoad=upload, RepositoryIndex=b"")
    unload = oip.RepositoryModelUnloadRequest(model_name="sum")
    unload.parameters["unload_dependents"].bool_param = True
    yield _calls(RepositoryModelUnload=unload, ModelReady=named, ModelInfer=infer)
    register = oip.SystemSharedMemoryRegisterRequest(name=REGION, key=f"/{REGION}", offset=8, byte_size=56)
    shared = shared_request()
    yield _calls(
        SystemSharedMemoryRegister=register, SystemSharedMemoryStatus=b"", ModelInfer=shared.SerializeToString()
    )
    yield _calls(SystemSharedMemoryRegister=register, SystemSharedMemoryUnregister=b"\n\x01x")
    cuda = oip.CudaSharedMemoryRegisterRequest(name="c", raw_handle=b"h", device_id=0, byte_size=8)
    yield _calls(CudaSharedMemoryStatus=b"", CudaSharedMemoryRegister=cuda, CudaSharedMemoryUnregister=b"")
    trace = oip.TraceSettingRequest(model_name="sum")
    for name, value in (("trace_level", "TIMESTAMPS"), ("trace_rate", "1"), ("trace_count", "-1")):
        trace.settings[name].value.append(value)
    yield _calls(TraceSetting=trace, ModelInfer=infer)
    log = oip.LogSettingsRequest()
    log.settings["log_verbose_level"].uint32_param = 1
    log.settings["log_info"].bool_param = True
    yield _calls(LogSettings=log)
    del one


def _calls(**requests: Any) -> bytes:
    payloads = ((name, r if isinstance(r, bytes) else r.SerializeToString()) for name, r in requests.items())
    return join([(CALLS.index(name) + 1, 2, payload) for name, payload in payloads])


TARGET = Target("calls", _opened, _seeds)
