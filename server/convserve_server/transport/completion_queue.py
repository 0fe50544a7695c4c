"""The fast way in for unary calls: plain loops on a completion queue of gRPC's core.

grpc.server spends most of the CPU time of a small call on handing it from thread to thread. Here a few threads poll
the core's completion queue themselves: the thread that receives a call decodes it, and the thread that leads its batch
sends the answer. Everything that is not hot (health, reflection, metadata) stays on an ordinary grpc.server,
which owns the port and the connections of both, and gets its events from the same queue.

This is the only module that knows grpc._cython.cygrpc and the inside of grpc.server. That is private API of grpcio, so
choice.py lists the versions that this module was tested with; with any other the standard transport serves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import MethodType, SimpleNamespace
from typing import Any

from grpc._cython import cygrpc  # type: ignore[attr-defined]

from convserve_server.calls import INTERNAL_ERROR, PUSHBACK, Code, Method, Notes, Work, pushback
from convserve_server.load import BUSY_PAUSE, too_many_calls
from convserve_server.transport.carrier import Carrier
from convserve_server.transport.guarding import failing_closed
from convserve_server.transport.listening import Register, TransportSettings, bind, monotonic_deadline, new_server
from convserve_server.transport.slow_callers import Phase, SlowCallers

log = logging.getLogger(__name__)

REQUESTED = 64
"""Calls of each method that the core may hand over before it is asked for more; those beyond wait in the core."""
BURST = 256
"""Events that a loop takes in before it leads, so that what has come in together is run together."""

PATIENCE = 0.003
"""Seconds that nobody has read before the deputy does: all loops are busy with runs then."""
ALERT = 0.0005
"""The same, while callers are refused: they want to hear of it, and there is work enough without theirs."""
ALERT_FOR = 1.0
"""Seconds after a refusal."""
LAST_RESORT = 0.1
"""Seconds after which the thread of grpc.server reads where nobody has: the deputy, too, may be busy with a run."""
QUICK = 0.001
"""Seconds: calls that take less, by what their kind took the last time, are worked on without waking a reader."""
MOST_KINDS = 256
PROMPT = 0.01
"""Seconds: while bursts of calls are worked on in less, the core is asked whether a caller is still there only for
those that are not answered then. For the others the question goes with the answer, which saves a tenth of a small call.
"""
RECOVERY = 0.1
"""Seconds that a loop rests after a failure, so that one that stays fills no log."""
LAST_ANSWERS = 5.0
"""Seconds that a stop waits for answers to calls that were cancelled when the grace ended."""

_TIMEOUT = cygrpc.CompletionType.queue_timeout
_SHUTDOWN = cygrpc.CompletionType.queue_shutdown
_NOTHING = SimpleNamespace(completion_type=_TIMEOUT)
_EMPTY: tuple[()] = ()
_NOT_RECEIVED = -1


def _kind(call: _Call, payload: bytes) -> tuple[str, int, bytes]:
    """Calls of one kind take about as long: the beginning of a request names its model, its length tells the rows."""
    return call.method.path, len(payload), payload[:64]


class _Call:
    """One call of the core's. Its methods are callable from any thread, as those of calls.Call."""

    __slots__ = (
        "_answered",
        "_arrived",
        "_call",
        "_closed",
        "_load",
        "_open",
        "_over",
        "_sent",
        "_size",
        "_unwatched",
        "deadline",
        "lead",
        "metadata",
        "method",
        "replied",
    )
    notes: Notes | None = None

    def __init__(self, event: Any, method: Method, transport: CompletionQueueTransport) -> None:
        self.deadline = monotonic_deadline(event.call_details.deadline)
        self.metadata: Sequence[tuple[str, str | bytes]] = event.invocation_metadata
        self._call, self.method = event.call, method
        self._open, self._arrived, self._load = transport.open_calls, transport.arrived, transport.load
        self._size = _NOT_RECEIVED
        self.lead = transport.lead
        self._answered = self._closed = self._sent = self._over = False
        self.replied = False
        """True once it was answered with what it asked for."""
        self._unwatched = [cygrpc.ReceiveCloseOnServerOperation]

    @property
    def peer(self) -> str:
        peer: bytes = self._call.peer()
        return peer.decode()

    @property
    def identities(self) -> tuple[bytes, ...]:
        return tuple(cygrpc.peer_identities(self._call) or ())

    def abandoned(self) -> bool:
        return self._closed or self._answered

    def await_room(self) -> bool:
        return False

    def reply(self, payload: bytes) -> None:
        self.replied = True
        self._send(
            (
                cygrpc.SendInitialMetadataOperation(_EMPTY, 0),
                cygrpc.SendMessageOperation(payload, 0),
                cygrpc.SendStatusFromServerOperation(_EMPTY, cygrpc.StatusCode.ok, b"", 0),
            )
        )

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        if code == Code.RESOURCE_EXHAUSTED:
            self._load.last_refusal = time.monotonic()
        trailing = _EMPTY if retry_after is None else ((PUSHBACK, pushback(retry_after)),)
        status = cygrpc.SendStatusFromServerOperation(trailing, int(code), message.encode(), 0)
        self._send((cygrpc.SendInitialMetadataOperation(_EMPTY, 0), status))

    def refuse(self, code: Code, message: str, retry_after: float | None = None) -> None:
        """Fail, before a handler has seen the call."""
        self.method.refused(code)
        self.fail(code, message, retry_after)

    def _send(self, operations: tuple[Any, ...]) -> None:
        # Operations are made anew for each batch: they own memory of the core's while it runs.
        if self._answered:
            log.error("a call of %s was answered twice", self.method.path, stack_info=True)
            return
        self._answered = True
        if closing := self._closing():
            self._over = True
        # On a call that was cancelled the operations end without success, which does no harm.
        self._call.start_server_batch(operations + closing, self.on_sent)

    def watch(self) -> None:
        """Be told from now on when the caller has gone."""
        if operations := self._closing():
            self._call.start_server_batch(operations, self.on_close)

    def _closing(self) -> tuple[Any, ...]:
        """The operation that ends with the call, for who asks first: there may be only one, and any thread may ask."""
        try:
            return (self._unwatched.pop()(0),)
        except IndexError:
            return _EMPTY

    def on_sent(self, event: Any) -> None:
        self._sent = True
        self._end()

    def on_close(self, event: Any) -> None:
        self._over = True
        # It tells a vanished caller from one that was answered.
        if event.batch_operations[0].cancelled():
            self._closed = True
        self._end()

    def _end(self) -> None:
        """Called by whoever reads, so by one thread at a time."""
        # Until now the answer takes up memory: a caller that does not read is still a call in flight. And no queue is
        # shut down before each operation on it has ended.
        if self._sent and self._over:
            self._open.discard(self)
            if self._size > 0:
                self._load.give_back(self._size)

    def on_message(self, event: Any) -> None:
        payload = event.batch_operations[0].message()
        if payload is None:
            # Cancelled, or over the size limit: the core has answered itself, and this does no harm. Else it is heard.
            self.fail(Code.UNIMPLEMENTED, f"{self.method.path} takes exactly one request message, and none was sent")
            return
        size = len(payload)
        if self._load.take(size):
            self._size = size
            self._arrived.append((self, payload))
        else:
            self.refuse(Code.RESOURCE_EXHAUSTED, self._load.refuse_bytes(size), BUSY_PAUSE)

    def waits_for_caller(self) -> Phase | None:
        """See Transferring."""
        if self._answered:
            return "answer"
        return "request" if self._size == _NOT_RECEIVED else None

    def give_up(self, sentence: str) -> None:
        """See Transferring. What is under way on the call ends without success, and with that the call."""
        self._call.cancel(cygrpc.StatusCode.cancelled, sentence)

    def handle(self, payload: bytes) -> None:
        """Have the handler take the call, unless nobody waits any more."""
        if self._closed or self.deadline <= time.monotonic():
            self.refuse(Code.DEADLINE_EXCEEDED, "the deadline passed before the request was read")
            return
        try:
            self.method.handler(payload, self)
        except Exception:
            log.exception("the handler of %s failed", self.method.path)
            self.fail(Code.INTERNAL, INTERNAL_ERROR)


class _SharedQueue(cygrpc.CompletionQueue):  # type: ignore[misc]
    """The one queue of the loops and of grpc.server.

    With a queue of its own, the thread of grpc.server would poll the core beside the loops. It would be woken for each
    packet that comes in while they run batches, and read requests one by one that a loop reads together (a sixth of the
    throughput; docs/performance.md). Here it waits for what the loops hand over.
    """

    read = cygrpc.CompletionQueue.poll
    """The next event of the core's."""

    def __init__(self, stand_in: Callable[[], object]) -> None:
        self.handed: SimpleQueue[Any] = SimpleQueue()
        """Events that are grpc.server's."""
        self._stand_in = stand_in

    def poll(self, deadline: float | None = None) -> Any:
        """What grpc.server calls for its next event."""
        try:
            return self.handed.get(timeout=LAST_RESORT)
        except Empty:
            # grpc.server would not survive it; whoever reads next meets the same, and logs it.
            with suppress(Exception):
                self._stand_in()
            return _NOTHING


def _lasting(loop: Callable[[], None]) -> None:
    """Run a loop to its end, whatever a turn meets (memory that runs out): with the last one the server were deaf."""
    while True:
        try:
            loop()
            return
        except Exception:
            log.exception("a loop failed, and goes on")
            time.sleep(RECOVERY)


class CompletionQueueTransport:
    """Serves hot methods from its own loops, the others and ``services`` from a grpc.server on the same port.

    Raises InvalidSettings when the address cannot be bound.
    """

    def __init__(
        self, settings: TransportSettings, methods: Iterable[Method], services: Iterable[Register] = ()
    ) -> None:
        self._carrier = Carrier(settings)
        every = list(methods)
        self._server = new_server(settings, self._carrier.threads, every)
        # A method that is registered on both sides would only ever reach grpc.server's.
        self._carrier.add_methods(self._server, (m for m in every if not m.hot))
        for register in services:
            register(self._server)
        state = self._server._state  # type: ignore[attr-defined]
        self._core = state.server
        self._queue = _SharedQueue(self._read_if_nobody_does)
        self._core.register_completion_queue(self._queue)
        # The one it was made with stays empty: events come to the queue that they were asked for on.
        state.completion_queue = self._queue
        self._hot = {m.path: m for m in every if m.hot}
        for path in self._hot:
            self._core.register_method(path)
        self._max_calls, self.load = settings.max_calls, settings.load
        self._admit = None if settings.admit is None else failing_closed(settings.admit)
        self.open_calls: set[_Call] = set()
        self._slow = SlowCallers(lambda: list(self.open_calls), settings.max_transfer_time, self.load.refuse)
        # Shared by the loops: calls whose message has come, and work to lead. Whichever loop is free takes it.
        self.arrived: deque[tuple[_Call, bytes]] = deque()
        self.leads: set[Work] = set()
        self._reading = threading.Lock()
        self._at_work: set[int] = set()
        """Threads that are in _work(). Who leaves it looks for more to lead before it waits for anything."""
        self._awaiting = False
        """Whether the loop that reads waits for an event."""
        self._seconds: dict[tuple[str, int, bytes], float] = {}
        self._longest = 1.0
        self._stopping = False
        self._ended = False
        self._loops = [
            threading.Thread(target=_lasting, args=(self._loop,), name=f"loop-{i}", daemon=True)
            for i in range(settings.loops)
        ]
        self._deputy = threading.Thread(target=_lasting, args=(self._stand_in,), name="deputy", daemon=True)
        self.port = bind(self._server, settings)

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()
        self._carrier.start()
        self._slow.start()
        for path in self._hot:
            for _ in range(REQUESTED):
                self._request(path)
        for loop in self._loops:
            loop.start()
        self._deputy.start()

    def _request(self, path: str) -> None:
        self._core.request_registered_call(self._queue, self._queue, path, path)

    def lead(self, work: Work, runs: int = 1) -> None:
        """See Call.lead."""
        self.leads.add(work)
        if runs > 1:
            # The other loops may wait for events, and none comes.
            self._carrier.share(work, runs, partial(self._leave, work))

    def _leave(self, work: Work) -> None:
        self.leads.add(work)
        self._lead_what_is_left()

    def _lead_what_is_left(self) -> None:
        """For who is no loop, after having led: what is left is a loop's, but only where none waits for an event.

        For none may come while callers wait for answers, and the other loops may be at work for long. First left, then
        looked; loops do it the other way round. (Always to go on costs a twentieth: threads that read find no slot.)
        """
        while self.leads and (self._awaiting or not self._at_work):
            self._work()

    def _loop(self) -> None:
        """Read what there is to read, handle it, run one batch of what has come in, and again."""
        arrived, leads, reading = self.arrived, self.leads, self._reading
        while True:
            # One thread reads at a time: with two in the core's poll, each event would wake either of them at random.
            # Nobody waits for the turn to read while there is something to do.
            busy = bool(arrived or leads)
            if reading.acquire(blocking=not busy):
                try:
                    if not (self._read(wait=False) if arrived or leads else self._await()):
                        while leads:
                            self._lead()
                        return
                    if arrived and not leads and self._is_quick():
                        # Not worth waking another thread to read meanwhile.
                        self._work()
                        continue
                finally:
                    reading.release()
            self._work()

    def _await(self) -> bool:
        """See _read(); waits for the first event, unless there is work to lead by now."""
        # First said, then looked: who leaves work to lead does it the other way round.
        self._awaiting = True
        try:
            return self._read(wait=not self.leads)
        finally:
            self._awaiting = False

    def _stand_in(self) -> None:
        """Read where every loop is busy with a run, so that refusals and calls of other models do not wait.

        It costs nothing while a loop waits for events, and a turn every few milliseconds while none does. Loops that
        come back in time read in larger bursts, which costs less, so they have the first chance.
        """
        reading = self._reading
        while True:
            with reading:
                pass  # nobody reads at this moment
            alert = time.monotonic() - self.load.last_refusal < ALERT_FOR
            time.sleep(ALERT if alert else PATIENCE)
            if not self._read_if_nobody_does():
                return
            self._work()
            self._lead_what_is_left()

    def _read_if_nobody_does(self) -> bool:
        """False once the queue is shut down."""
        if not self._reading.acquire(blocking=False):
            return True
        try:
            return self._read(wait=False)
        finally:
            self._reading.release()

    def _is_quick(self) -> bool:
        """Whether what has come in is done sooner than another thread is awake. What runs long is a batch of many."""
        arrived = tuple(self.arrived)
        limit = QUICK if len(arrived) == 1 else QUICK / 2
        for call, payload in arrived:
            limit -= self._seconds.get(_kind(call, payload), QUICK)
            if limit <= 0:
                return False
        return True

    def _work(self) -> None:
        """Handle what has come in and lead one batch. A handler or a batch may take its time."""
        me = threading.get_ident()
        self._at_work.add(me)
        try:
            self._handle_and_lead()
        finally:
            self._at_work.discard(me)

    def _handle_and_lead(self) -> None:
        started = time.perf_counter()
        calls: list[_Call] = []
        payload = b""
        at_once = self._longest > PROMPT
        while self.arrived:
            try:
                call, payload = self.arrived.popleft()
            except IndexError:
                break  # another was quicker
            calls.append(call)
            try:
                if at_once:
                    call.watch()
                call.handle(payload)
            except Exception:
                log.exception("a call of %s failed", call.method.path)
                if not call.abandoned():
                    call.fail(Code.INTERNAL, INTERNAL_ERROR)
        self._lead()
        now = time.perf_counter()
        # Falls slowly, so that what takes long among much that does not is remembered.
        self._longest = max(now - started, 0.99 * self._longest)
        if calls:
            for call in calls:
                if not call.abandoned():
                    call.watch()
            if len(self._seconds) >= MOST_KINDS:
                self._seconds.clear()
            kind = _kind(calls[-1], payload)
            if calls[-1].replied:
                self._seconds[kind] = (now - started) / len(calls)
            else:
                # Refused, or left to who holds the run slots: this tells nothing of what such calls take.
                self._seconds.pop(kind, None)

    def _lead(self) -> None:
        try:
            work = self.leads.pop()
        except KeyError:
            return
        try:
            if work(1):
                self.leads.add(work)
        except Exception:
            log.exception("a leader failed")

    def _read(self, *, wait: bool) -> bool:
        """Take in a burst of events, waiting for the first one or not. False once the queue is shut down."""
        read, hot, handed = self._queue.read, self._hot, self._queue.handed
        event = read() if wait else read(0)
        left = BURST
        while True:
            kind = event.completion_type
            if kind == _TIMEOUT:
                return True
            if kind == _SHUTDOWN:
                return False
            tag = event.tag
            try:
                if type(tag) is MethodType:
                    tag(event)
                elif tag not in hot:
                    handed.put(event)
                elif event.success:
                    self._accept(event, hot[tag])
            except Exception:
                log.exception("an event failed")
            # An event keeps its call alive, so it is let go before the next poll.
            del event, tag
            left -= 1
            if not left:
                return True
            event = read(0)  # a deadline in the past: returns at once

    def _accept(self, event: Any, method: Method) -> None:
        """Take a call over from the core, and be ready for the next one."""
        if not self._stopping:
            try:
                self._request(method.path)
            except ValueError:
                # Stopped just now: the core takes no more requests for calls.
                self._stopping = True
        call = _Call(event, method, self)
        core_call = event.call
        # First added, then looked: stop() does it the other way round, so one of the two sees the other. No lock.
        self.open_calls.add(call)
        if self._ended:
            self.open_calls.discard(call)
            return
        if self._admit is not None and (refusal := self._admit(method.path, call.metadata)) is not None:
            call.refuse(*refusal)
            return
        if len(self.open_calls) > self._max_calls:
            self.load.refuse("calls")
            call.refuse(Code.RESOURCE_EXHAUSTED, too_many_calls(self._max_calls), BUSY_PAUSE)
            return
        core_call.start_server_batch((cygrpc.ReceiveMessageOperation(0),), call.on_message)

    def stop(self, grace: float) -> None:
        """Take no new calls, let accepted ones finish within ``grace`` seconds, cancel the rest. Returns when done."""
        self._stopping = True
        self._server.stop(grace).wait()
        self._carrier.stop()
        self._slow.stop()
        # Calls that the core has cancelled may still wait for their batch. No operation may start on a queue that
        # is shut down, so it is, only when everybody has been answered; else the loops end with the process.
        limit = time.monotonic() + LAST_ANSWERS
        while True:
            self._ended = True
            if not self.open_calls:
                break
            self._ended = False
            if time.monotonic() >= limit:
                log.error("%d calls were never answered", len(self.open_calls))
                return
            time.sleep(0.01)
        self._queue.shutdown()
        for loop in (*self._loops, self._deputy):
            loop.join()
