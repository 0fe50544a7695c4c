"""The two services over models that compute with numpy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from convserve_proto import vision_pb2 as vision
from convserve_server.calls import Code, Handler
from convserve_server.rpc.convolution import Convolution
from convserve_server.rpc.image_classifier import ImageClassifier
from unit.vision.fakes import FakeCall, FakeModel, FakeModels, answered, classifier_model, refused, sliding_model


@pytest.fixture
def convolve_model() -> FakeModel:
    return sliding_model()


@pytest.fixture
def color_model() -> FakeModel:
    return classifier_model()


@pytest.fixture
def convolve_handler(convolve_model: FakeModel) -> Handler:
    return Convolution(FakeModels(convolve_model)).methods()[0].handler


@pytest.fixture
def classify_handler(color_model: FakeModel) -> Handler:
    return ImageClassifier(FakeModels(color_model)).methods()[0].handler


@pytest.fixture
def convolve(convolve_handler: Handler) -> Callable[[vision.ConvolveRequest], vision.ConvolveResponse]:
    """Sends a request that is answered."""

    def send(request: vision.ConvolveRequest) -> vision.ConvolveResponse:
        call = FakeCall()
        convolve_handler(request.SerializeToString(), call)
        return vision.ConvolveResponse.FromString(answered(call))

    return send


@pytest.fixture
def convolve_refused(convolve_handler: Handler) -> Callable[..., str]:
    """Sends a request that is refused, and gives the sentence."""

    def send(request: vision.ConvolveRequest, code: Code = Code.INVALID_ARGUMENT) -> str:
        call = FakeCall()
        convolve_handler(request.SerializeToString(), call)
        return refused(call, code)

    return send


@pytest.fixture
def classify(classify_handler: Handler) -> Callable[[vision.ClassifyRequest], vision.ClassifyResponse]:
    """Sends a request that is answered."""

    def send(request: vision.ClassifyRequest) -> vision.ClassifyResponse:
        call = FakeCall()
        classify_handler(request.SerializeToString(), call)
        return vision.ClassifyResponse.FromString(answered(call))

    return send


@pytest.fixture
def classify_refused(classify_handler: Handler) -> Callable[..., str]:
    """Sends a request that is refused, and gives the sentence."""

    def send(request: vision.ClassifyRequest, code: Code = Code.INVALID_ARGUMENT) -> str:
        call = FakeCall()
        classify_handler(request.SerializeToString(), call)
        return refused(call, code)

    return send
