"""The Open Inference Protocol's messages, in a descriptor pool of their own.

Other packages (tritonclient, KServe, MLServer) bring definitions of the same `inference` package that differ in
detail, and one descriptor pool cannot hold two. A private pool lets all of them live in one process.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2, descriptor_pool

from convserve_proto.message_classes import lasting_class

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import (
        CudaSharedMemoryRegisterRequest,
        CudaSharedMemoryRegisterResponse,
        CudaSharedMemoryStatusRequest,
        CudaSharedMemoryStatusResponse,
        CudaSharedMemoryUnregisterRequest,
        CudaSharedMemoryUnregisterResponse,
        InferBatchStatistics,
        InferParameter,
        InferResponseStatistics,
        InferStatistics,
        InferTensorContents,
        LogSettingsRequest,
        LogSettingsResponse,
        MemoryUsage,
        ModelConfig,
        ModelConfigRequest,
        ModelConfigResponse,
        ModelDynamicBatching,
        ModelInferRequest,
        ModelInferResponse,
        ModelInput,
        ModelInstanceGroup,
        ModelMetadataRequest,
        ModelMetadataResponse,
        ModelOutput,
        ModelParameter,
        ModelQueuePolicy,
        ModelReadyRequest,
        ModelReadyResponse,
        ModelRepositoryParameter,
        ModelStatistics,
        ModelStatisticsRequest,
        ModelStatisticsResponse,
        ModelStreamInferResponse,
        ModelVersionPolicy,
        ModelWarmup,
        RepositoryIndexRequest,
        RepositoryIndexResponse,
        RepositoryModelLoadRequest,
        RepositoryModelLoadResponse,
        RepositoryModelUnloadRequest,
        RepositoryModelUnloadResponse,
        ServerLiveRequest,
        ServerLiveResponse,
        ServerMetadataRequest,
        ServerMetadataResponse,
        ServerReadyRequest,
        ServerReadyResponse,
        StatisticDuration,
        SystemSharedMemoryRegisterRequest,
        SystemSharedMemoryRegisterResponse,
        SystemSharedMemoryStatusRequest,
        SystemSharedMemoryStatusResponse,
        SystemSharedMemoryUnregisterRequest,
        SystemSharedMemoryUnregisterResponse,
        TraceSettingRequest,
        TraceSettingResponse,
    )

__all__ = [
    "POOL",
    "SERVICE",
    "CudaSharedMemoryRegisterRequest",
    "CudaSharedMemoryRegisterResponse",
    "CudaSharedMemoryStatusRequest",
    "CudaSharedMemoryStatusResponse",
    "CudaSharedMemoryUnregisterRequest",
    "CudaSharedMemoryUnregisterResponse",
    "InferBatchStatistics",
    "InferParameter",
    "InferResponseStatistics",
    "InferStatistics",
    "InferTensorContents",
    "LogSettingsRequest",
    "LogSettingsResponse",
    "MemoryUsage",
    "ModelConfig",
    "ModelConfigRequest",
    "ModelConfigResponse",
    "ModelDynamicBatching",
    "ModelInferRequest",
    "ModelInferResponse",
    "ModelInput",
    "ModelInstanceGroup",
    "ModelMetadataRequest",
    "ModelMetadataResponse",
    "ModelOutput",
    "ModelParameter",
    "ModelQueuePolicy",
    "ModelReadyRequest",
    "ModelReadyResponse",
    "ModelRepositoryParameter",
    "ModelStatistics",
    "ModelStatisticsRequest",
    "ModelStatisticsResponse",
    "ModelStreamInferResponse",
    "ModelVersionPolicy",
    "ModelWarmup",
    "RepositoryIndexRequest",
    "RepositoryIndexResponse",
    "RepositoryModelLoadRequest",
    "RepositoryModelLoadResponse",
    "RepositoryModelUnloadRequest",
    "RepositoryModelUnloadResponse",
    "ServerLiveRequest",
    "ServerLiveResponse",
    "ServerMetadataRequest",
    "ServerMetadataResponse",
    "ServerReadyRequest",
    "ServerReadyResponse",
    "StatisticDuration",
    "SystemSharedMemoryRegisterRequest",
    "SystemSharedMemoryRegisterResponse",
    "SystemSharedMemoryStatusRequest",
    "SystemSharedMemoryStatusResponse",
    "SystemSharedMemoryUnregisterRequest",
    "SystemSharedMemoryUnregisterResponse",
    "TraceSettingRequest",
    "TraceSettingResponse",
]

SERVICE = "inference.GRPCInferenceService"

POOL = descriptor_pool.DescriptorPool()


def _load() -> None:
    serialized = resources.files(__package__).joinpath("open_inference.binpb").read_bytes()
    files = descriptor_pb2.FileDescriptorSet.FromString(serialized)
    for file in files.file:
        POOL.Add(file)
    for name in __all__:
        if name not in ("POOL", "SERVICE"):
            globals()[name] = lasting_class(POOL.FindMessageTypeByName(f"inference.{name}"))


_load()
