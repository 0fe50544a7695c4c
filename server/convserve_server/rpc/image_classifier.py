"""convserve.v1.ImageClassifier: pictures in, labels and probabilities out.

An image that cannot be read fails alone: its result carries an error that names it by its place in the request,
counted from 0, and the others are classified. The call itself fails only where nothing could be answered: a message
that is none, no images, a model that is not there, a full queue.
"""

from __future__ import annotations

import time
from typing import Protocol

from convserve_proto import vision_pb2

from convserve_server.calls import Call, Method
from convserve_server.engine.model import Model, Models, Preprocessing
from convserve_server.errors import Cancelled, DeadlineExceeded, InvalidRequest, ModelNotFound, ServerError, TooLarge
from convserve_server.rpc.classification import Classification
from convserve_server.rpc.image_files import ignore_pillow_warnings
from convserve_server.rpc.images import ImageLimits, PixelBudget, Pixels, decode
from convserve_server.rpc.noting import asked, noted
from convserve_server.rpc.preprocessing import Normalizer, Rows, normalizer
from convserve_server.rpc.status import guarded, parse

TASK = "image_classification"
DEFAULT_TOP_K = 5


class ModelsByTask(Models, Protocol):
    """Models that can also be listed by what they are for."""

    def with_task(self, task: str) -> list[str]:
        """Names of the served models with that task, sorted."""


class ImageClassifier:
    """Answers Classify with the models that classify images."""

    def __init__(self, models: ModelsByTask, limits: ImageLimits | None = None) -> None:
        ignore_pillow_warnings()
        self._models = models
        self._limits = limits or ImageLimits()

    def methods(self) -> list[Method]:
        """Every method of the service."""
        return [Method("/convserve.v1.ImageClassifier/Classify", guarded(self._classify), hot=True)]

    def _classify(self, payload: bytes, call: Call) -> None:
        request = parse(vision_pb2.ClassifyRequest, payload)
        asked(call, request.model_name, request.model_version)
        top_k = self._check(request)
        model = self._models.find(request.model_name or self._only_classifier(), request.model_version)
        normalize = normalizer(_preprocessing(model))
        errors: dict[int, ServerError] = {}
        rows = self._rows(request, normalize, call, errors, in_graph=model.description.pixels is not None)
        classification = Classification(call, model.description, len(request.images), errors, top_k)
        if len(rows) == 0:
            classification.reply(None)
            return
        runs = model.submit((rows,), call, noted(call, model, len(rows), classification.reply))
        call.lead(model.lead, runs)

    def _check(self, request: vision_pb2.ClassifyRequest) -> int:
        """How many labels are wanted; raises for what can be told to be wrong before any image is read."""
        images, most = len(request.images), self._limits.max_images
        if not images:
            raise InvalidRequest("there are no images in the request: send at least one")
        if images > most:
            raise TooLarge(f"there are {images:,} images in the request: send at most {most:,} at a time")
        if not request.HasField("top_k"):
            return DEFAULT_TOP_K
        if request.top_k == 0:
            raise InvalidRequest(f"top_k is 0: ask for at least 1 label, or leave it out to get {DEFAULT_TOP_K}")
        return request.top_k

    def _only_classifier(self) -> str:
        names = self._models.with_task(TASK)
        if len(names) == 1:
            return names[0]
        if not names:
            raise ModelNotFound("no image classifier is served")
        raise InvalidRequest(f"several image classifiers are served: set model_name to one of {', '.join(names)}")

    def _rows(
        self,
        request: vision_pb2.ClassifyRequest,
        normalize: Normalizer,
        call: Call,
        errors: dict[int, ServerError],
        *,
        in_graph: bool,
    ) -> Rows | Pixels:
        """The rows of the images that can be read, in order; why the others cannot goes into ``errors``, by index.

        Pixels as they are where the model's preprocessing is ``in_graph``.
        """
        budget = PixelBudget(self._limits)
        pixels = normalize.empty(len(request.images))
        row = 0
        for index, image in enumerate(request.images):
            if index:
                _check_awaited(call)
            try:
                pixels[row] = decode(image, f"image {index}", budget, normalize.size)
            except ServerError as error:
                # As it was raised it holds on to this frame and all that belongs to the call, in a cycle.
                errors[index] = type(error)(*error.args)
            else:
                row += 1
        return pixels[:row] if in_graph else normalize.rows(pixels[:row])


def _preprocessing(model: Model) -> Preprocessing:
    description = model.description
    if description.task != TASK or description.preprocessing is None:
        raise InvalidRequest(f"model '{description.name}' does not classify images: name one that does")
    return description.preprocessing


def _check_awaited(call: Call) -> None:
    """Raise when nobody waits any more, so that the rest of a long request is not decoded for nothing."""
    if call.abandoned():
        raise Cancelled("the caller is gone")
    if time.monotonic() >= call.deadline:
        raise DeadlineExceeded("the deadline passed while the images were decoded: send fewer at a time, or allow more")
