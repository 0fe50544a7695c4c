"""The convserve command: its options, its exit codes, and errors as sentences.

What a command does is in commands/, loaded when it is asked for, so that `convserve health` starts fast.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from convserve_client import defaults
from convserve_client.bench.options import add_options as add_bench_options
from convserve_client.commands import BadUsage
from convserve_client.errors import CallError, ConvserveError, InputError

_EXIT_CODES = """\
exit codes: 0 done; 1 the call failed, some images failed, or not ready; 2 bad usage or bad input file
environment: CONVSERVE_SERVER is the default of --server; CONVSERVE_TOKEN is a bearer token to send
"""
_TIMEOUT_HELP = f"for each call, retries included (default: {defaults.TIMEOUT:g}; for health 5)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name that the terminal cannot show must not end the program
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parser().parse_args(argv)
    except SystemExit as end:  # --help, or bad usage that argparse has told about
        return end.code if isinstance(end.code, int) else 2
    # gRPC would write log lines of its own between ours; what it has to say is in its statuses.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    run: Callable[[argparse.Namespace], int] = importlib.import_module(f"convserve_client.commands.{args.command}").run
    try:
        code = run(args)
        sys.stdout.flush()
        return code
    except (BadUsage, ConvserveError, OSError, KeyboardInterrupt) as error:
        return _failed(error, args)


def _failed(error: BaseException, args: argparse.Namespace) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        # Whoever read the output has gone. What is still buffered goes nowhere, quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    from convserve_client.commands.output import as_sentence, print_json

    sentence = as_sentence(error)
    print(f"convserve: {sentence}", file=sys.stderr)
    if args.json:
        own_code = "INVALID_ARGUMENT" if isinstance(error, BadUsage | InputError) else "UNKNOWN"
        code = error.code if isinstance(error, CallError) else own_code
        print_json({"error": {"code": code, "message": sentence, "server": args.server}})
    return 2 if isinstance(error, BadUsage | InputError) else 1


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read more, instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Version(argparse.Action):
    """Reads the version only when asked: importlib.metadata takes longer than a health check's own code."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from importlib import metadata

        parser.exit(0, f"convserve {metadata.version('convserve')}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="convserve",
        description="Call a convserve server: classify pictures, run kernels and models, ask how it is.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _common_options()

    def add(name: str, sentence: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=sentence,
            description=sentence,
            parents=[common],
            epilog=_EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    _add_classify(add("classify", "Say what pictures show."))
    _add_convolve(add("convolve", "Slide a kernel over an image."))
    _add_infer(add("infer", "Run a model on arrays."))
    add("models", "List the models that are served.")
    add_bench_options(add("bench", "Load a model's server and measure throughput and latencies."))
    health = add("health", "Ask whether the server, or one of its models, is ready: exit code 0 if so, 1 if not.")
    health.add_argument("--model", metavar="NAME", help="ask for this model alone")
    return parser


def _common_options() -> _Parser:
    parser = _Parser(add_help=False)
    group = parser.add_argument_group("server")
    server = os.environ.get("CONVSERVE_SERVER") or defaults.TARGET
    group.add_argument("--server", metavar="HOST:PORT", default=server, help="where it listens (default: %(default)s)")
    group.add_argument("--timeout", metavar="SECONDS", type=float, help=_TIMEOUT_HELP)
    group.add_argument(
        "--max-message-mib",
        metavar="N",
        type=int,
        default=defaults.MAX_MESSAGE_BYTES // 2**20,
        help="largest request or reply (default: %(default)s)",
    )
    group.add_argument("--tls", action="store_true", help="protect the connection; implied by the options below")
    group.add_argument(
        "--ca-file", metavar="FILE", type=Path, help="PEM certificates that may have signed the server's"
    )
    group.add_argument("--cert-file", metavar="FILE", type=Path, help="this client's own certificate, PEM")
    group.add_argument("--key-file", metavar="FILE", type=Path, help="its private key, PEM")
    group.add_argument("--tls-server-name", metavar="NAME", help="the name in the server's certificate, if not HOST")
    group.add_argument("--token-file", metavar="FILE", type=Path, help="a file with a bearer token to send")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def _add_classify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="IMAGE|DIR", nargs="+", type=Path, help="picture files, or folders of them")
    parser.add_argument("--top-k", metavar="K", type=int, default=5, help="classes to name (default: %(default)s)")
    parser.add_argument("--model", metavar="NAME", default="", help="needed where more than one classifier is served")


def _add_convolve(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("image", metavar="IMAGE", nargs="?", type=Path, help="a picture file")
    source.add_argument("--matrix", metavar="FILE|demo", help="numbers (.npy or text); demo is 5 x 5, from 1 to 25")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="a .png to look at, or .npy for the numbers")
    kernel = parser.add_mutually_exclusive_group()
    kernel.add_argument(
        "--kernel",
        metavar="NAME|[[...]]",
        default="sobel_x",
        help="sobel_x, sobel_y, scharr_x, scharr_y, prewitt_x, prewitt_y, laplacian, sharpen, box_blur, gaussian_blur, "
        "identity, or rows such as [[1,0,-1],[2,0,-2],[1,0,-1]] (default: %(default)s)",
    )
    kernel.add_argument("--kernel-file", metavar="FILE", type=Path, help="the kernel's numbers, .npy or text")
    parser.add_argument(
        "--operation",
        metavar="NAME",
        default="cross-correlation",
        help="cross-correlation, or convolution, which flips the kernel (default: %(default)s)",
    )
    parser.add_argument("--padding", metavar="NAME", default="valid", help="valid or same (default: %(default)s)")
    parser.add_argument("--stride", metavar="N", type=int, default=1, help="take every N-th position (default: 1)")
    parser.add_argument(
        "--color", metavar="NAME", default="luminance", help="luminance or per-channel (default: %(default)s)"
    )
    parser.add_argument("--gradient", action="store_true", help="magnitude and direction of the gradient too")


def _add_infer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="the model's name")
    parser.add_argument("--version", default="", help="of the model (default: the newest that is ready)")
    parser.add_argument(
        "--input",
        metavar="[NAME=]FILE",
        dest="inputs",
        action="append",
        required=True,
        help="a .npy file for an input; NAME may be left out where the model has one input",
    )
    parser.add_argument("--output", metavar="NAME", dest="outputs", action="append", help="ask for this output alone")
    parser.add_argument(
        "-o",
        metavar="[NAME=]FILE",
        dest="files",
        action="append",
        default=[],
        help="a .npy file to write an output to; NAME may be left out where there is one output",
    )
