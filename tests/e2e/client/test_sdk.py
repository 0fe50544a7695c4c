"""Both clients against a real server: values, not only shapes, and a server that goes and comes back."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from convserve_client import AsyncClient, Client, InvalidArgument, NotFound, RetryPolicy, Unavailable
from support.servers import ServerProcess

PHOTOGRAPHS: Any = skimage.data  # its functions have no types


def test_both_clients_get_the_same_logits_as_one_row_or_many(address: str) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3, 32, 32)).astype(np.float32)

    async def awaited() -> np.ndarray:
        async with AsyncClient(address) as client:
            answers = await asyncio.gather(*(client.infer("simple_cnn", {"input": row[None]}) for row in rows))
            return np.concatenate([answer.outputs["logits"] for answer in answers])

    with Client(address) as client:
        together = client.infer("simple_cnn", {"input": rows}, request_id="all")
    assert together.request_id == "all"
    np.testing.assert_allclose(asyncio.run(awaited()), together.outputs["logits"], rtol=1e-4, atol=1e-5)


def test_models_are_listed_by_the_health_service(address: str) -> None:
    with Client(address) as client:
        assert {model.name for model in client.models()} == {"convolve", "simple_cnn"}
        assert client.is_live()
        assert client.is_ready()


def test_an_array_is_classified_like_its_file_and_many_like_one(address: str) -> None:
    photograph = PHOTOGRAPHS.chelsea()
    with Client(address) as client:
        (one,) = client.classify(photograph, top_k=10)
        many = client.classify((photograph for _ in range(70)), top_k=10)
    assert one.classifications[0].label == "cat"
    assert sum(entry.probability for entry in one.classifications) == pytest.approx(1.0)
    assert len(many) == 70
    for result in many:
        assert [entry.label for entry in result.classifications] == [entry.label for entry in one.classifications]


def test_a_picture_is_convolved_per_channel_with_its_gradient(address: str) -> None:
    photograph = PHOTOGRAPHS.chelsea()
    with Client(address) as client:
        result = client.convolve(photograph, "scharr_x", padding="same", color="per_channel", gradient=True, png=True)
    assert result.responses.shape == (3, *photograph.shape[:2])
    across = result.gradient_magnitudes * np.cos(result.gradient_directions)
    np.testing.assert_allclose(across, result.responses, atol=0.01)
    assert result.png.startswith(b"\x89PNG")


def test_the_servers_sentence_arrives_for_what_it_refuses(address: str) -> None:
    with Client(address) as client:
        with pytest.raises(NotFound, match="nope"):
            client.infer("nope", {"input": np.zeros((1, 3, 32, 32), np.float32)})
        with pytest.raises(InvalidArgument, match="input"):
            client.infer("simple_cnn", {"input": np.zeros((1, 3, 31, 32), np.float32)})
        with pytest.raises(InvalidArgument):
            client.convolve([[float("nan")]], [[1.0]])


def test_one_client_lives_through_a_restart_of_its_server(exported: Path, tmp_path: Path) -> None:
    patient = RetryPolicy(attempts=1000, longest_pause=0.1)
    with (
        ServerProcess(exported, tmp_path, "--provider", "cpu") as first,
        Client(first.address, retry=patient) as client,
    ):
        assert client.is_ready()
        assert first.stop(signal.SIGTERM) == 0
        with pytest.raises(Unavailable):
            client.is_ready(timeout=0.3)
        with ServerProcess(exported, tmp_path, "--provider", "cpu", "--listen", client.target):
            # Not listening yet: the call is tried again until it is.
            assert client.is_live(timeout=30.0)
