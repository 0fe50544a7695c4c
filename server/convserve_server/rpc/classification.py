"""The answer to one Classify request: logits to the best classes of each image, in the order of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convserve_proto import vision_pb2

from convserve_server.calls import Call
from convserve_server.engine.model import Answer, Description
from convserve_server.errors import InferenceFailed, ServerError
from convserve_server.rpc.ranking import Ranking, rank
from convserve_server.rpc.status import fail, status_of


@dataclass(frozen=True)
class Classification:
    """One request whose images are decoded: what is needed to answer it once the model has run."""

    call: Call
    description: Description
    images: int
    """How many images were sent."""
    errors: dict[int, ServerError]
    """By index, why an image could not be read. Every other image has a row, in order."""
    top_k: int

    def reply(self, answer: Answer | ServerError | None) -> None:
        """Answer the call, whatever the model answered; None where no image could be read and it was not asked."""
        if isinstance(answer, ServerError):
            fail(self.call, answer)
            return
        try:
            payload = self._response(answer).SerializeToString()
        except Exception as error:
            fail(self.call, error)
        else:
            self.call.reply(payload)

    def _response(self, answer: Answer | None) -> vision_pb2.ClassifyResponse:
        response = vision_pb2.ClassifyResponse(
            model_name=self.description.name,
            model_version=str(self.description.version),
            precision=self.description.precision,
        )
        ranking = None
        if answer is not None:
            ranking = rank(answer.outputs[0], self.top_k)
            response.queue_seconds = answer.queue_seconds
            response.inference_seconds = answer.inference_seconds
        row = 0
        for index in range(self.images):
            result = response.results.add()
            error = self.errors.get(index)
            if error is None and ranking is not None:
                error = _add_classes(result, ranking, row, index, self.description.labels)
                row += 1
            if error is not None:
                code, sentence = status_of(error)
                result.error.code = code
                result.error.message = sentence
        return response


def _add_classes(
    result: vision_pb2.ImageResult, ranking: Ranking, row: int, image: int, labels: Sequence[str]
) -> ServerError | None:
    """Put a row's best classes into its image's result, or say why there are none."""
    if not ranking.finite[row]:
        return InferenceFailed(f"image {image} has no classes: the model answered with numbers that are not finite")
    for index, probability in zip(ranking.indices[row], ranking.probabilities[row], strict=True):
        # A class without a name is called by its number.
        label = labels[index] if index < len(labels) else str(index)
        result.classifications.add(label=label, index=index, probability=probability)
    return None
