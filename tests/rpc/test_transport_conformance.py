"""What every transport does: one suite, run on each, so that they cannot be told apart from outside."""

from __future__ import annotations

import gc
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import trustme
from convserve_server.calls import Call, Code
from convserve_server.errors import InvalidSettings
from convserve_server.transport.choice import make_transport
from convserve_server.transport.listening import TransportSettings
from support.transports import Serve, in_thread, method, served, wait_until


def echo(payload: bytes, call: Call) -> None:
    call.reply(payload)


def status(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details() or ""


def test_bytes_go_in_and_out_as_they_are(serve: Serve) -> None:
    _, channel = serve(Echo=echo)
    for payload in (b"", b"\0", b"x" * 5_000_000):
        assert method(channel, "Echo")(payload, timeout=20) == payload


def test_an_error_arrives_with_its_code_and_its_sentence(serve: Serve) -> None:
    def fail(payload: bytes, call: Call) -> None:
        call.fail(Code(int(payload)), f"Satz Nr. {payload.decode()}: größer als 1 % · naïve")

    _, channel = serve(Fail=fail)
    for code in Code:
        if code is not Code.OK:
            got, sentence = status(lambda: method(channel, "Fail")(str(int(code)).encode(), timeout=20))  # noqa: B023
            assert got.value[0] == int(code)
            assert sentence == f"Satz Nr. {int(code)}: größer als 1 % · naïve"


def test_an_unknown_method_is_unimplemented(serve: Serve) -> None:
    _, channel = serve(Echo=echo)
    assert status(lambda: method(channel, "Nothing")(b"", timeout=20))[0] is grpc.StatusCode.UNIMPLEMENTED


def test_a_handler_that_raises_is_an_internal_error_that_tells_nothing(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(payload: bytes, call: Call) -> None:
        raise ValueError("secret")

    _, channel = serve(Broken=broken, Echo=echo)
    code, sentence = status(lambda: method(channel, "Broken")(b"", timeout=20))
    assert code is grpc.StatusCode.INTERNAL
    assert sentence == "internal error; the server's log says more"
    assert "secret" in caplog.text
    assert method(channel, "Echo")(b"on", timeout=20) == b"on"


def test_a_handler_knows_deadline_metadata_and_peer(serve: Serve) -> None:
    seen: list[tuple[float, dict[str, str | bytes], str]] = []

    def look(payload: bytes, call: Call) -> None:
        seen.append((call.deadline - time.monotonic(), dict(call.metadata), call.peer))
        call.reply(b"")

    _, channel = serve(Look=look)
    method(channel, "Look")(b"", timeout=33, metadata=(("x-text", "a"), ("x-raw-bin", b"\0\1")))
    method(channel, "Look")(b"")
    remaining, metadata, peer = seen[0]
    assert 20 < remaining <= 33.5
    assert metadata["x-text"] == "a"
    assert metadata["x-raw-bin"] == b"\0\1"
    assert peer.startswith("ipv4:127.0.0.1:")
    assert seen[1][0] == math.inf


def test_another_thread_may_reply_later(serve: Serve) -> None:
    with ThreadPoolExecutor(1) as pool:

        def later(payload: bytes, call: Call) -> None:
            pool.submit(call.reply, payload + b"!")

        _, channel = serve(Later=later)
        futures = [method(channel, "Later").future(str(n).encode(), timeout=20) for n in range(50)]
        assert [f.result() for f in futures] == [f"{n}!".encode() for n in range(50)]


def test_a_handler_sees_that_its_caller_has_cancelled(serve: Serve) -> None:
    arrived: list[Call] = []
    there = threading.Event()

    def hold(payload: bytes, call: Call) -> None:
        arrived.append(call)
        there.set()
        wait_until(call.abandoned)
        call.fail(Code.CANCELLED, "too late")

    _, channel = serve(Hold=hold, Echo=echo)
    future = method(channel, "Hold").future(b"", timeout=30)
    assert there.wait(10)
    assert not arrived[0].abandoned()
    future.cancel()
    wait_until(arrived[0].abandoned)
    assert method(channel, "Echo")(b"on", timeout=20) == b"on"


def test_a_handler_sees_that_the_deadline_has_passed(serve: Serve) -> None:
    outcome: list[bool] = []

    def hold(payload: bytes, call: Call) -> None:
        wait_until(call.abandoned)
        outcome.append(True)
        call.reply(b"nobody hears this")

    _, channel = serve(Hold=hold)
    assert status(lambda: method(channel, "Hold")(b"", timeout=0.3))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: outcome == [True])


def test_a_call_whose_deadline_passes_before_its_turn_costs_no_work(serve: Serve) -> None:
    release, ran = threading.Event(), list[bytes]()

    def work(payload: bytes, call: Call) -> None:
        ran.append(payload)
        if payload == b"long":
            release.wait(20)
        call.reply(payload)

    _, channel = serve({"threads": 1, "loops": 1}, Work=work)
    # As many as the fast way in has threads: a loop and its deputy.
    long_ones = [method(channel, "Work").future(b"long", timeout=30) for _ in range(2)]
    wait_until(lambda: bool(ran))
    late = method(channel, "Work").future(b"late", timeout=0.3)
    wait_until(late.done)
    release.set()
    assert [call.result() for call in long_ones] == [b"long", b"long"]
    assert method(channel, "Work")(b"next", timeout=20) == b"next"
    assert b"late" not in ran


def test_a_request_over_the_size_limit_is_refused_and_the_next_one_served(serve: Serve) -> None:
    _, channel = serve({"max_message_bytes": 1000}, Echo=echo)
    code, sentence = status(lambda: method(channel, "Echo")(b"x" * 1001, timeout=20))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1001 vs. 1000" in sentence
    assert method(channel, "Echo")(b"x" * 1000, timeout=20) == b"x" * 1000


def test_a_compressed_request_arrives_decompressed(serve: Serve) -> None:
    _, channel = serve(Echo=echo)
    payload = b"convolution " * 1000
    assert method(channel, "Echo")(payload, timeout=20, compression=grpc.Compression.Gzip) == payload


def test_many_calls_at_once_are_each_answered_with_their_own(serve: Serve) -> None:
    _, channel = serve(Echo=echo)
    futures = [method(channel, "Echo").future(str(n).encode(), timeout=30) for n in range(500)]
    assert [f.result() for f in futures] == [str(n).encode() for n in range(500)]


def test_too_many_calls_in_flight_are_refused_and_those_in_flight_served(serve: Serve) -> None:
    held: list[Call] = []
    release = threading.Event()

    def hold(payload: bytes, call: Call) -> None:
        held.append(call)
        in_thread(lambda: release.wait(20), lambda: call.reply(b"done"))

    _, channel = serve({"max_calls": 3}, Hold=hold)
    futures = [method(channel, "Hold").future(b"", timeout=30) for _ in range(3)]
    wait_until(lambda: len(held) == 3)
    assert status(lambda: method(channel, "Hold")(b"", timeout=20))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    release.set()
    assert [f.result() for f in futures] == [b"done"] * 3
    assert method(channel, "Hold")(b"", timeout=20) == b"done"


def test_a_flood_of_calls_is_answered_or_refused_with_a_status_that_says_so(serve: Serve) -> None:
    _, channel = serve(Echo=echo)
    futures = [method(channel, "Echo").future(b"x" * 1000, timeout=60) for _ in range(5000)]
    wait_until(lambda: all(f.done() for f in futures), 60)
    codes = {f.code() for f in futures}
    assert grpc.StatusCode.OK in codes
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}, "the core cancels what it cannot queue"


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_work_to_lead_is_done_until_nothing_is_left(serve: Serve, runs: int) -> None:
    waiting: list[tuple[Call, bytes]] = []
    lock = threading.Lock()

    def work(batches: int | None) -> bool:
        done = 0
        while batches is None or done < batches:
            with lock:
                if not waiting:
                    return False
                call, payload = waiting.pop(0)
            call.reply(payload)
            done += 1
        return bool(waiting)

    def enqueue(payload: bytes, call: Call) -> None:
        waiting.append((call, payload))
        if payload == b"9":
            call.lead(work, runs)

    _, channel = serve(Enqueue=enqueue)
    futures = [method(channel, "Enqueue").future(str(n).encode(), timeout=20) for n in range(9)]
    wait_until(lambda: len(waiting) == 9)
    assert method(channel, "Enqueue")(b"9", timeout=20) == b"9"
    assert [f.result() for f in futures] == [str(n).encode() for n in range(9)]


def test_work_that_is_left_over_while_everybody_else_waits_is_led_to_its_end(serve: Serve) -> None:
    """It was not, where the deputy of the fast way in left it: a request of several runs now and then hung."""
    first, second = threading.Event(), threading.Event()
    led: list[Call] = []

    def long_run(payload: bytes, call: Call) -> None:
        def work(batches: int | None) -> bool:
            first.wait(20)
            call.reply(payload)
            return False

        call.lead(work)

    def two_runs(payload: bytes, call: Call) -> None:
        def work(batches: int | None) -> bool:
            led.append(call)
            if len(led) == 1:
                second.wait(20)
                return True
            call.reply(payload)
            return False

        call.lead(work)

    _, channel = serve({"loops": 1}, Long=long_run, Two=two_runs)
    long = method(channel, "Long").future(b"long", timeout=30)
    time.sleep(0.1)
    two = method(channel, "Two").future(b"two", timeout=10)
    wait_until(lambda: bool(led))
    first.set()
    assert long.result() == b"long"
    time.sleep(0.1)  # whoever ran that waits for calls by now
    second.set()
    assert two.result() == b"two"


def test_what_a_helper_leaves_is_led_though_a_slow_call_keeps_one_thread_and_the_other_waits(serve: Serve) -> None:
    release, busy = threading.Event(), threading.Event()
    left: list[bool] = []

    def slow(payload: bytes, call: Call) -> None:
        busy.set()
        release.wait(20)
        call.reply(payload)

    def two_runs(payload: bytes, call: Call) -> None:
        def work(batches: int | None) -> bool:
            if left:
                call.reply(payload)
            elif threading.current_thread().name.startswith("lead"):
                time.sleep(0.2)  # who has found no run slot waits for calls by now
                left.append(True)
                return True
            return False

        call.lead(work, 2)

    _, channel = serve({"loops": 2}, Slow=slow, Two=two_runs)
    blocking = method(channel, "Slow").future(b"slow", timeout=30)
    assert busy.wait(10)
    assert method(channel, "Two")(b"two", timeout=10) == b"two"
    release.set()
    assert blocking.result() == b"slow"


def test_a_slow_call_of_one_kind_holds_up_no_quick_one_of_another(serve: Serve) -> None:
    release = threading.Event()

    def mixed(payload: bytes, call: Call) -> None:
        if payload == b"slow":
            release.wait(20)
        call.reply(payload)

    _, channel = serve(Mixed=mixed)
    for _ in range(5):
        assert method(channel, "Mixed")(b"quick", timeout=20) == b"quick"
    slow = method(channel, "Mixed").future(b"slow", timeout=30)
    time.sleep(0.2)
    assert method(channel, "Mixed")(b"quick", timeout=10) == b"quick"
    release.set()
    assert slow.result() == b"slow"


def test_what_a_call_takes_is_not_learnt_from_one_that_others_have_run(serve: Serve) -> None:
    """It was taken for quick, and the next one of its kind was run by who should have read meanwhile."""
    release, taken, running = threading.Event(), threading.Event(), threading.Event()
    left: list[Call] = []

    def long_run(payload: bytes, call: Call) -> None:
        def work(batches: int | None) -> bool:
            taken.wait(20)
            left[0].reply(b"by another")
            call.reply(payload)
            return False

        call.lead(work)

    def run(payload: bytes, call: Call) -> None:
        def every_slot_is_taken(batches: int | None) -> bool:
            left.append(call)
            return False

        def slow(batches: int | None) -> bool:
            running.set()
            release.wait(20)
            call.reply(b"slow")
            return False

        call.lead(slow if left else every_slot_is_taken)

    _, channel = serve({"loops": 1}, Long=long_run, Run=run, Echo=echo)
    long = method(channel, "Long").future(b"long", timeout=30)
    time.sleep(0.1)
    first = method(channel, "Run").future(b"a", timeout=30)
    wait_until(lambda: bool(left))
    time.sleep(0.1)
    taken.set()
    assert (first.result(), long.result()) == (b"by another", b"long")
    second = method(channel, "Run").future(b"a", timeout=30)
    assert running.wait(10)
    assert method(channel, "Echo")(b"meanwhile", timeout=5) == b"meanwhile"
    release.set()
    assert second.result() == b"slow"


def test_a_second_answer_changes_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def twice(payload: bytes, call: Call) -> None:
        call.reply(b"first")
        call.reply(b"second")

    _, channel = serve(Twice=twice)
    assert method(channel, "Twice")(b"", timeout=20) == b"first"
    wait_until(lambda: "answered twice" in caplog.text)


def test_a_stop_lets_accepted_calls_finish_and_takes_no_new_ones(serve: Serve) -> None:
    release, accepted = threading.Event(), threading.Semaphore(0)

    def hold(payload: bytes, call: Call) -> None:
        accepted.release()
        in_thread(lambda: release.wait(20), lambda: call.reply(payload))

    transport, channel = serve(Hold=hold)
    futures = [method(channel, "Hold").future(str(n).encode(), timeout=30) for n in range(8)]
    for _ in futures:
        assert accepted.acquire(timeout=10)
    stopper = threading.Thread(target=transport.stop, args=(20,))
    stopper.start()
    with grpc.insecure_channel(f"127.0.0.1:{transport.port}") as late:
        wait_until(lambda: _code(late, "Hold") is grpc.StatusCode.UNAVAILABLE)
    release.set()
    assert [f.result() for f in futures] == [str(n).encode() for n in range(8)]
    stopper.join(20)
    assert not stopper.is_alive()


def _code(channel: grpc.Channel, name: str) -> grpc.StatusCode | None:
    try:
        method(channel, name)(b"", timeout=0.5)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return None


def test_what_waits_to_be_led_when_a_stop_comes_is_led_to_its_end(serve: Serve) -> None:
    waiting: list[Call] = []
    release, leading, slot = threading.Event(), threading.Event(), threading.Lock()

    def work(batches: int | None) -> bool:
        if not slot.acquire(blocking=False):
            return False
        leading.set()
        release.wait(20)
        done = 0
        while waiting and (batches is None or done < batches):
            waiting.pop(0).reply(b"done")
            done += 1
        slot.release()
        return bool(waiting)

    def enqueue(payload: bytes, call: Call) -> None:
        waiting.append(call)
        call.lead(work)

    transport, channel = serve(Enqueue=enqueue)
    futures = [method(channel, "Enqueue").future(b"", timeout=30) for _ in range(12)]
    assert leading.wait(10)
    wait_until(lambda: len(waiting) == 12)
    stopper = threading.Thread(target=transport.stop, args=(20,))
    stopper.start()
    release.set()
    assert [f.result() for f in futures] == [b"done"] * 12
    stopper.join(20)
    assert not stopper.is_alive()
    assert waiting == []


def test_a_stop_cancels_what_the_grace_does_not_suffice_for(serve: Serve) -> None:
    accepted = threading.Event()

    def hold(payload: bytes, call: Call) -> None:
        accepted.set()
        in_thread(lambda: wait_until(call.abandoned), lambda: call.reply(b""))

    transport, channel = serve(Hold=hold)
    future = method(channel, "Hold").future(b"", timeout=30)
    assert accepted.wait(10)
    started = time.monotonic()
    transport.stop(0.2)
    assert time.monotonic() - started < 10
    assert status(future.result)[0] in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_a_port_in_use_is_an_error(serve: Serve, kind: str) -> None:
    transport, _ = serve(Echo=echo)
    with pytest.raises(InvalidSettings, match=f"cannot listen on 127.0.0.1:{transport.port}: the port is in use"):
        make_transport(kind, TransportSettings(listen=f"127.0.0.1:{transport.port}"), [])


@pytest.mark.parametrize("address", ["8001", "127.0.0.1", "127.0.0.1:", ":8001", "127.0.0.1:99999", "127.0.0.1:x"])
def test_an_address_that_is_none_is_named(kind: str, address: str) -> None:
    with pytest.raises(InvalidSettings, match="give HOST:PORT"):
        make_transport(kind, TransportSettings(listen=address), [])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_a_tls_port_serves_and_tells_who_calls(serve: Serve, authority: trustme.CA) -> None:
    seen: list[tuple[bytes, ...]] = []

    def look(payload: bytes, call: Call) -> None:
        seen.append(call.identities)
        call.reply(payload)

    server = authority.issue_cert("localhost")
    root = authority.cert_pem.bytes()
    pairs = [(server.private_key_pem.bytes(), b"".join(blob.bytes() for blob in server.cert_chain_pems))]
    credentials = grpc.ssl_server_credentials(pairs, root, require_client_auth=True)
    transport, plain = serve({"credentials": credentials}, Look=look)
    client = authority.issue_cert("caller.example")
    own = grpc.ssl_channel_credentials(
        root, client.private_key_pem.bytes(), b"".join(blob.bytes() for blob in client.cert_chain_pems)
    )
    with grpc.secure_channel(f"localhost:{transport.port}", own) as channel:
        assert method(channel, "Look")(b"hello", timeout=20) == b"hello"
    assert seen == [(b"caller.example",)]
    nobody = grpc.ssl_channel_credentials(root)
    with grpc.secure_channel(f"localhost:{transport.port}", nobody) as channel:
        assert status(lambda: method(channel, "Look")(b"", timeout=20))[0] is grpc.StatusCode.UNAVAILABLE
    assert status(lambda: method(plain, "Look")(b"", timeout=20))[0] is grpc.StatusCode.UNAVAILABLE


def test_without_mutual_tls_nobody_is_identified(serve: Serve) -> None:
    _, channel = serve(Look=lambda payload, call: call.reply(repr(call.identities).encode()))
    assert method(channel, "Look")(b"", timeout=20) == b"()"


def test_calls_leave_nothing_behind(serve: Serve) -> None:
    """Answered, failed, cancelled and expired calls: no call object outlives its call."""
    kinds: list[type] = []
    release = threading.Event()

    def mixed(payload: bytes, call: Call) -> None:
        kinds.append(type(call))
        if payload == b"fail":
            call.fail(Code.NOT_FOUND, "not here")
        elif payload == b"late":
            in_thread(lambda: release.wait(20), lambda: call.reply(b""))
        else:
            call.reply(payload)

    def left() -> int:
        gc.collect()
        return sum(type(thing) is kinds[0] for thing in gc.get_objects())

    _, channel = serve(Mixed=mixed)
    method(channel, "Mixed")(b"answer", timeout=20)
    before = left()
    futures = []
    for n in range(80):
        payload = (b"answer", b"fail", b"answer", b"late")[n % 4]
        futures.append(method(channel, "Mixed").future(payload, timeout=0.5 if n % 8 == 7 else 20))
    wait_until(lambda: len(kinds) == 81)
    for future in futures[3::8]:
        future.cancel()
    wait_until(lambda: all(f.done() for f in futures[7::8]))
    release.set()
    wait_until(lambda: all(f.done() for f in futures))

    # A thread may still hold the last one that it worked on.
    wait_until(lambda: left() <= before + 2)


def test_both_transports_answer_alike_to_the_byte() -> None:
    """Status, sentence, initial and trailing metadata of good and bad calls, as a client receives them."""

    def handler(payload: bytes, call: Call) -> None:
        if payload == b"fail":
            call.fail(Code.FAILED_PRECONDITION, "not now")
        else:
            call.reply(payload * 2)

    def heard(kind: str) -> list[object]:
        with served(kind, {"max_message_bytes": 100}, Do=handler) as (_, channel):
            outcomes: list[object] = []
            for name, payload in (("Do", b"ok"), ("Do", b""), ("Do", b"fail"), ("Do", b"x" * 101), ("No", b"")):
                future = method(channel, name).future(payload, timeout=20)
                wait_until(future.done)
                code = future.code()
                reply = future.result() if code is grpc.StatusCode.OK else None
                outcomes.append((code, future.details(), reply, future.initial_metadata(), future.trailing_metadata()))
            return outcomes

    assert heard("fast") == heard("standard")
