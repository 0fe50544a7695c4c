"""Classify by bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from convserve_proto import vision_pb2 as vision
from convserve_server.rpc.image_classifier import ImageClassifier
from unit.vision.fakes import FakeModels, classifier_model, sliding_model

from fuzz.answers import answer_of, check_refusal, told
from fuzz.pictures import pictures
from fuzz.target import Finding, Target, Try
from fuzz.targets.images import LIMITS


@contextmanager
def _opened() -> Iterator[Try]:
    (method,) = ImageClassifier(FakeModels(classifier_model(), sliding_model()), LIMITS).methods()

    def attempt(data: bytes) -> str:
        answer = answer_of(method, data)
        if not isinstance(answer, bytes):
            return told(answer)
        asked, response = vision.ClassifyRequest.FromString(data), vision.ClassifyResponse.FromString(answer)
        if len(asked.images) != len(response.results):
            raise Finding(f"{len(response.results)} results for {len(asked.images)} images")
        return _results(response)

    yield attempt


def _results(response: vision.ClassifyResponse) -> str:
    from convserve_server.calls import Code

    words = []
    for result in response.results[:3]:
        if result.HasField("error"):
            check_refusal(Code(result.error.code), result.error.message)
        elif not result.classifications:
            raise Finding("a result without classes and without an error")
        words.append(result.error.message or "OK")
    return ", ".join(words)


def _seeds() -> Iterator[bytes]:
    files = list(pictures())
    for number, file in enumerate(files[::3]):
        yield vision.ClassifyRequest(images=[vision.Image(encoded=file)], top_k=number + 1).SerializeToString()
    several = vision.ClassifyRequest(model_name="colors", model_version="3")
    for channels in (1, 3, 4):
        pixels = vision.Pixels(width=4, height=2, channels=channels, data=bytes(range(8 * channels)))
        several.images.add(pixels=pixels)
    several.images.add(encoded=b"no picture")
    yield several.SerializeToString()


TARGET = Target("classify", _opened, _seeds)
