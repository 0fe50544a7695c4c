"""ImageClassifier.Classify: each image gets its classes or its error, in the order of the request."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convserve_proto import vision_pb2 as vision
from convserve_server.calls import Code, Handler
from convserve_server.errors import QueueFull
from convserve_server.rpc.image_classifier import ImageClassifier
from convserve_server.rpc.images import ImageLimits
from PIL import Image
from unit.vision.fakes import FakeCall, FakeModel, FakeModels, classifier_model, sliding_model

Classify = Callable[[vision.ClassifyRequest], vision.ClassifyResponse]
Refused = Callable[..., str]

BAD = vision.Image(encoded=b"no picture")


def filled(color: tuple[int, int, int], width: int = 4, height: int = 2) -> vision.Image:
    """One colour, of the size of the model's input by default."""
    return vision.Image(
        pixels=vision.Pixels(height=height, width=width, channels=3, data=bytes(color) * (width * height))
    )


def png(color: tuple[int, int, int], width: int, height: int) -> vision.Image:
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, "PNG")
    return vision.Image(encoded=file.getvalue())


RED, GREEN, BLUE = filled((255, 0, 0)), filled((0, 255, 0)), filled((0, 0, 255))


def send(handler: Handler, request: vision.ClassifyRequest, call: FakeCall | None = None) -> FakeCall:
    call = call or FakeCall()
    handler(request.SerializeToString(), call)
    return call


def test_an_image_gets_labels_indices_and_the_softmax_of_the_models_logits(classify: Classify) -> None:
    response = classify(vision.ClassifyRequest(images=[filled((255, 0, 51))]))
    # (x / 255 - mean) / std by channel, as the model states it.
    logits = np.array([(1 - 0.5) / 0.5, (0 - 0.25) / 0.25, (0.2 - 0) / 2])
    shares = np.exp(logits) / np.exp(logits).sum()
    classes = response.results[0].classifications
    assert [(c.label, c.index) for c in classes] == [("red", 0), ("blue", 2), ("green", 1)]
    np.testing.assert_allclose([c.probability for c in classes], shares[[0, 2, 1]], rtol=1e-6)
    assert math.fsum(c.probability for c in classes) == pytest.approx(1, abs=1e-12)
    assert (response.model_name, response.model_version) == ("colors", "3")
    assert (response.queue_seconds, response.inference_seconds) == (0.25, 0.5)
    assert not response.results[0].HasField("error")


def test_a_file_of_another_size_is_resized_and_gets_the_same_answer_as_raw_pixels(classify: Classify) -> None:
    response = classify(vision.ClassifyRequest(images=[filled((9, 200, 30)), png((9, 200, 30), 300, 7)]))
    assert response.results[0] == response.results[1]


def test_the_model_gets_channels_first_with_every_pixel_in_its_place(
    classify: Classify, color_model: FakeModel
) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = vision.Image(pixels=vision.Pixels(height=2, width=4, channels=3, data=pixels.tobytes()))
    classify(vision.ClassifyRequest(images=[image]))
    [(rows,)] = color_model.submitted
    expected = (pixels / 255 - [0.5, 0.25, 0]) / [0.5, 0.25, 2]
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected.transpose(2, 0, 1)[np.newaxis], atol=1e-6)


@pytest.mark.parametrize(("top_k", "expected"), [(None, 5), (1, 1), (3, 3), (7, 7), (8, 7), (2**32 - 1, 7)], ids=str)
def test_top_k_is_5_unless_it_is_set_and_more_than_there_are_means_all(top_k: int | None, expected: int) -> None:
    model = classifier_model()
    model.compute = lambda rows: np.tile(np.arange(7, dtype=np.float32), (len(rows), 1))
    call = send(
        ImageClassifier(FakeModels(model)).methods()[0].handler, vision.ClassifyRequest(images=[RED], top_k=top_k)
    )
    [result] = vision.ClassifyResponse.FromString(call.payloads[0]).results
    assert [c.index for c in result.classifications] == [6, 5, 4, 3, 2, 1, 0][:expected]
    # The model has three labels: a class without one is called by its number.
    assert [c.label for c in result.classifications] == ["6", "5", "4", "3", "blue", "green", "red"][:expected]


def test_a_bad_image_fails_alone_and_is_named_by_its_place(classify: Classify, color_model: FakeModel) -> None:
    images = [BAD, RED, vision.Image(), GREEN, BLUE, vision.Image(encoded=b"")]
    response = classify(vision.ClassifyRequest(images=images, top_k=1))
    best = [[c.label for c in result.classifications] for result in response.results]
    assert best == [[], ["red"], [], ["green"], ["blue"], []]
    for index in (0, 2, 5):
        error = response.results[index].error
        assert error.code == Code.INVALID_ARGUMENT
        assert error.message.startswith(f"image {index} ")
    assert not any(response.results[index].HasField("error") for index in (1, 3, 4))
    assert color_model.submitted[0][0].shape == (3, 3, 2, 4), "only what can be read costs a run"


def test_when_no_image_can_be_read_the_call_still_succeeds_and_no_model_runs(
    classify: Classify, color_model: FakeModel
) -> None:
    response = classify(vision.ClassifyRequest(images=[BAD, BAD]))
    assert [result.error.code for result in response.results] == [Code.INVALID_ARGUMENT] * 2
    assert (response.model_name, response.queue_seconds, response.inference_seconds) == ("colors", 0, 0)
    assert color_model.submitted == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_an_error_of_their_image_and_never_a_probability(
    classify: Classify, color_model: FakeModel, bad: float
) -> None:
    color_model.compute = lambda rows: np.array([[1, 2, 3], [0, bad, 0], [3, 2, 1]], np.float32)
    response = classify(vision.ClassifyRequest(images=[RED, GREEN, BLUE]))
    assert [len(result.classifications) for result in response.results] == [3, 0, 3]
    assert response.results[1].error.code == Code.INTERNAL
    assert response.results[1].error.message.startswith("image 1 has no classes")


@pytest.mark.parametrize(
    ("request_", "code", "sentence"),
    [
        ({"images": []}, Code.INVALID_ARGUMENT, "there are no images in the request: send at least one"),
        ({"top_k": 0}, Code.INVALID_ARGUMENT, "top_k is 0: ask for at least 1 label"),
        ({"model_name": "cats"}, Code.NOT_FOUND, "there is no model 'cats'"),
        ({"images": [RED] * 1025}, Code.INVALID_ARGUMENT, "there are 1,025 images in the request: send at most 1,024"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_at_all_is_refused(
    classify_refused: Refused, request_: dict[str, Any], code: Code, sentence: str
) -> None:
    assert sentence in classify_refused(vision.ClassifyRequest(**{"images": [RED], **request_}), code)


def test_a_message_that_is_none_is_refused(classify_handler: Handler) -> None:
    call = FakeCall()
    classify_handler(b"\x1a\xff", call)
    [(code, sentence)] = call.failures
    assert code == Code.INVALID_ARGUMENT
    assert "convserve.v1.ClassifyRequest" in sentence


def test_an_empty_model_name_means_the_only_classifier_among_other_models() -> None:
    handler = ImageClassifier(FakeModels(sliding_model(), classifier_model())).methods()[0].handler
    response = vision.ClassifyResponse.FromString(send(handler, vision.ClassifyRequest(images=[RED])).payloads[0])
    assert response.model_name == "colors"


@pytest.mark.parametrize(
    ("models", "code", "sentence"),
    [
        ([], Code.NOT_FOUND, "no image classifier is served"),
        (["b", "a"], Code.INVALID_ARGUMENT, "several image classifiers are served: set model_name to one of a, b"),
    ],
)
def test_an_empty_model_name_that_means_none_or_several_is_refused(
    models: list[str], code: Code, sentence: str
) -> None:
    handler = ImageClassifier(FakeModels(*map(classifier_model, models))).methods()[0].handler
    assert send(handler, vision.ClassifyRequest(images=[RED])).failures == [(code, sentence)]


def test_a_model_that_does_not_classify_images_is_refused() -> None:
    handler = ImageClassifier(FakeModels(sliding_model())).methods()[0].handler
    call = send(handler, vision.ClassifyRequest(model_name="convolve", images=[RED]))
    assert call.failures == [(Code.INVALID_ARGUMENT, "model 'convolve' does not classify images: name one that does")]


def test_images_beyond_the_pixels_of_a_request_fail_and_smaller_ones_after_them_do_not() -> None:
    limits = ImageLimits(max_pixels=100, max_request_pixels=120)
    handler = ImageClassifier(FakeModels(classifier_model()), limits).methods()[0].handler
    images = [png((255, 0, 0), 10, 10), png((0, 0, 9), 10, 10), png((0, 0, 9), 101, 1), filled((0, 255, 0))]
    call = send(handler, vision.ClassifyRequest(images=images, top_k=1))
    results = vision.ClassifyResponse.FromString(call.payloads[0]).results
    assert [bool(r.classifications) for r in results] == [True, False, False, True]
    assert "takes this request over 120 in all: send it in another request" in results[1].error.message
    assert "image 2 has 101 x 1 = 101 pixels; at most 100 are accepted" in results[2].error.message


def test_a_full_queue_fails_the_call(color_model: FakeModel, classify_refused: Refused) -> None:
    color_model.refuse_from, color_model.refusal = 0, QueueFull("the queue is full")
    assert classify_refused(vision.ClassifyRequest(images=[RED]), Code.RESOURCE_EXHAUSTED) == "the queue is full"


def test_a_failure_while_the_answer_is_made_answers_the_call_and_does_not_escape_into_the_batch(
    color_model: FakeModel, classify_refused: Refused
) -> None:
    color_model.compute = lambda rows: np.zeros((0, 3), np.float32)  # a model that loses rows
    sentence = classify_refused(vision.ClassifyRequest(images=[RED]), Code.INTERNAL)
    assert sentence == "internal error; the server's log says more"


@pytest.mark.parametrize(("gone", "code"), [(True, Code.CANCELLED), (False, Code.DEADLINE_EXCEEDED)])
def test_nothing_more_is_decoded_for_a_caller_that_no_longer_waits(
    classify_handler: Handler, color_model: FakeModel, gone: bool, code: Code
) -> None:
    call = FakeCall(deadline=math.inf if gone else time.monotonic() - 1)
    call.gone = gone
    send(classify_handler, vision.ClassifyRequest(images=[RED, GREEN]), call)
    assert [failure[0] for failure in call.failures] == [code]
    assert (call.payloads, color_model.submitted) == ([], [])
