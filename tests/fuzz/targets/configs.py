"""A model's config in both of its forms, with its labels beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from convserve_server.engine.graph import check_config
from convserve_server.errors import ModelBroken
from convserve_server.model_configs import read_model_settings

from fuzz.models import MODELS, SETTINGS, echo_model
from fuzz.target import IN_MEMORY, Target, Try
from fuzz.wire_fields import join, split

JSON, TEXT = 1, 2
"""An input is a message with a config as one of these fields."""


@contextmanager
def _opened() -> Iterator[Try]:
    with TemporaryDirectory(prefix="convserve-fuzz-", dir=IN_MEMORY) as parent:
        folder = Path(parent, "sum")
        folder.mkdir()
        (folder / "labels.txt").write_text("one\ntwo\n")

        def attempt(data: bytes) -> str:
            outcome = "nothing"
            for number, _, content in (split(data) or ())[:2]:
                if isinstance(content, bytes) and number in (JSON, TEXT):
                    file = folder / ("config.json" if number == JSON else "config.pbtxt")
                    file.write_bytes(content)
                    outcome = _read(folder)
                    file.unlink()
            return outcome

        yield attempt


def _read(folder: Path) -> str:
    try:
        settings = read_model_settings(folder, None, SETTINGS)
        check_config(settings, MODELS[0])
    except ModelBroken as error:
        str(error).encode()
        return str(error)
    echo_model(MODELS[0], settings)
    return f"OK {settings.limits.max_batch_size} {settings.engine.instances} {len(settings.warm_ups)}"


_CONFIG = b"""{"name": "sum", "platform": "onnxruntime_onnx", "maxBatchSize": 8,
"input": [{"name": "a", "dataType": "TYPE_FP32", "dims": [2]}],
"output": [{"name": "out_a", "dims": ["2"], "labelFilename": "labels.txt"}],
"instanceGroup": [{"count": 2, "kind": "KIND_CPU", "gpus": [0]}],
"versionPolicy": {"specific": {"versions": ["1", 2]}},
"dynamicBatching": {"maxQueueDelayMicroseconds": "100", "priorityLevels": "3", "defaultPriorityLevel": 2,
"defaultQueuePolicy": {"timeoutAction": "REJECT", "defaultTimeoutMicroseconds": 5, "maxQueueSize": 7}},
"modelWarmup": [{"name": "w", "batchSize": 2, "count": 1, "inputs": {"a": {"dims": [2], "randomData": true}}}],
"parameters": {"intra_op_thread_count": {"stringValue": "2"}, "precision": {"stringValue": "fp32"}}}"""

_TEXT = b"""name: "sum" backend: "onnxruntime" max_batch_size: 4 default_model_filename: "model.onnx"
input [{ name: "a" data_type: TYPE_FP32 dims: [ 2 ] }] # a comment
instance_group { count: 1 kind: KIND_AUTO }
version_policy { latest { num_versions: 2 } }
dynamic_batching { max_queue_delay_microseconds: 100 preferred_batch_size: [ 1, 2 ] }
model_warmup { batch_size: 1 inputs { key: "a" value { zero_data: true } } }
unknown_field { deeper < a: 1.5e3 b: 'text\\x41' > }
parameters { key: "precision" value { string_value: "auto" } }
"""


def _seeds() -> Iterator[bytes]:
    yield join([(JSON, 2, _CONFIG)])
    yield join([(TEXT, 2, _TEXT)])
    yield join([(JSON, 2, b'{"version_policy": {"all": {}}, "max_batch_size": 1}')])
    yield join([(TEXT, 2, b"version_policy: { all: {} }")])


TARGET = Target("configs", _opened, _seeds)
