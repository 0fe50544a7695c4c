"""The fuzzer itself: it finds what it looks for, and looks at every way in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from convserve_proto import open_inference as oip
from convserve_server.calls import Code

from fuzz import running
from fuzz.answers import check_refusal
from fuzz.mutation import mutate
from fuzz.pictures import pictures
from fuzz.target import Finding, Target, Try, judged
from fuzz.targets import NAMES
from fuzz.targets.calls import CALLS
from fuzz.wire_fields import join, split

log = logging.getLogger("convserve_server.fuzzed")


def target(attempt: Try) -> Target:
    @contextmanager
    def opened() -> Iterator[Try]:
        yield attempt

    return Target("tensors", opened, list)


def raises(data: bytes) -> str:
    raise KeyError(data)


def logs(data: bytes) -> str:
    try:
        raises(data)
    except KeyError:
        log.exception("a bug")
    return "OK"


def unknown(data: bytes) -> str:
    check_refusal(Code.UNKNOWN, "who knows")
    return "UNKNOWN"


@pytest.mark.parametrize("attempt", [raises, logs, unknown])
def test_what_no_input_may_do_is_found_once_for_each_cause_and_kept(
    attempt: Callable[[bytes], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "FOUND", tmp_path)
    figures = running.run(target(attempt), inputs=30)
    assert figures.inputs == 30
    assert list(figures.found.values()) == [30]
    assert len(list((tmp_path / "tensors").iterdir())) == 1
    assert capsys.readouterr().out.count("FOUND") == 1


def test_an_input_that_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.target.SECONDS", -1.0)
    with judged(target(lambda data: "OK")) as attempt, pytest.raises(Finding, match="s of CPU time"):
        attempt(b"x")


def test_internal_is_known_only_of_models_that_could_not_be_loaded() -> None:
    check_refusal(Code.INTERNAL, "failed to load 'm': it is broken")
    for code, sentence in ((Code.INTERNAL, "internal error"), (Code.NOT_FOUND, ""), (Code.NOT_FOUND, "x" * 5000)):
        with pytest.raises(Finding):
            check_refusal(code, sentence)


def test_every_unary_call_of_the_protocol_is_fuzzed() -> None:
    service = oip.POOL.FindServiceByName(oip.SERVICE)
    assert set(CALLS) == {m.name for m in service.methods} - {"ModelStreamInfer"}


def test_each_target_has_a_folder_of_seeds_and_each_folder_a_target() -> None:
    assert {folder.name for folder in (Path(__file__).parent / "corpus").iterdir()} == set(NAMES)


def test_a_message_is_the_same_after_it_was_taken_apart() -> None:
    request = oip.ModelInferRequest(model_name="m", raw_input_contents=[b"\1\2", b""])
    request.parameters["p"].double_param = 0.5
    request.inputs.add(name="x", shape=[1, -1])
    data = request.SerializeToString()
    fields = split(data)
    assert fields is not None
    assert join(fields) == data
    assert split(b"\xff") is None


def test_mutations_are_the_same_for_the_same_numbers_and_most_change_something() -> None:
    for data in (*pictures(), b'{"a": [1, {"b": null}]}', b"", b"plain"):
        mutated = [mutate(Random(n), data) for n in range(50)]
        assert mutated == [mutate(Random(n), data) for n in range(50)]
        assert sum(m != data for m in mutated) > 25
