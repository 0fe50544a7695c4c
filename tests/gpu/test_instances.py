"""Fixed buffers, prepared batch sizes and CUDA graphs on a real GPU."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convserve_server.app import make_repository
from convserve_server.engine.model import Answer, Array, Model
from convserve_server.engine.pinned import pin
from convserve_server.engine.repository import Repository
from convserve_server.errors import ServerError
from convserve_server.settings import Settings

from .requirement import needs_cuda

pytestmark = needs_cuda

LARGEST = 32


class Waiter:
    """Who waits as long as it takes."""

    deadline = math.inf

    def abandoned(self) -> bool:
        return False

    def await_room(self) -> bool:
        return False


@contextmanager
def loaded(folder: Path, provider: str = "cuda", **settings: Any) -> Iterator[tuple[Repository, Model]]:
    repository = make_repository(
        Settings(repository=folder, provider=provider, max_batch_size=LARGEST, log_level="debug", **settings)
    )
    repository.load()
    yield repository, repository.find("simple_cnn")


def infer(model: Model, images: Array) -> Array:
    """Submit, lead, and wait for the answer."""
    results: list[Answer | ServerError] = []
    done = threading.Event()

    def reply(result: Answer | ServerError) -> None:
        results.append(result)
        done.set()

    model.submit((images,), Waiter(), reply)
    model.lead()
    assert done.wait(30)
    (result,) = results
    if isinstance(result, ServerError):
        raise result
    return result.outputs[0].copy()


def pictures(rows: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("graphs", [False, True])
def test_every_number_of_rows_gives_what_the_cpu_gives(exported: Path, graphs: bool) -> None:
    with loaded(exported, cuda_graphs=graphs) as (_, cuda), loaded(exported, "cpu") as (_, cpu):
        assert cuda.provider == "CUDAExecutionProvider"
        for rows in range(1, LARGEST + 1):
            images = pictures(rows, rows)
            np.testing.assert_allclose(infer(cuda, images), infer(cpu, images), rtol=1e-3, atol=1e-4)


def test_tf32_is_close(exported: Path) -> None:
    with loaded(exported, cuda_tf32=True) as (_, cuda), loaded(exported, "cpu") as (_, cpu):
        images = pictures(LARGEST, 0)
        got, expected = infer(cuda, images), infer(cpu, images)
        # It rounds the factors of a product to 10 bits of mantissa.
        assert np.abs(got - expected).max() < 2e-2 * np.abs(expected).max()


@pytest.mark.parametrize("graphs", [False, True])
def test_the_first_batch_of_a_size_does_not_stall(exported: Path, graphs: bool) -> None:
    with loaded(exported, cuda_graphs=graphs) as (_, model):
        firsts = []
        for rows in range(1, LARGEST + 1):
            images = pictures(rows, rows)
            started = time.perf_counter()
            infer(model, images)
            firsts.append(time.perf_counter() - started)
        # A search for a convolution takes 10 to 1000 ms.
        assert max(firsts) < statistics.median(firsts) + 0.01


@pytest.mark.parametrize("graphs", [False, True])
def test_two_instances_under_load_answer_everyone_with_his_own(exported: Path, graphs: bool) -> None:
    wrong: list[str] = []
    with loaded(exported, cuda_graphs=graphs, instances=2) as (_, model), loaded(exported, "cpu") as (_, cpu):
        batches = {rows: pictures(rows, 100 + rows) for rows in (1, 2, 3, 7, 16)}
        expected = {rows: infer(cpu, images) for rows, images in batches.items()}

        def work(rows: int) -> None:
            right = (np.allclose(infer(model, batches[rows]), expected[rows], rtol=1e-3, atol=1e-4) for _ in range(200))
            if not all(right):
                wrong.append(f"{rows} rows")

        threads = [threading.Thread(target=work, args=(rows,)) for rows in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_a_capture_while_others_run_harms_neither(exported: Path) -> None:
    failures: list[Exception] = []
    stop = threading.Event()
    with loaded(exported, cuda_graphs=True) as (_, serving):

        def work() -> None:
            images = pictures(4, 4)
            while not stop.is_set():
                try:
                    infer(serving, images)
                except Exception as error:
                    failures.append(error)
                    return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            with loaded(exported, cuda_graphs=True) as (_, other):
                infer(other, pictures(3, 3))
        finally:
            stop.set()
            thread.join(30)
    assert failures == []


def test_host_memory_can_be_pinned(exported: Path) -> None:
    with loaded(exported):
        assert pin(np.zeros((LARGEST, 3, 32, 32), np.float32))
