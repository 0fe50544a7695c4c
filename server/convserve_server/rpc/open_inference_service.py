"""The Open Inference Protocol's service as a whole, put together from its parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
from convserve_proto import open_inference as oip

from convserve_server.calls import Admit, Method
from convserve_server.engine.repository import Repository
from convserve_server.load import Load
from convserve_server.log_settings import LogSettings
from convserve_server.rpc.inference_service import InferenceService
from convserve_server.rpc.log_settings_service import LogSettingsService
from convserve_server.rpc.metadata_service import MetadataService
from convserve_server.rpc.model_config_service import ModelConfigService
from convserve_server.rpc.regions import FOLDER, Regions
from convserve_server.rpc.repository_service import RepositoryService
from convserve_server.rpc.shared_memory_service import SharedMemoryService
from convserve_server.rpc.statistics_service import StatisticsService
from convserve_server.rpc.streaming import StreamService
from convserve_server.rpc.trace_setting_service import TraceSettingService
from convserve_server.rpc.tracing import Tracer


class OpenInferenceService:
    """inference.GRPCInferenceService. ``ready`` tells whether the server can answer inference calls now.

    ``observed`` is put around the messages of streams; around methods(), whoever serves them puts it.
    ``shared_memory`` is the folder of the objects that callers may register.
    """

    def __init__(
        self,
        repository: Repository,
        ready: Callable[[], bool],
        load: Load,
        *,
        version: str,
        repository_mode: str = "none",
        trace_file: Path | None = None,
        observed: Callable[[Method], Method] = lambda method: method,
        admit: Admit | None = None,
        shared_memory: Path = FOLDER,
    ) -> None:
        regions, tracer = Regions(shared_memory), Tracer(trace_file)
        inference = InferenceService(repository, regions, tracer)
        message = observed(Method(f"/{oip.SERVICE}/ModelStreamInfer", inference.infer))
        self._streams = StreamService(message, load, admit)
        self._methods = [
            *inference.methods(),
            *MetadataService(repository, ready, version).methods(),
            *RepositoryService(repository, repository_mode).methods(),
            *StatisticsService(repository).methods(),
            *ModelConfigService(repository).methods(),
            *SharedMemoryService(regions).methods(),
            *TraceSettingService(repository, tracer).methods(),
            *LogSettingsService(LogSettings()).methods(),
        ]

    def methods(self) -> list[Method]:
        """Every unary method of the service."""
        return self._methods

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return self._streams.open

    def add_to(self, server: grpc.Server) -> None:
        """Register the stream of the service on a server."""
        self._streams.add_to(server)

    def close(self) -> None:
        """End the streams when what they have taken is answered."""
        self._streams.close()
