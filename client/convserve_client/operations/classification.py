"""Pictures in, classes out: any number of images, in calls that fit the limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc
import numpy as np
from convserve_proto import vision_pb2

from convserve_client.errors import InputError, ReplyError
from convserve_client.images import image_message, image_name
from convserve_client.link import Link
from convserve_client.results import Classification, ClassifyResult, ImageError
from convserve_client.steps import Steps, Together

if TYPE_CHECKING:
    from convserve_client.images import ImageSource

METHOD = "/convserve.v1.ImageClassifier/Classify"

IMAGES_PER_CALL = 32
BYTES_PER_CALL = 4 * 1024 * 1024
"""A call takes images until it has this many bytes; a larger image goes alone. Small calls keep memory and the wait
for the first result small, and 32 images are enough to make a call's own cost vanish."""

_FRAMING = 64
"""More than the bytes that a message adds around one image."""

_CODE_NAMES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}


def classify(
    link: Link,
    images: ImageSource | Iterable[ImageSource],
    *,
    top_k: int = 5,
    model: str = "",
    version: str = "",
    calls_in_flight: int = 4,
    progress: Callable[[int], None] | None = None,
    timeout: float | None = None,
) -> Steps[list[ClassifyResult]]:
    """Classify pictures: one result an image, in order.

    An image is a path, the bytes of a picture file, a PIL image or a uint8 array, [height, width, 3]; a list may be
    any iterable and is read as the calls go out, ``calls_in_flight`` at a time. An image that cannot be read, here or
    by the server, fails alone: its result carries the error. ``top_k`` is how many classes to answer with, best
    first. ``model`` empty means the only image classifier that is served. ``progress`` is called with the number of
    images done so far. ``timeout`` is for each call.

    Raises InputError for what is no image, and a CallError when a call fails.
    """
    if top_k < 1:
        raise InputError(f"top_k is {top_k}, but at least 1 class is needed")
    if calls_in_flight < 1:
        raise InputError(f"calls_in_flight is {calls_in_flight}, but at least 1 is needed")
    sources = cast("Iterable[ImageSource]", [images] if _is_one(images) else images)
    finished = 0

    def count(results: list[ClassifyResult]) -> None:
        nonlocal finished
        finished += len(results)
        if progress is not None:
            progress(finished)

    request = vision_pb2.ClassifyRequest(model_name=model, model_version=version, top_k=top_k)
    chunks = _chunks(sources, link.max_message_bytes)
    calls = (_classify_chunk(link, request, chunk, timeout) for chunk in chunks)
    answers: list[list[ClassifyResult]] = yield Together(calls, calls_in_flight, count)
    return [result for results in answers for result in results]


def _is_one(images: object) -> bool:
    if isinstance(images, np.ndarray):
        return images.ndim < 4  # [images, height, width, channels] is a list of images
    return isinstance(images, str | Path | bytes | bytearray | memoryview) or hasattr(images, "getexif")


@dataclass(frozen=True)
class _Item:
    """One image on its way: a message to send, or why there is none."""

    name: str
    message: vision_pb2.Image | None = None
    error: ImageError | None = None

    @property
    def size(self) -> int:
        return 0 if self.message is None else self.message.ByteSize() + _FRAMING


def _chunks(sources: Iterable[ImageSource], limit: int) -> Iterator[list[_Item]]:
    """The images in groups that fit one call each, read only when the group is due."""
    chunk: list[_Item] = []
    size = 0
    for position, source in enumerate(sources, start=1):
        item = _item(source, position, limit)
        if chunk and (len(chunk) == IMAGES_PER_CALL or size + item.size > min(BYTES_PER_CALL, limit)):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size
    if chunk:
        yield chunk


def _item(source: ImageSource, position: int, limit: int) -> _Item:
    name = image_name(source, position)
    try:
        if isinstance(source, str | Path) and (size := Path(source).stat().st_size) > limit:
            return _Item(name, error=_too_large(size, limit))
        item = _Item(name, image_message(source))
    except OSError as error:
        return _Item(name, error=_unreadable(error))
    if item.size + _FRAMING > limit:
        return _Item(name, error=_too_large(item.size, limit))
    return item


def _unreadable(error: OSError) -> ImageError:
    message = f"the image cannot be read: {error.strerror or error}"
    if isinstance(error, FileNotFoundError):
        return ImageError("NOT_FOUND", message)
    if isinstance(error, PermissionError):
        return ImageError("PERMISSION_DENIED", message)
    return ImageError("INVALID_ARGUMENT", message)


def _too_large(size: int, limit: int) -> ImageError:
    return ImageError(
        "RESOURCE_EXHAUSTED",
        f"the image has {size:,} bytes, but a message of this client holds at most {limit:,}; send it smaller, or give "
        "the client a larger max_message_bytes",
    )


def _classify_chunk(
    link: Link, settings: vision_pb2.ClassifyRequest, chunk: list[_Item], timeout: float | None
) -> Steps[list[ClassifyResult]]:
    to_send = [item for item in chunk if item.message is not None]
    answered = iter((yield from _classify_messages(link, settings, to_send, timeout)))
    return [
        next(answered) if item.message is not None else ClassifyResult(item.name, error=item.error) for item in chunk
    ]


def _classify_messages(
    link: Link, settings: vision_pb2.ClassifyRequest, items: list[_Item], timeout: float | None
) -> Steps[list[ClassifyResult]]:
    """One call for these images, and one more for each that only its neighbours took over a limit of the server."""
    if not items:
        return []
    request = vision_pb2.ClassifyRequest()
    request.CopyFrom(settings)
    request.images.extend(item.message for item in items if item.message is not None)
    names = [item.name for item in items]
    results = yield from link.call(METHOD, request.SerializeToString(), lambda reply: _results(reply, names), timeout)
    if len(items) > 1:
        for index, result in enumerate(results):
            if result.error is not None and result.error.code == "RESOURCE_EXHAUSTED":
                (results[index],) = yield from _classify_messages(link, settings, [items[index]], timeout)
    return results


def _results(payload: bytes, names: list[str]) -> list[ClassifyResult]:
    response = vision_pb2.ClassifyResponse.FromString(payload)
    if len(response.results) != len(names):
        raise ReplyError(f"the reply has results for {len(response.results)} images, but {len(names)} were sent")
    return [
        ClassifyResult(
            name=name,
            classifications=tuple(
                Classification(entry.label, entry.index, entry.probability) for entry in result.classifications
            ),
            error=_image_error(result.error, index) if result.HasField("error") else None,
            model_name=response.model_name,
            model_version=response.model_version,
            queue_seconds=response.queue_seconds,
            inference_seconds=response.inference_seconds,
        )
        for index, (name, result) in enumerate(zip(names, response.results, strict=True))
    ]


def _image_error(error: vision_pb2.ImageError, index: int) -> ImageError:
    # The server counts images in its request, which is not how the caller counts them: the result has the name.
    message = re.sub(rf"^image {index}\b", "the image", error.message)
    return ImageError(_CODE_NAMES.get(error.code, "UNKNOWN"), message)
