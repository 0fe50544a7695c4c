"""Which instance owns what; and fixed buffers on the CPU provider, which go the same way as on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from convserve_server.engine import instances
from convserve_server.engine.batcher import Limits
from convserve_server.engine.binding import BoundProgram, can_bind
from convserve_server.engine.cuda import CudaSettings, provider_options
from convserve_server.engine.gate import Gate
from convserve_server.engine.graphs import GraphsBroken
from convserve_server.engine.model import Array, Description, TensorSpec
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.padded import PaddedInstance
from convserve_server.engine.session import CPU, CUDA, EngineSettings, Session, SessionInstance
from convserve_server.errors import ModelBroken
from onnx import helper
from support.artifacts import FLOAT, onnx_model

PAIR = (TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "FP32", (-1, 2)))
DESCRIPTION = Description("sum", 1, "", PAIR, (TensorSpec("total", "FP32", (-1, 2)),), batched=True)


def session(**options: str) -> Session:
    model = onnx_model(
        [helper.make_node("Add", ["a", "b"], ["total"])],
        {"a": (FLOAT, ["N", 2]), "b": (FLOAT, ["N", 2])},
        {"total": (FLOAT, ["N", 2])},
    )
    return Session(model, DESCRIPTION, CPU, 1, options)


def settings(**cuda: Any) -> ModelSettings:
    engine = EngineSettings(instances=3, cuda=CudaSettings(**cuda))
    return ModelSettings(engine=engine, limits=Limits(max_batch_size=8))


def request(rows: int, start: float) -> tuple[Array, ...]:
    a = np.arange(start, start + 2 * rows, dtype=np.float32).reshape(rows, 2)
    return a, 10 * a


def test_fixed_buffers_give_what_a_plain_run_gives_for_every_number_of_rows() -> None:
    bound = instances.prepared(session(), DESCRIPTION, 8, lambda s: None, Gate(), "cpu")
    plain = SessionInstance(session(), DESCRIPTION, 8)
    assert isinstance(bound, PaddedInstance)
    for rows in range(1, 9):
        requests = [request(1, 100.0 * rows), request(rows - 1, 7.0)] if rows > 1 else [request(1, 3.0)]
        (one,), (other,) = bound.run(requests), plain.run(requests)
        assert one.tolist() == other.tolist()


def test_outputs_are_the_callers_to_keep() -> None:
    bound = instances.prepared(session(), DESCRIPTION, 8, lambda s: None, Gate(), "cpu")
    (kept,) = bound.run([request(3, 1.0)])
    before = kept.copy()
    bound.run([request(3, 50.0)])
    assert kept.tolist() == before.tolist()


def test_every_batch_size_has_run_before_the_first_caller_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    run = BoundProgram.run

    def recorded(self: BoundProgram, bucket: int, *, graph: bool = False) -> list[Array]:
        ran.append(bucket)
        return run(self, bucket, graph=graph)

    monkeypatch.setattr(BoundProgram, "run", recorded)
    instances.prepared(session(), DESCRIPTION, 6, lambda s: None, Gate(), "cpu")
    assert ran == [6, 6, 4, 4, 2, 2, 1, 1]


def test_a_session_that_captures_graphs_chooses_among_them_and_computes_the_same() -> None:
    # The CPU provider knows no graphs: runs that ask for one are plain ones, and the way there is the same.
    capturing = session(enable_cuda_graph="1")
    assert capturing.graphs
    bound = instances.prepared(capturing, DESCRIPTION, 4, lambda s: None, Gate(), "cpu")
    (total,) = bound.run([request(3, 1.0)])
    assert total.tolist() == (11 * request(3, 1.0)[0]).tolist()
    # A plain run of such a session says that it is not to be captured.
    assert capturing._run_options[0].get_run_config_entry("gpu_graph_id") == "-1"


@pytest.mark.parametrize(
    "changed",
    [
        {"batched": False},
        {"inputs": (TensorSpec("a", "FP32", (-1, -1)),)},
        {"outputs": (TensorSpec("total", "FP32", (-1, -1)),)},
        {"inputs": (TensorSpec("a", "BYTES", (-1, 2)),)},
        {"inputs": (TensorSpec("a", "BF16", (-1, 2)),)},
    ],
)
def test_what_has_no_fixed_sizes_is_not_bound(changed: dict[str, Any]) -> None:
    assert can_bind(DESCRIPTION)
    description = replace(DESCRIPTION, **changed)
    assert not can_bind(description)
    assert isinstance(instances.prepared(session(), description, 8, lambda s: None, Gate(), "cpu"), SessionInstance)


def test_on_the_cpu_all_instances_share_one_warmed_session() -> None:
    first, warmed = session(), list[Session]()
    made = instances.make_instances(first, _never, DESCRIPTION, settings(), warmed.append)
    assert len(made) == 3
    assert warmed == [first]
    assert {instance._session for instance in made if isinstance(instance, SessionInstance)} == {first}


class Cuda:
    """Stands in for sessions on CUDA, and for what is prepared from them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broken: Exception | None = None) -> None:
        self.broken = broken
        self.first = self.session(graphs=False)
        self.opened: list[bool] = []
        self.prepared: list[Any] = []
        monkeypatch.setattr(instances, "prepared", self._prepared)

    def session(self, graphs: bool) -> Any:
        return SimpleNamespace(provider=CUDA, graphs=graphs)

    def open(self, graphs: bool) -> Any:
        self.opened.append(graphs)
        if graphs and isinstance(self.broken, ModelBroken):
            raise self.broken
        return self.session(graphs)

    def _prepared(self, session: Any, *rest: object) -> Any:
        if session.graphs and self.broken:
            raise self.broken
        self.prepared.append(session)
        return SimpleNamespace(run=lambda requests: [session], gathering_seconds=0.0)

    def make(self, **cuda: Any) -> Sequence[Any]:
        return instances.make_instances(self.first, self.open, DESCRIPTION, settings(**cuda), lambda s: None)


def test_on_cuda_each_instance_has_a_session_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    one, two = cuda.make(instances=2)
    assert cuda.opened == [False]
    assert one.run([]) == [cuda.first]
    assert two.run([]) == [cuda.prepared[1]]
    assert cuda.prepared[1] is not cuda.first


def test_graphs_are_captured_by_sessions_that_are_opened_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    cuda.make(instances=2, graphs=True)
    assert cuda.opened == [True, True]
    assert cuda.first not in cuda.prepared


@pytest.mark.parametrize("broken", [ModelBroken("not all nodes are on CUDA"), GraphsBroken("it is wrong")])
def test_where_graphs_do_not_work_the_model_runs_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: Exception
) -> None:
    cuda = Cuda(monkeypatch, broken)
    assert len(cuda.make(instances=2, graphs=True)) == 2
    assert [s.graphs for s in cuda.prepared] == [False, False]
    assert f"sum is run without CUDA graphs: {broken}" in caplog.text


def test_a_device_that_cannot_prepare_a_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)

    def out_of_memory(*anything: object) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(instances, "prepared", out_of_memory)
    with pytest.raises(ModelBroken, match="it cannot be prepared for CUDA: out of memory"):
        cuda.make()


def test_what_is_verified_at_the_export_is_what_runs_unless_tf32_is_wanted() -> None:
    assert provider_options(CudaSettings(), graphs=False)["use_tf32"] == "0"
    assert provider_options(CudaSettings(tf32=True), graphs=False)["use_tf32"] == "1"


def test_convolutions_are_not_searched_for_seconds_unless_wanted() -> None:
    assert provider_options(CudaSettings(), graphs=False)["cudnn_conv_algo_search"] == "HEURISTIC"
    exhaustive = provider_options(CudaSettings(conv_search="exhaustive"), graphs=True)
    assert exhaustive["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert exhaustive["enable_cuda_graph"] == "1"


def _never(graphs: bool) -> Session:
    raise AssertionError("no further session is needed")
