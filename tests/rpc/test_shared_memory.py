"""System shared memory carries inputs and outputs; CUDA shared memory is refused."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from support.artifacts import write_sum
from support.open_inference import ask, refused
from support.requests import infer_request, outputs_of, parameter
from support.servers import running_app

A = np.array([[1, 2], [3, 4]], np.float32)
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def channel(kind: str, tmp_path: Path) -> Iterator[grpc.Channel]:
    write_sum(tmp_path)
    with (
        running_app(tmp_path, transport=kind) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield channel


@pytest.fixture
def memory(channel: grpc.Channel) -> Iterator[SharedMemory]:
    """64 bytes, of which those from 8 on are the region r, which begins with A."""
    memory = SharedMemory(create=True, size=64)
    put(memory, A)
    register(channel, "r", memory.name, 8, 56)
    yield memory
    memory.close()
    memory.unlink()


def put(memory: SharedMemory, array: Any) -> None:
    """Write an array to where the region begins."""
    assert memory.buf is not None
    memory.buf[8 : 8 + array.nbytes] = array.tobytes()


def register(channel: grpc.Channel, name: str, key: str, offset: int, size: int) -> None:
    request = oip.SystemSharedMemoryRegisterRequest(name=name, key=key, offset=offset, byte_size=size)
    ask(channel, "SystemSharedMemoryRegister", request)


def request(*, region: str = "r", size: int = 16, offset: int = 0, **outputs: dict[str, Any]) -> Any:
    """A sum with input a in shared memory and b in the request."""
    message = infer_request("sum", {"a": A, "b": A})
    del message.raw_input_contents[0]
    place(message.inputs[0], region, size, offset)
    for name, parameters in outputs.items():
        output = message.outputs.add(name=name)
        for key, value in parameters.items():
            output.parameters[key].MergeFrom(parameter(value))
    return message


def place(tensor: Any, region: str, size: int, offset: int) -> None:
    tensor.parameters["shared_memory_region"].string_param = region
    tensor.parameters["shared_memory_byte_size"].int64_param = size
    if offset:
        tensor.parameters["shared_memory_offset"].int64_param = offset


def test_inputs_and_outputs_pass_through_shared_memory(channel: grpc.Channel, memory: SharedMemory) -> None:
    in_memory = {"shared_memory_region": "r", "shared_memory_byte_size": 40, "shared_memory_offset": 16}
    response = ask(channel, "ModelInfer", request(total=in_memory, difference={}))
    assert memory.buf is not None
    assert np.array_equal(np.frombuffer(memory.buf, np.float32, 4, 24).reshape(2, 2), 2 * A)
    assert outputs_of_rest(response) == [[0, 0], [0, 0]]
    (total, difference) = response.outputs
    assert (total.name, total.datatype, list(total.shape)) == ("total", "FP32", [2, 2])
    assert total.parameters["shared_memory_region"].string_param == "r"
    assert total.parameters["shared_memory_byte_size"].int64_param == 16
    assert total.parameters["shared_memory_offset"].int64_param == 16
    assert response.raw_output_contents[0] == b""
    assert not difference.parameters


def outputs_of_rest(response: Any) -> Any:
    """The output that is in the response itself."""
    return np.frombuffer(response.raw_output_contents[1], np.float32).reshape(2, 2).tolist()


def test_what_is_in_shared_memory_is_read_anew_for_each_call(channel: grpc.Channel, memory: SharedMemory) -> None:
    for value in (5, 7):
        put(memory, np.full(4, value, np.float32))
        assert outputs_of(ask(channel, "ModelInfer", request()))["total"][0, 0] == value + 1


def test_regions_are_told_and_forgotten(channel: grpc.Channel, memory: SharedMemory) -> None:
    status = ask(channel, "SystemSharedMemoryStatus")
    region = status.regions["r"]
    assert (region.name, region.key, region.offset, region.byte_size) == ("r", memory.name, 8, 56)
    ask(channel, "SystemSharedMemoryUnregister", oip.SystemSharedMemoryUnregisterRequest(name="r"))
    assert not ask(channel, "SystemSharedMemoryStatus").regions
    code, sentence = refused(channel, "ModelInfer", request())
    assert code is grpc.StatusCode.NOT_FOUND
    assert "Unable to find shared memory region: 'r'" in sentence


def both(message: Any) -> Any:
    message.inputs[0].contents.fp32_contents.extend([1, 2, 3, 4])
    return message


def extra(message: Any) -> Any:
    message.raw_input_contents.append(b"x")
    return message


def without_other(message: Any) -> Any:
    del message.raw_input_contents[:]
    return message


BAD = [
    (request(size=57), INVALID, "Invalid offset + byte size"),
    (request(offset=50), INVALID, "Invalid offset + byte size"),
    (request(size=8), INVALID, "input 'a' has 8 bytes of raw contents, but FP32 [2, 2] takes 16"),
    (request(region="x"), grpc.StatusCode.NOT_FOUND, "'x'; registered are: 'r'"),
    (both(request()), INVALID, "unexpected explicit tensor data"),
    (extra(request()), INVALID, "1 entries more"),
    (without_other(request()), INVALID, "unable to find data for input tensor 'b'"),
    (
        request(total={"shared_memory_region": "r", "shared_memory_byte_size": 15}),
        INVALID,
        "should be at least 16 bytes",
    ),
    (request(total={"shared_memory_region": "r", "shared_memory_byte_size": 57}), INVALID, "Invalid offset"),
    (request(total={"shared_memory_region": "r"}), INVALID, "shared_memory_byte_size is missing"),
    (request(total={"shared_memory_byte_size": 1}), INVALID, "no parameter shared_memory_region"),
    (request(total={"shared_memory_region": 1}), INVALID, "no string_param"),
    (
        request(total={"shared_memory_region": "r", "shared_memory_byte_size": 16, "classification": 1}),
        INVALID,
        "shared memory can't be set on classification output",
    ),
]


@pytest.mark.parametrize(("message", "code", "sentence"), BAD, ids=[b[2] for b in BAD])
def test_a_bad_use_hears_the_code_and_a_sentence(
    channel: grpc.Channel, memory: SharedMemory, message: Any, code: grpc.StatusCode, sentence: str
) -> None:
    actual, details = refused(channel, "ModelInfer", message)
    assert actual is code
    assert sentence in details


def test_bad_registrations_hear_the_code(channel: grpc.Channel, memory: SharedMemory) -> None:
    def code(name: str, key: str, offset: int, size: int) -> grpc.StatusCode:
        bad = oip.SystemSharedMemoryRegisterRequest(name=name, key=key, offset=offset, byte_size=size)
        return refused(channel, "SystemSharedMemoryRegister", bad)[0]

    assert code("r", memory.name, 0, 1) is grpc.StatusCode.ALREADY_EXISTS
    assert code("x", "nope", 0, 1) is INVALID
    assert code("x", memory.name, 0, 65) is INVALID
    unknown = oip.SystemSharedMemoryStatusRequest(name="x")
    assert refused(channel, "SystemSharedMemoryStatus", unknown)[0] is grpc.StatusCode.NOT_FOUND


def test_cuda_shared_memory_is_refused_and_there_is_none(channel: grpc.Channel) -> None:
    code, sentence = refused(channel, "CudaSharedMemoryRegister", b"")
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert "CUDA shared memory is not supported" in sentence
    # Triton's examples forget all regions before they begin.
    ask(channel, "CudaSharedMemoryUnregister")
    assert not ask(channel, "CudaSharedMemoryStatus").regions
    code, _ = refused(channel, "CudaSharedMemoryStatus", oip.CudaSharedMemoryStatusRequest(name="x"))
    assert code is grpc.StatusCode.NOT_FOUND
