"""python -m fuzz TARGET...: bad input for as long as you like, by our own mutations or by atheris."""

from __future__ import annotations

import argparse
import os
import sys

from fuzz.targets import NAMES, load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--inputs", type=int, default=10_000, help="for each target (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="other mutations (default %(default)s)")
    parser.add_argument(
        "--engine", choices=("own", "atheris"), default="own", help="atheris follows coverage, and takes one target"
    )
    options = parser.parse_args()
    if unknown := set(options.targets) - set(NAMES):
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    os.nice(10)
    if options.engine == "atheris":
        if len(options.targets) != 1:
            parser.error("atheris takes one target")
        from fuzz.by_atheris import run_atheris

        return run_atheris(options.targets[0], inputs=options.inputs, seconds=options.seconds, seed=options.seed)
    from fuzz.running import run

    findings = 0
    for name in options.targets or NAMES:
        figures = run(load(name), inputs=options.inputs, seconds=options.seconds, seed=options.seed)
        print(figures, flush=True)
        findings += len(figures.found)
    return min(findings, 1)


if __name__ == "__main__":
    sys.exit(main())
