"""ModelConfig: how a model is served, in the words of Triton's model config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Method
from convserve_server.engine.loading import LoadedModel
from convserve_server.engine.model import Model
from convserve_server.rpc.metadata_service import PLATFORM
from convserve_server.rpc.simple import simple_methods
from convserve_server.rpc.status import parse

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import DataType, ModelConfig

_DATA_TYPES = oip.POOL.FindEnumTypeByName("inference.DataType").values_by_name


class ConfiguredModels(Protocol):
    """Models that say how they are served."""

    def find(self, name: str, version: str = "") -> Model:
        """See Models.find; each is a LoadedModel."""


class ModelConfigService:
    """ModelConfig."""

    def __init__(self, models: ConfiguredModels) -> None:
        self._models = models

    def methods(self) -> list[Method]:
        """Every method of this part of the service."""
        return simple_methods({"ModelConfig": self._config})

    def _config(self, payload: bytes) -> Message:
        request = parse(oip.ModelConfigRequest, payload)
        response = oip.ModelConfigResponse()
        _fill(response.config, cast(LoadedModel, self._models.find(request.name, request.version)))
        return response


def _fill(config: ModelConfig, model: LoadedModel) -> None:
    description, settings = model.description, model.settings
    config.name, config.platform, config.backend = description.name, PLATFORM, "onnxruntime"
    config.default_model_filename = settings.file
    _fill_versions(config, model)
    first = 1 if description.batched else 0
    for spec in description.inputs:
        config.input.add(name=spec.name, data_type=_data_type(spec.datatype), dims=spec.shape[first:])
    for spec in description.outputs:
        config.output.add(
            name=spec.name,
            data_type=_data_type(spec.datatype),
            dims=spec.shape[first:],
            label_filename=settings.label_files.get(spec.name, ""),
        )
    on_gpu = model.provider.startswith("CUDA")
    group = config.instance_group.add(name=description.name, count=settings.engine.instances)
    group.kind = group.KIND_GPU if on_gpu else group.KIND_CPU
    if on_gpu:
        group.gpus.append(0)
    config.parameters["intra_op_thread_count"].string_value = str(settings.engine.threads)
    config.parameters["precision"].string_value = settings.engine.precision
    for plan in settings.warm_ups:
        warm_up = config.model_warmup.add(name="warm-up", batch_size=plan.rows, count=plan.runs)
        for spec in description.inputs:
            data = warm_up.inputs[spec.name]
            data.data_type = _data_type(spec.datatype)
            data.dims.extend(plan.shapes.get(spec.name, ()))
            data.random_data = spec.name in plan.random
    limits, policy = settings.limits, settings.queue_policy
    queue = config.dynamic_batching.default_queue_policy
    if description.batched:
        config.max_batch_size = limits.max_batch_size
        config.dynamic_batching.max_queue_delay_microseconds = round(limits.max_queue_delay * 1e6)
    config.dynamic_batching.priority_levels = policy.priority_levels
    config.dynamic_batching.default_priority_level = policy.default_priority
    queue.max_queue_size = limits.max_queue_size
    queue.default_timeout_microseconds = round((policy.timeout or 0) * 1e6)
    queue.allow_timeout_override = policy.timeout_override


def _fill_versions(config: ModelConfig, model: LoadedModel) -> None:
    versions = model.settings.versions
    if versions.specific:
        config.version_policy.specific.versions.extend(versions.specific)
    elif versions.latest is None:
        config.version_policy.all.SetInParent()
    else:
        config.version_policy.latest.num_versions = versions.latest


def _data_type(datatype: str) -> DataType:
    """STRING is the config's word for BYTES."""
    return cast("DataType", _DATA_TYPES["TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"].number)
