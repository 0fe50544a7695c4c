"""A config that asks for more than a server can give is refused with a sentence, before anything is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from convserve_server.engine.batcher import Limits
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.session import EngineSettings
from convserve_server.errors import ModelBroken
from convserve_server.model_configs import read_model_settings

DEFAULTS = ModelSettings(engine=EngineSettings(provider="cpu", instances=1, threads=1), limits=Limits())


def warm_up(**fields: Any) -> dict[str, Any]:
    return {"model_warmup": [{"inputs": {"a": {"dims": fields.pop("dims", [2]), "zero_data": True}}, **fields}]}


def threads(text: str) -> dict[str, Any]:
    return {"parameters": {"intra_op_thread_count": {"string_value": text}}}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"max_batch_size": 2**31 - 1}, "asks for 2,147,483,647 rows in a batch .* at most 65,536"),
        ({"instance_group": [{"count": 2**31 - 1}, {"count": 2}]}, "asks for 2,147,483,649 instances; at most 64"),
        (threads("4000"), "asks for 4,000 threads .* at most 1,024"),
        (threads("9" * 5000), "it takes a whole number above 0"),
        (warm_up(count=2**32 - 1), "asks for 4,294,967,295 warm-up runs; at most 1,000"),
        (warm_up(batch_size=2**32 - 1, dims=[]), "asks for 4,294,967,295 warm-up elements|warm-up rows"),
        (warm_up(dims=[2**40]), "warm-up elements of 'a'"),
        (warm_up(dims=[-1]), r"warms up 'a' with the dims \[-1\]; they take 1 or more"),
        ({"default_model_filename": ".."}, "names the file '..', which is not inside"),
        ({"default_model_filename": "a\0b"}, "which is not inside of a version's folder"),
        ({"output": [{"name": "y", "label_filename": "a\0b"}]}, "which are not inside of its folder"),
        ({"name": ["\ud800" * 5000]}, "its config is no valid model config"),
    ],
)
def test_a_config_that_nobody_can_mean_is_refused(tmp_path: Path, config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelBroken, match=sentence) as caught:
        read_model_settings(tmp_path, json.dumps(config), DEFAULTS)
    # As it is sent.
    str(caught.value).encode()


def test_what_a_config_may_ask_for_is_taken(tmp_path: Path) -> None:
    config = {"max_batch_size": 65_536, "instance_group": [{"count": 64}], **threads("1024")}
    settings = read_model_settings(tmp_path, json.dumps(config | warm_up(count=1000, batch_size=8)), DEFAULTS)
    assert (settings.limits.max_batch_size, settings.engine.instances, settings.engine.threads) == (65_536, 64, 1024)
    assert (settings.warm_ups[0].runs, settings.warm_ups[0].rows) == (1000, 8)
