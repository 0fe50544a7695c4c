"""The calls that register shared memory: the system's works, that of CUDA devices is refused."""

from __future__ import annotations

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Method
from convserve_server.errors import RegionNotFound, Unsupported
from convserve_server.rpc.regions import Regions
from convserve_server.rpc.simple import simple_methods
from convserve_server.rpc.status import parse


class SharedMemoryService:
    """Status, Register and Unregister of SystemSharedMemory and CudaSharedMemory."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    def methods(self) -> list[Method]:
        """Every method of this part of the service."""
        return simple_methods(
            {
                "SystemSharedMemoryStatus": self._status,
                "SystemSharedMemoryRegister": self._register,
                "SystemSharedMemoryUnregister": self._unregister,
                "CudaSharedMemoryStatus": _no_cuda_regions,
                "CudaSharedMemoryRegister": _refuse_cuda,
                "CudaSharedMemoryUnregister": _forget_cuda,
            }
        )

    def _status(self, payload: bytes) -> Message:
        request = parse(oip.SystemSharedMemoryStatusRequest, payload)
        response = oip.SystemSharedMemoryStatusResponse()
        for region in self._regions.all(request.name):
            status = response.regions[region.name]
            status.name, status.key, status.offset, status.byte_size = (
                region.name,
                region.key,
                region.offset,
                region.size,
            )
        return response

    def _register(self, payload: bytes) -> Message:
        request = parse(oip.SystemSharedMemoryRegisterRequest, payload)
        self._regions.register(request.name, request.key, request.offset, request.byte_size)
        return oip.SystemSharedMemoryRegisterResponse()

    def _unregister(self, payload: bytes) -> Message:
        request = parse(oip.SystemSharedMemoryUnregisterRequest, payload)
        self._regions.unregister(request.name)
        return oip.SystemSharedMemoryUnregisterResponse()


# Nothing of CUDA's is ever registered, so the answers of these two are true; clients call them before they begin.


def _no_cuda_regions(payload: bytes) -> Message:
    request = parse(oip.CudaSharedMemoryStatusRequest, payload)
    if request.name:
        raise RegionNotFound(f"Unable to find cuda shared memory region: '{request.name}'; there are none")
    return oip.CudaSharedMemoryStatusResponse()


def _forget_cuda(payload: bytes) -> Message:
    parse(oip.CudaSharedMemoryUnregisterRequest, payload)
    return oip.CudaSharedMemoryUnregisterResponse()


def _refuse_cuda(payload: bytes) -> Message:
    parse(oip.CudaSharedMemoryRegisterRequest, payload)
    raise Unsupported(
        "CUDA shared memory is not supported: use system shared memory, or send the tensors in the request"
    )
