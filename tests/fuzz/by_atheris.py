"""A target under atheris: libFuzzer follows which lines of ours an input reaches, and mutates what reaches new ones."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from random import Random

from fuzz.running import FOUND, Figures, keep, resident
from fuzz.target import CORPUS

_PACKAGES = ["convserve_proto", "convserve_server", "convserve_client", "google.protobuf.json_format"]


def run_atheris(name: str, *, inputs: int, seconds: float, seed: int) -> int:
    """Feed so many inputs, at most so long; ends the process. What reached new lines is kept in build/fuzz/corpus."""
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: pip install --group fuzz", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=_PACKAGES):
        from fuzz.targets import load

        target = load(name)
    # After what is instrumented.
    from fuzz.mutation import mutate
    from fuzz.target import judged

    figures, started = Figures(name), time.monotonic()
    context = judged(target)
    attempt = context.__enter__()

    def finish(code: int) -> None:
        figures.memory.append(resident())
        figures.seconds = time.monotonic() - started
        print(figures, flush=True)
        context.__exit__(None, None, None)
        os._exit(code)

    def one(data: bytes) -> None:
        figures.inputs += 1
        if figures.inputs == inputs // 10:
            figures.memory.append(resident())
        try:
            attempt(data)
        except Exception:
            print(f"FOUND by input {figures.inputs:,}, kept as {keep(name, data)}", flush=True)
            figures.found["a finding"] += 1
            raise
        if figures.inputs >= inputs or time.monotonic() - started > seconds:
            finish(0)

    def changed(data: bytes, longest: int, number: int) -> bytes:
        rng = Random(number)
        mutated: bytes = atheris.Mutate(data, longest) if rng.random() < 0.3 else data
        return mutate(rng, mutated, structured=target.structured)[:longest]

    grown = FOUND / "corpus" / name
    grown.mkdir(parents=True, exist_ok=True)
    flags = [f"-seed={seed + 1}", "-max_len=65536", "-timeout=20", "-rss_limit_mb=2048", "-verbosity=0"]
    flags += [f"-artifact_prefix={FOUND}/", str(grown), str(Path(CORPUS, name))]
    atheris.Setup([sys.argv[0], *flags], one, custom_mutator=changed)
    atheris.Fuzz()
    return 1
