"""Measures, shows and recommends, in less than a minute."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable

from convserve_server.app import make_repository
from convserve_server.engine.cpus import usable_cpus
from convserve_server.engine.model import Array, Description, Model
from convserve_server.engine.model_settings import WarmUp
from convserve_server.engine.repository import Repository
from convserve_server.engine.session import CUDA
from convserve_server.engine.warming import filled
from convserve_server.errors import ModelBroken
from convserve_server.settings import Settings
from convserve_server.tuning.candidates import Candidate, Figures, best, candidates
from convserve_server.tuning.load import measure
from convserve_server.tuning.report import table

BUDGET = 45.0
"""Seconds for all measurements."""
LONGEST = 2.0
"""Seconds for one: more of them would say the same."""
ROUNDS = 3
"""Each candidate is measured so often, in turn: what disturbs the machine for a moment hits them all."""

Measure = Callable[[Model, tuple[Array, ...], int, float], Figures]


def tune(
    settings: Settings,
    *,
    budget: float = BUDGET,
    clock: Callable[[], float] = time.monotonic,
    measure: Measure = measure,
) -> int:
    """Measure what is worth it with the served classifier, or the first model. Gives the exit code, 0.

    The table goes to standard output, progress to standard error. Raises StartupError when there is nothing to serve.
    """
    started = clock()
    name, model = _subject(settings)
    cpus = max(1, usable_cpus() // settings.workers)
    wanted = candidates(
        cpus,
        settings.max_batch_size,
        cuda=model.provider == CUDA,
        instances=settings.instances,
        threads=settings.threads,
    )
    print(f"{name} version {model.description.version} on {model.provider}, {cpus} CPUs", file=sys.stderr)
    del model
    measured: dict[Candidate, Figures] = {}
    turns = ROUNDS * wanted
    for number, candidate in enumerate(turns):
        left = budget - (clock() - started)
        if left <= 0 and measured:
            print(f"out of time after {number} of {len(turns)} measurements", file=sys.stderr)
            break
        print(f"measuring {number + 1} of {len(turns)}: {candidate.flags}", file=sys.stderr, flush=True)
        repository = make_repository(_with(settings, candidate))
        repository.load([name])
        subject = repository.find(name)
        seconds = min(LONGEST, left / (len(turns) - number))
        figures = measure(subject, _row(subject.description), candidate.instances, seconds)
        measured[candidate] = max(figures, measured.get(candidate, figures), key=lambda f: f.rate)
    chosen = best(measured)
    print(table(measured, chosen))
    print(f"\nconvserve-server {chosen.flags}")
    return 0


def _subject(settings: Settings) -> tuple[str, Model]:
    repository = make_repository(settings)
    repository.load()
    name = next(iter(repository.with_task("image_classification") or repository.names()), None)
    if name is None:
        raise ModelBroken(_nothing(repository))
    return name, repository.find(name)


def _nothing(repository: Repository) -> str:
    refused = "".join(f"; {refusal.path}: {refusal.reason}" for refusal in repository.refusals)
    return f"there is no model in {repository.folder.absolute()} to tune with{refused}"


def _with(settings: Settings, candidate: Candidate) -> Settings:
    changed = copy.copy(settings)
    changed.instances, changed.threads = candidate.instances, candidate.threads
    changed.max_batch_size = candidate.max_batch_size
    return changed


def _row(description: Description) -> tuple[Array, ...]:
    """One row of random numbers."""
    floats = frozenset(spec.name for spec in description.inputs if spec.datatype.startswith("FP"))
    plan = WarmUp(random=floats)
    return tuple(filled(spec, plan, description.batched) for spec in description.inputs)
