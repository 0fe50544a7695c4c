"""Mixed load with reloads and faults: every call gets its own answer, once, and memory, threads and descriptors stay.

python -m benchmarks.soak --minutes 60 --repository artifacts
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from convserve_proto import vision_pb2

from benchmarks import affine_model
from benchmarks.contenders import convserve
from benchmarks.servers import Question, Server, ServerFailed, running
from benchmarks.soak.bad_calls import MAX_MESSAGE_BYTES
from benchmarks.soak.picture import svg
from benchmarks.soak.pictures import CLASSIFY, classify_request, images
from benchmarks.soak.report import broken_rules, document, text
from benchmarks.soak.run import Shape, soak

_MODELS = ("simple_cnn", "convolve")


def main() -> int:
    """Run, print a summary, and give 1 where a rule was broken."""
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    shape = Shape(args.minutes * 60, args.clients, args.threads)
    with tempfile.TemporaryDirectory() as folder:
        repository, log = Path(folder, "models"), args.log or Path(folder, "server.log")
        for name in _MODELS:
            shutil.copytree(args.repository / name, repository / name)
        affine_model.publish(repository)
        try:
            with running(_server(args, repository), _question(), log) as server:
                outcome = soak(server, f"http://{_local(server.spare)}", repository, shape)
            rules = broken_rules(outcome, log)
        except ServerFailed as error:
            print(f"violation: {error}")
            return 1
    print(text(outcome, rules))
    told = document(outcome, rules, shape, args.transport)
    if args.json is not None:
        args.json.write_text(json.dumps(told, indent=2) + "\n")
    if args.svg is not None:
        args.svg.write_text(svg(told))
    return 1 if rules else 0


def _server(args: argparse.Namespace, repository: Path) -> Server:
    options = ["--repository-mode", "explicit", "--load-model", "*", "--max-message-bytes", str(MAX_MESSAGE_BYTES)]
    server = convserve(args.transport, repository, [*options, *args.server_option])
    return replace(server, command=lambda listen, spare: [*server.command(listen, spare), "--metrics", _local(spare)])


def _question() -> Question:
    """The idle server classifies."""
    request = classify_request(images(1))
    return Question(CLASSIFY, request, lambda reply: bool(vision_pb2.ClassifyResponse.FromString(reply).results))


def _local(port: int) -> str:
    return f"127.0.0.1:{port}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--repository", type=Path, default=Path("artifacts"), help="with simple_cnn and convolve")
    parser.add_argument("--transport", choices=("auto", "fast", "standard"), default="fast")
    parser.add_argument(
        "--clients", type=int, default=2, help="client processes, beside one that is killed again and again"
    )
    parser.add_argument("--threads", type=int, default=6, help="of each client process that make unary calls")
    parser.add_argument("--server-option", action="append", default=[], metavar="OPTION", help="for convserve")
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep what the server writes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw memory, threads and descriptors over time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
