"""A model's files are replaced, truncated or deleted while it is served: what is served is what was verified."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from convserve_proto import open_inference as oip
from onnx import TensorProto, helper, numpy_helper
from support.artifacts import write_sum
from support.open_inference import ask, refused
from support.requests import infer_request, outputs_of
from support.survival import answers_rightly, surviving

WEIGHTS = np.arange(200_000, dtype=np.float32).reshape(100_000, 2)


def replaced(file: Path) -> None:
    aside = file.with_name("aside")
    aside.write_bytes(b"something else")
    aside.replace(file)


FAULTS: dict[str, Any] = {
    "replaced": replaced,
    "truncated": lambda file: os.truncate(file, 0),
    "overwritten": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "deleted": lambda file: file.unlink(),
    "all deleted": lambda file: shutil.rmtree(file.parent),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", ["none", "poll"])
def test_a_verified_model_goes_on_as_it_was_loaded(tmp_path: Path, kind: str, fault: str, mode: str) -> None:
    folder = write_sum(tmp_path / "models")
    options = ["--transport", kind, "--repository-mode", mode, "--poll-seconds", "0.1"]
    if fault == "all deleted" and mode == "poll":
        pytest.skip("that is how a version is taken out of service")
    with surviving(tmp_path, *options) as server:
        FAULTS[fault](folder / "model.onnx")
        for _ in range(5):
            answers_rightly(server.address)


def lookup(folder: Path) -> Path:
    """A model that looks up rows of a table which lies in a file beside it, and is used as it lies there."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["row"])],
        "g",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(WEIGHTS, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder = folder / "lookup" / "1"
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    return folder / "weights.bin"


@pytest.mark.parametrize("fault", ["replaced", "truncated", "overwritten", "deleted"])
def test_weights_in_a_file_beside_a_model_stay_what_was_loaded(tmp_path: Path, kind: str, fault: str) -> None:
    """ONNX Runtime maps such a file: truncated, it would end the server with SIGBUS."""
    write_sum(tmp_path / "models")
    weights = lookup(tmp_path / "models")
    with (
        surviving(tmp_path, "--transport", kind, "--allow-unverified") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        FAULTS[fault](weights)
        for start in range(0, len(WEIGHTS), 5000):
            index = np.arange(start, start + 500, 50)
            response = ask(channel, "ModelInfer", infer_request("lookup", {"index": index}))
            assert (outputs_of(response)["row"] == WEIGHTS[index]).all()


def test_what_is_spoilt_on_disk_is_refused_at_a_reload_and_the_sentence_names_no_folder_of_the_server(
    tmp_path: Path, kind: str
) -> None:
    folder = write_sum(tmp_path / "models")
    options = ["--transport", kind, "--repository-mode", "explicit", "--load-model", "*"]
    with surviving(tmp_path, *options) as server, grpc.insecure_channel(server.address) as channel:
        os.truncate(folder / "model.onnx", 0)
        load = oip.RepositoryModelLoadRequest(model_name="sum")
        code, sentence = refused(channel, "RepositoryModelLoad", load)
        assert code is grpc.StatusCode.INTERNAL
        assert "model.onnx has 0 bytes, but its manifest says" in sentence
        assert "versions that are served: 1" in sentence
        shutil.rmtree(folder.parent)
        code, missing = refused(channel, "RepositoryModelLoad", oip.RepositoryModelLoadRequest(model_name="nobody"))
        assert "there is no version of it" in missing
        index = ask(channel, "RepositoryIndex", oip.RepositoryIndexRequest())
        assert str(tmp_path) not in f"{sentence} {missing} {index}"
        assert str(folder) in server.log.read_text(), "the operator is told where"
        write_sum(tmp_path / "models")
        ask(channel, "RepositoryModelLoad", load)
