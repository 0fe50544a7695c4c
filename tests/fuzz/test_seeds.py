"""Every kept input is answered or refused as it must be, and so are a few seconds of new ones."""

from __future__ import annotations

import pytest

from fuzz.running import run
from fuzz.target import judged
from fuzz.targets import NAMES, load

INPUTS, SECONDS = 1000, 3.0
"""New inputs for each target, and when to stop on a slow machine."""


@pytest.mark.parametrize("name", NAMES)
def test_every_seed_gets_an_answer_or_a_known_refusal(name: str) -> None:
    target = load(name)
    seeds = target.corpus()
    assert seeds
    with judged(target) as attempt:
        for file, data in seeds:
            assert attempt(data), file


@pytest.mark.parametrize("name", NAMES)
def test_mutated_seeds_get_answers_or_known_refusals(name: str) -> None:
    figures = run(load(name), inputs=INPUTS, seconds=SECONDS)
    assert figures.inputs > len(load(name).corpus())
    assert figures.found == {}


@pytest.mark.parametrize("name", NAMES)
def test_seeds_that_targets_make_are_answered_in_more_than_one_way(name: str) -> None:
    """A target whose every input is refused alike would find nothing."""
    target = load(name)
    with judged(target) as attempt:
        assert len({attempt(data) for _, data in target.corpus()}) > 1
