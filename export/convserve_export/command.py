"""What the command does, once its options are known to be right: from options to candidates to published artifacts."""

from __future__ import annotations

import argparse

from convserve_export import convolution, forms
from convserve_export.baseline import Baseline
from convserve_export.candidate import Candidate
from convserve_export.checkpoint import load_checkpoint
from convserve_export.classifier import classifier
from convserve_export.errors import BadInput
from convserve_export.evaluation import MOST_CALIBRATION, Material, material
from convserve_export.exporting import Order, Outcome, export
from convserve_export.own_network import own_network
from convserve_export.parameters import layers
from convserve_export.pictures import load_labelled, load_pictures, shipped_pictures
from convserve_export.report import Report
from convserve_export.repository import Repository
from convserve_export.threads import one_thread

MOST_PICTURES = 64


def run(options: argparse.Namespace, report: Report) -> list[Outcome]:
    """Do what ``convserve-export`` was asked to; raises BadInput and VerificationFailed."""
    with one_thread():
        return _run(options, report)


def _run(options: argparse.Namespace, report: Report) -> list[Outcome]:
    if options.model_name == convolution.NAME and not options.no_convolve:
        raise BadInput(
            f"--model-name {convolution.NAME} is the name of the demo; choose another, or leave it out by --no-convolve"
        )
    repository = Repository(options.out)
    repository.require_name(options.model_name)
    if not options.skip_if_present:
        repository.require_free(options.model_name, options.model_version)
    repository.require_writable()
    network, source = own_network(options) if options.factory else _simple_cnn(options)
    report.say(f"{network.name}: {source}\n\n{network.module}\n\n{parameter_table(network)}\n")
    report.say(f"labels: {', '.join(network.labels[:12])}{' ...' if len(network.labels) > 12 else ''}")
    report.say(f"test forward pass: {forward_pass(network)}")
    orders = [
        Order(
            candidate=network,
            version=options.model_version,
            expect_parameters=options.expect_parameters,
            material=_material(options, network),
            precisions=options.precisions,
            baseline=Baseline(options.baseline) if options.baseline else None,
            same_answers=options.same_answers,
            skip_if_present=options.skip_if_present,
        )
    ]
    if not options.no_convolve:
        # The demo has no weights: a new version of it is worth publishing only where its code has changed.
        orders.append(Order(candidate=convolution.convolution(), skip_if_present=True))
    return export(orders, repository, report)


def _simple_cnn(options: argparse.Namespace) -> tuple[Candidate, str]:
    if options.input_shape:
        raise BadInput("--input-shape describes a network of your own: give --factory MODULE:FUNCTION with it")
    checkpoint = load_checkpoint(
        source=options.checkpoint, labels=options.labels, num_classes=options.num_classes, seed=options.seed
    )
    pictures = load_pictures(options.pictures, MOST_PICTURES) if options.pictures else shipped_pictures()
    network = classifier(
        name=options.model_name, network=checkpoint.network, labels=checkpoint.labels, pictures=pictures
    )
    return network, checkpoint.source


def _material(options: argparse.Namespace, network: Candidate) -> Material | None:
    """Raises BadInput where the pictures do not fit the network, or are given for nothing."""
    if options.evaluate is None:
        if options.calibration is not None:
            raise BadInput("--calibration is for int8, which is published only if it is judged: give --evaluate, too")
        return None
    about = network.preprocessing
    if about is None:
        raise BadInput("--evaluate judges image classifiers: give --labels with --factory, one class name a line")
    size = (about.height, about.width)
    calibration = load_pictures(options.calibration, MOST_CALIBRATION, size) if options.calibration else None
    return material(load_labelled(options.evaluate, size), calibration, network.labels)


def parameter_table(candidate: Candidate) -> str:
    """Parameters by layer, then total and trainable, as lines of a table."""
    found = layers(candidate.module)
    total, trainable = sum(la.count for la in found), sum(la.trainable for la in found)
    rows = [("layer", "kind", "parameters"), *((la.name, la.kind, f"{la.count:,}") for la in found)]
    rows += [("total", "", f"{total:,}"), ("trainable", "", f"{trainable:,}")]
    lines = [f"{name:<12}{kind:<12}{count:>12}" for name, kind, count in rows]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-2], rule, *lines[-2:]])


def forward_pass(candidate: Candidate) -> str:
    """Run the example and say what shapes went in and came out."""
    inputs = {s.name: t.numpy() for s, t in zip(candidate.inputs, candidate.example, strict=True)}
    outputs = forms.eager(candidate).run(inputs)
    return " -> ".join(", ".join(f"{n} {list(a.shape)}" for n, a in side.items()) for side in (inputs, outputs))
