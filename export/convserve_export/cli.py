"""The command line of the export: ``convserve-export``, also ``python -m convserve_export``.

Exit codes: 0 done; 1 verification failed; 2 bad input; 130 interrupted. All checks of all models come before the first
is published, so after any code but 0 nothing was published (unless the disk fills up between two models).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from convserve_export.errors import BadInput, VerificationFailed
from convserve_export.installation import check_installation
from convserve_export.report import Report

if TYPE_CHECKING:
    from convserve_export.exporting import Outcome

PRECISIONS = ("int8", "fp16")
COMMANDS = ("verify", "sign")
DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; what went wrong is on stderr, one line each."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] and arguments[0] in COMMANDS:
        return _command(arguments[0], arguments[1:])
    report = Report(as_json="--json" in arguments)
    junit: Path | None = None
    outcomes: list[Outcome] = []
    failures: Sequence[str] = ()
    code = DONE
    try:
        options = parser().parse_args(arguments)
        junit = options.junit
        # Importing torch takes seconds: not before the command line is known to be right, and torch to be there.
        check_installation()
        from convserve_export.command import run

        outcomes = run(options, report)
    except VerificationFailed as error:
        code, failures = FAILED, error.failures
    except BadInput as error:
        code, failures = BAD_INPUT, [str(error)]
    except OSError as error:
        code, failures = BAD_INPUT, [f"{error.filename or 'the system'}: {error.strerror or error}"]
    except KeyboardInterrupt:
        code, failures = INTERRUPTED, ["interrupted"]
    if junit is not None:
        code, failures = _junit(junit, report, code, failures)
    report.end(code, outcomes, failures)
    return code


def _junit(path: Path, report: Report, code: int, failures: Sequence[str]) -> tuple[int, Sequence[str]]:
    """Write the checks, whatever came of them."""
    from convserve_export.junit import write_junit

    try:
        write_junit(path, report.checks)
    except BadInput as error:
        return code or BAD_INPUT, [*failures, str(error)]
    return code, failures


def _command(name: str, arguments: list[str]) -> int:
    """A command that needs no torch."""
    try:
        check_installation(modules=("onnx",))
        from convserve_export import sign_command, verify_command

        return {"verify": verify_command.verify, "sign": sign_command.sign}[name](arguments)
    except BadInput as error:
        print(f"convserve-export: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Every option, declared once."""
    new = _Parser(
        prog="convserve-export",
        description="Export a trained network to torch.export, TorchScript and ONNX, prove that all equal it, and "
        "publish them with a manifest as DIR/MODEL/VERSION/.",
        epilog="convserve-export verify DIR checks what is published again; convserve-export sign DIR signs it. "
        "Exit codes: 0 done, 1 verification failed, 2 bad input. An existing version is never overwritten.",
    )
    new.add_argument("--version", action="version", version=f"convserve {metadata.version('convserve')}")
    add = new.add_argument
    add("--out", type=Path, default=Path("artifacts"), metavar="DIR", help="where to publish (default: artifacts)")
    add("--checkpoint", metavar="FILE", help=".safetensors or .pt weights, or 'random' (default: the shipped ones)")
    add(
        "--labels",
        type=Path,
        metavar="FILE",
        help="one class name a line (default: NAME.labels.txt beside the weights)",
    )
    add(
        "--factory",
        metavar="MODULE:FUNCTION",
        help="export your own network: a function without arguments that returns a torch.nn.Module",
    )
    add(
        "--input-shape",
        action="append",
        type=_input_shape,
        metavar="[NAME=]3,32,32",
        help="of --factory, without the batch axis, once for each input; a word instead of a number is a free axis",
    )
    add("--output-names", type=_words, default=(), metavar="A,B", help="of --factory (default: output)")
    add("--scale", type=float, default=255.0, metavar="X", help="of --factory with --labels: pixels are divided by it")
    add("--mean", type=_three, default=(0.0, 0.0, 0.0), metavar="R,G,B", help="then less this")
    add("--std", type=_three, default=(1.0, 1.0, 1.0), metavar="R,G,B", help="then over this")
    add("--num-classes", type=_whole(1, 100_000), metavar="N", help="refuse weights with another number of classes")
    add("--seed", type=_whole(0, 2**63 - 1), default=0, metavar="N", help="for --checkpoint random (default: 0)")
    add("--model-name", default="simple_cnn", metavar="NAME", help="publish under this name (default: simple_cnn)")
    add(
        "--model-version",
        type=_whole(1, 2**31 - 1),
        metavar="N",
        help="publish as this version (default: the next free)",
    )
    add("--expect-parameters", type=_whole(0, 2**32 - 1), metavar="N", help="fail unless the network has so many")
    add(
        "--pictures", type=Path, metavar="PATH", help="folder or .npz of pictures to verify on (default: a few shipped)"
    )
    add(
        "--evaluate",
        type=Path,
        metavar="PATH",
        help="labelled pictures (folder of folders, or .npz) to judge faster variants by; without them there are none",
    )
    add(
        "--calibration",
        type=Path,
        metavar="PATH",
        help="pictures that int8 is calibrated on (default: a tenth of --evaluate, which then judges nothing)",
    )
    add(
        "--precisions",
        type=_precisions,
        default=PRECISIONS,
        metavar="LIST",
        help="what to try with --evaluate (default: int8,fp16)",
    )
    add(
        "--baseline",
        type=Path,
        metavar="DIR",
        help="a published version; fail where accuracy, size or speed got worse (accuracy and speed need --evaluate)",
    )
    add("--same-answers", action="store_true", help="with --baseline: fail on other answers as well")
    add("--no-convolve", action="store_true", help="leave out the convolution demo")
    add("--skip-if-present", action="store_true", help="do nothing where that version is already there")
    add("--junit", type=Path, metavar="FILE", help="write the checks as JUnit XML")
    add("--json", action="store_true", help="print one JSON object instead of text")
    return new


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see --help)")


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _three(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if len(numbers) != 3:
        raise argparse.ArgumentTypeError(f"'{text}' is not three numbers, for red, green and blue")
    return numbers


def _input_shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    """A name, empty where there is none, and the lengths."""
    name, _, shape = text.rpartition("=")
    dims = tuple(int(p) if p.isdecimal() else p for p in _words(shape) if p.isidentifier() or p.isdecimal())
    if len(dims) != len(_words(shape)) or 0 in dims or not (name.isidentifier() or not name):
        raise argparse.ArgumentTypeError(f"'{text}' is not a shape such as 3,32,32 or image=3,height,width")
    return name, dims


def _precisions(text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(","))
    if not set(chosen) <= set(PRECISIONS):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of {', '.join(PRECISIONS)}")
    return chosen


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {low} to {high}")
        return int(text)

    return parse


if __name__ == "__main__":
    sys.exit(main())
