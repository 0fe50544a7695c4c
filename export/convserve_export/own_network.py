"""From the options that describe a network of the user's own to a candidate."""

from __future__ import annotations

import argparse
from pathlib import Path

from convserve_proto import manifest_pb2

from convserve_export.candidate import Candidate
from convserve_export.checkpoint import RANDOM, read_labels, read_state
from convserve_export.errors import BadInput
from convserve_export.factory import InputShape, load_weights, make_module, own_candidate
from convserve_export.pictures import load_pictures, shipped_pictures

MOST_PICTURES = 64


def own_network(options: argparse.Namespace) -> tuple[Candidate, str]:
    """The candidate, and where it comes from in words. Raises BadInput where the options do not fit each other."""
    if not options.input_shape:
        raise BadInput("--factory needs --input-shape, without the batch axis, such as --input-shape 3,32,32")
    if options.num_classes is not None:
        raise BadInput("--num-classes is for SimpleCNN; your own network has what it has")
    module = make_module(options.factory)
    source = options.checkpoint
    if source not in (None, RANDOM):
        weights = read_state(Path(source)).fitting(module.state_dict())
        load_weights(module, weights.tensors, source)
        source = weights.described(source)
    labels = read_labels(options.labels) if options.labels else ()
    shapes = [InputShape(name, dims) for name, dims in options.input_shape]
    about, pictures = None, None
    if labels:
        about = _preprocessing(options, shapes)
        size = (about.height, about.width)
        pictures = load_pictures(options.pictures, MOST_PICTURES, size) if options.pictures else shipped_pictures(size)
    candidate = own_candidate(
        module,
        name=options.model_name,
        shapes=shapes,
        output_names=options.output_names,
        labels=labels,
        preprocessing=about,
        pictures=pictures,
    )
    return candidate, f"{options.factory}, with {source or 'the weights that it made'}"


def _preprocessing(options: argparse.Namespace, shapes: list[InputShape]) -> manifest_pb2.ImagePreprocessing:
    dims = shapes[0].dims
    if len(shapes) != 1 or len(dims) != 3 or not all(isinstance(d, int) for d in dims):
        raise BadInput("--labels makes an image classifier, which takes one --input-shape 3,HEIGHT,WIDTH")
    if not options.scale or not all(options.std):
        raise BadInput("--scale and --std divide: none of their numbers may be 0")
    return manifest_pb2.ImagePreprocessing(
        height=int(dims[1]),
        width=int(dims[2]),
        color_order="RGB",
        layout="NCHW",
        scale=options.scale,
        mean=options.mean,
        std=options.std,
    )
