"""The options of `convserve bench`. Imported whenever the command line is parsed, so it imports next to nothing."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is special to bench."""
    parser.add_argument("model", metavar="MODEL", help="the model's name")
    parser.add_argument("--version", default="", help="of the model (default: the newest that is ready)")
    _add_data(parser.add_argument_group("what is sent"))
    _add_load(parser.add_argument_group("how it is sent"))
    output = parser.add_argument_group("what comes out")
    output.add_argument("--self-check", action="store_true", help="count replies of another size than the first's")
    output.add_argument("--plot", metavar="FILE", type=Path, help="a .png with the latencies by percentile")


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--rows", metavar="N", type=positive, default=1, help="images or rows a request (default: 1)")
    group.add_argument(
        "--shape",
        metavar="NAME=N,N",
        dest="shapes",
        action="append",
        type=_shape,
        default=[],
        help="an input's whole shape, such as input=1,3,32,32, where the model leaves axes open (default: 32 each)",
    )
    group.add_argument("--data", choices=("random", "zeros"), default="random", help="numbers (default: %(default)s)")
    group.add_argument(
        "--input", metavar="[NAME=]FILE", dest="inputs", action="append", default=[], help="a .npy file to send instead"
    )


def _add_load(group: argparse._ArgumentGroup) -> None:
    how = group.add_mutually_exclusive_group()
    how.add_argument(
        "--concurrency", metavar="N", type=positive, help="closed loop: calls always in flight (default: 8)"
    )
    how.add_argument(
        "--rate",
        metavar="R",
        type=seconds,
        help="requests a second at fixed times, whatever the server does; latency counts from when one was due",
    )
    group.add_argument("--duration", metavar="SECONDS", type=seconds, default=10.0, help="to measure (default: 10)")
    group.add_argument("--requests", metavar="N", type=positive, help="end after so many, if the duration has not")
    group.add_argument(
        "--warm-up",
        metavar="SECONDS",
        type=seconds_or_none,
        default=1.0,
        help="of load that is not counted (default: 1)",
    )
    group.add_argument("--connections", metavar="N", type=positive, help="to the server (default: 4, or fewer calls)")
    group.add_argument(
        "--processes", metavar="N", type=positive, help="that send (default: half of the CPUs, at most the connections)"
    )


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return number


def seconds(text: str) -> float:
    """A number above 0 and below a million."""
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number


def seconds_or_none(text: str) -> float:
    """A number from 0 on."""
    return 0.0 if float(text) == 0 else seconds(text)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, lengths = text.partition("=")
    try:
        shape = tuple(int(length) for length in lengths.split(","))
        if not name or min(shape) < 0:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' does not have the form NAME=1,3,32,32") from None
    return name, shape
