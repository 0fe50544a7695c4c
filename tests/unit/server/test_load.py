"""Bytes of waiting requests are counted, bounded, and given back."""

from __future__ import annotations

from convserve_server.load import Load


def test_what_would_go_over_the_limit_is_not_taken() -> None:
    load = Load(100)
    assert load.take(60)
    assert load.take(40)
    assert not load.take(1)
    load.give_back(60)
    assert load.take(60)
    assert load.waiting_bytes == 100


def test_a_request_alone_is_taken_though_it_is_larger_than_the_limit() -> None:
    load = Load(10)
    assert load.take(1000)
    assert not load.take(1)


def test_a_refusal_is_counted_and_its_sentence_names_what_waits_what_came_and_the_limit() -> None:
    load = Load(5000)
    load.take(4000)
    assert load.refuse_bytes(2000) == (
        "requests of 4,000 bytes wait for their answers, and with the 2,000 of this one they would be more than "
        "5,000: try again later"
    )
    assert load.refused == {"bytes": 1}
