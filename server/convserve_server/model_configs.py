"""Reads a model's config (config.json, or Triton's config.pbtxt) into how the model is served.

Both are the protocol's ModelConfig, in protobuf's JSON form and in its text form. What ModelConfig answers can be
changed and loaded again.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

from convserve_proto import open_inference as oip
from google.protobuf import json_format, text_format

from convserve_server.engine.file_names import is_file_name
from convserve_server.engine.model_settings import ModelSettings, WarmUp
from convserve_server.engine.versions import VersionPolicy
from convserve_server.errors import ModelBroken, sendable

PLATFORMS = ("", "onnxruntime_onnx", "onnx_onnxv1")
BACKENDS = ("", "onnxruntime")
THREADS = "intra_op_thread_count"
"""The parameter that gives the CPU threads of one run, under the name that Triton's ONNX Runtime backend has for it."""

PRECISION = "precision"
"""The parameter that says which variant of the model is served, as the server's option --precision does for all."""
PRECISIONS = ("auto", "fp32", "fp16", "int8")

# Beyond any use, and small enough that a slip of the keyboard takes neither the memory nor the minutes of a server.
MOST_ROWS = 65_536
MOST_INSTANCES = 64
MOST_THREADS = 1024
MOST_WARM_UP_RUNS = 1000
MOST_WARM_UP_ELEMENTS = 1 << 28

_ELSEWHERE = re.compile(r"\b(sequence_?batching|ensemble_?scheduling)\b", re.IGNORECASE)


def read_model_settings(folder: Path, config: str | None, defaults: ModelSettings) -> ModelSettings:
    """How the model in ``folder`` is served: by ``config`` (JSON) if given, else by its own, else by ``defaults``.

    Raises ModelBroken with a sentence for a config that cannot be read or asks for what this server does not have.
    """
    message, text = _read(folder, config)
    if message is None:
        return defaults
    if message.name not in ("", folder.name):
        raise ModelBroken(f"its config is for a model '{message.name}', but it lies in {folder.name}")
    if message.platform not in PLATFORMS or message.backend not in BACKENDS:
        raise ModelBroken(
            f"its config asks for platform '{message.platform}' and backend '{message.backend}'; this server runs "
            "ONNX models: onnxruntime_onnx, onnxruntime"
        )
    file = message.default_model_filename or defaults.file
    if not is_file_name(file):
        raise ModelBroken(f"its config names the file '{file}', which is not inside of a version's folder")
    settings = replace(
        defaults,
        versions=_versions(message),
        file=file,
        warm_ups=tuple(_warm_up(w) for w in message.model_warmup),
        labels={o.name: _labels(folder, o.label_filename) for o in message.output if o.label_filename},
        label_files={o.name: o.label_filename for o in message.output if o.label_filename},
        inputs={t.name: tuple(t.dims) for t in message.input},
        outputs={t.name: tuple(t.dims) for t in message.output},
        source=text,
    )
    return _with_runs(_with_batching(settings, message, text), message)


def _read(folder: Path, config: str | None) -> tuple[oip.ModelConfig | None, str]:
    """The config and its text; None where the model has none."""
    message = oip.ModelConfig()
    try:
        if config is not None or (folder / "config.json").exists():
            text = config if config is not None else (folder / "config.json").read_text(encoding="utf-8")
            _check_scheduling(text)
            return json_format.Parse(text, message), text
        if (folder / "config.pbtxt").exists():
            text = (folder / "config.pbtxt").read_text(encoding="utf-8")
            _check_scheduling(text)
            # Triton's config says much that has no meaning here.
            return text_format.Parse(text, message, allow_unknown_field=True), text
    except (OSError, UnicodeDecodeError) as error:
        raise ModelBroken(f"its config cannot be read: {error}") from error
    except (json_format.ParseError, text_format.ParseError, RecursionError) as error:
        raise ModelBroken(f"its config is no valid model config: {sendable(str(error))}") from error
    return None, ""


def _check_scheduling(text: str) -> None:
    if match := _ELSEWHERE.search(text):
        raise ModelBroken(f"its config asks for {match[0]}, which this server does not have")


def _versions(message: oip.ModelConfig) -> VersionPolicy:
    policy = message.version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(latest=None)
    if choice == "specific":
        if not policy.specific.versions:
            raise ModelBroken("its config's version policy is specific, but names no version")
        return VersionPolicy(specific=tuple(policy.specific.versions))
    return VersionPolicy(latest=policy.latest.num_versions or 1)


def _with_batching(settings: ModelSettings, message: oip.ModelConfig, text: str) -> ModelSettings:
    rows = message.max_batch_size
    if rows < 0:
        raise ModelBroken(f"its config has max_batch_size {rows}; it takes 0 (no batch axis) or more")
    _check_most("rows in a batch (max_batch_size)", rows, MOST_ROWS)
    limits = settings.limits
    if rows:
        limits = replace(limits, max_batch_size=rows, max_request_rows=max(rows, limits.max_request_rows))
    # A number that is not there and one that is 0 look alike in the message.
    told = rows > 0 or re.search(r"\bmax_?batch_?size\b", text, re.IGNORECASE) is not None
    batching = message.dynamic_batching
    if batching.max_queue_delay_microseconds:
        limits = replace(limits, max_queue_delay=batching.max_queue_delay_microseconds / 1e6)
    policy = batching.default_queue_policy
    if policy.timeout_action == policy.DELAY:
        raise ModelBroken("its config asks for the timeout action DELAY; this server has REJECT")
    if policy.max_queue_size:
        limits = replace(limits, max_queue_size=policy.max_queue_size)
    levels = batching.priority_levels
    if levels and not 1 <= batching.default_priority_level <= levels:
        raise ModelBroken(
            f"its config has {levels} priority levels, and the default level {batching.default_priority_level} "
            "is none of them"
        )
    return replace(
        settings,
        limits=limits,
        batched=rows > 0 if told else None,
        queue_policy=replace(
            settings.queue_policy,
            timeout=policy.default_timeout_microseconds / 1e6 or None,
            timeout_override=policy.allow_timeout_override or not batching.HasField("default_queue_policy"),
            **({"priority_levels": levels, "default_priority": batching.default_priority_level} if levels else {}),
        ),
    )


def _with_runs(settings: ModelSettings, message: oip.ModelConfig) -> ModelSettings:
    engine = settings.engine
    count = sum(group.count for group in message.instance_group)
    if count < 0:
        raise ModelBroken(f"its config asks for {count} instances; it takes 1 or more")
    _check_most("instances", count, MOST_INSTANCES)
    if any(group.kind == group.KIND_GPU for group in message.instance_group) and engine.provider == "cpu":
        raise ModelBroken("its config asks for instances on a GPU, and this server was started with --provider cpu")
    threads = message.parameters[THREADS].string_value if THREADS in message.parameters else ""
    if threads and not (threads.isdecimal() and len(threads) < 10 and int(threads)):
        raise ModelBroken(f"its config's parameter {THREADS} is '{threads}'; it takes a whole number above 0")
    _check_most(f"threads ({THREADS})", int(threads or 0), MOST_THREADS)
    precision = message.parameters[PRECISION].string_value if PRECISION in message.parameters else engine.precision
    if precision not in PRECISIONS:
        raise ModelBroken(f"its config's parameter {PRECISION} is '{precision}'; it takes {', '.join(PRECISIONS)}")
    return replace(
        settings,
        engine=replace(
            engine,
            instances=count or engine.instances,
            threads=int(threads or engine.threads),
            precision=precision,
            cuda=replace(engine.cuda, instances=count or engine.cuda.instances),
        ),
    )


def _warm_up(warm_up: oip.ModelWarmup) -> WarmUp:
    if any(i.WhichOneof("input_data_type") == "input_data_file" for i in warm_up.inputs.values()):
        raise ModelBroken("its config warms up from a file; this server has zero_data and random_data")
    _check_most("warm-up runs", warm_up.count, MOST_WARM_UP_RUNS)
    for name, entry in warm_up.inputs.items():
        if any(d < 1 for d in entry.dims):
            raise ModelBroken(f"its config warms up '{name}' with the dims {list(entry.dims)}; they take 1 or more")
        _check_most(
            f"warm-up elements of '{name}'",
            (warm_up.batch_size or 1) * math.prod(entry.dims),
            MOST_WARM_UP_ELEMENTS,
        )
    _check_most("warm-up rows", warm_up.batch_size, MOST_ROWS)
    return WarmUp(
        rows=warm_up.batch_size or 1,
        runs=warm_up.count or 1,
        shapes={name: tuple(i.dims) for name, i in warm_up.inputs.items() if i.dims},
        random=frozenset(name for name, i in warm_up.inputs.items() if i.random_data),
    )


def _check_most(what: str, number: int, most: int) -> None:
    if number > most:
        raise ModelBroken(f"its config asks for {number:,} {what}; at most {most:,} are taken")


def _labels(folder: Path, name: str) -> tuple[str, ...]:
    # A config may come from a caller, who must not read other files by it.
    if not is_file_name(name):
        raise ModelBroken(f"its config names the labels '{name}', which are not inside of its folder")
    try:
        return tuple((folder / name).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelBroken(f"its labels {name} cannot be read: {error}") from error
