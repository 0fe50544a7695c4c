"""ModelStreamInfer: many requests in flight on one stream, answered in their order.

Each message is an inference call like any other, so the handler of the unary one takes it. What differs is how it is
answered: on the stream, with errors in-band (or, where the caller asks for that, as the end of the stream).
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
from convserve_proto import open_inference as oip
from convserve_proto.wire import length_prefix
from google.protobuf.message import DecodeError

from convserve_server.calls import Admit, Code, Handler, Method, Notes, Work
from convserve_server.leading import Helpers
from convserve_server.load import Load
from convserve_server.rpc.streams import with_pool

log = logging.getLogger(__name__)

MOST_STREAMS = 128
"""Open streams; each has two threads. More are refused."""
MOST_IN_FLIGHT = 256
"""Messages of one stream that are not answered yet; then no more are read, until the caller has taken an answer."""
MOST_HANDS = 8
"""Threads that lead for a message of several runs."""
GRPC_ERRORS = ("triton_grpc_error", "true")
"""Metadata of callers that want the first error to end the stream with a gRPC status."""

_PATH = f"/{oip.SERVICE}/ModelStreamInfer"
_INFER_RESPONSE = 2
"""The field number of ModelStreamInferResponse.infer_response."""
_FINAL = oip.ModelInferResponse(
    parameters={"triton_final_response": oip.InferParameter(bool_param=True)}
).SerializeToString()
"""Appended to each answer: there is one for each request, so it is the last one."""
_STATUS = {status.value[0]: status for status in grpc.StatusCode}
_End = tuple[grpc.StatusCode, str] | None


class _StreamCall:
    """One message, as a call (see calls.Call)."""

    notes: Notes | None = None

    def __init__(self, stream: _Stream, payload: bytes, load: Load) -> None:
        self._stream, self._payload, self._load = stream, payload, load
        self.held = False
        self.heard = stream.settled
        """How many answers the stream had when this call last looked for room."""
        self.deadline, self.metadata, self.peer = stream.deadline, stream.metadata, stream.peer
        self.identities = stream.identities
        self.lead = stream.lead
        self.answer: bytes | tuple[Code, str] | None = None

    def take(self) -> bool:
        """Hold the bytes of its request, if need be once others of the stream's are given back; False for too many."""
        self.held = self._load.take(len(self._payload))
        while not self.held and self.await_room():
            self.held = self._load.take(len(self._payload))
        return self.held

    def give_back(self) -> None:
        """It is answered: the bytes of its request are held no more."""
        if self.held:
            self._load.give_back(len(self._payload))

    def abandoned(self) -> bool:
        return self.answer is not None or self._stream.gone()

    def await_room(self) -> bool:
        """The thread that reads the stream waits here, so that a caller is slowed down by what it has sent itself."""
        return self._stream.await_answer(self)

    def reply(self, payload: bytes) -> None:
        prefix = length_prefix(_INFER_RESPONSE, len(payload) + len(_FINAL))
        self._stream.settle(self, b"".join((prefix, payload, _FINAL)))

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        if self._stream.ends_at_errors:
            self._stream.settle(self, (code, message))
            return
        response = oip.ModelStreamInferResponse(error_message=message)
        # Bytes that are no request have no id.
        with suppress(DecodeError):
            response.infer_response.id = oip.ModelInferRequest.FromString(self._payload).id
        self._stream.settle(self, response.SerializeToString())


class _Stream:
    """One stream: the calls on it in their order, and the answers that are to be sent."""

    def __init__(self, context: grpc.ServicerContext, helpers: Helpers, load: Load, admit: Admit | None) -> None:
        remaining = context.time_remaining()
        self.deadline = math.inf if remaining is None else time.monotonic() + remaining
        self.metadata: Sequence[tuple[str, str | bytes]] = tuple(context.invocation_metadata())
        self.peer = context.peer()
        self.identities: tuple[bytes, ...] = tuple(context.peer_identities() or ())
        self.ends_at_errors = GRPC_ERRORS in self.metadata
        self.gone: Callable[[], bool] = lambda: not context.is_active()
        self._helpers, self._load, self._admit = helpers, load, admit
        self._line: deque[_StreamCall] = deque()
        self._taken = self.settled = 0
        """Calls that came, and those of them that are answered."""
        self._answers: queue.SimpleQueue[bytes | _End] = queue.SimpleQueue()
        self._free = threading.Semaphore(MOST_IN_FLIGHT)
        self._end: list[_End] = []
        self._lock = threading.Lock()
        self._settling = threading.Condition(self._lock)

    def read(self, requests: Iterator[bytes], handler: Handler) -> None:
        """Take messages until the caller has no more."""
        try:
            for payload in requests:
                self._free.acquire()
                # A stream may live for days, and its token be withdrawn meanwhile.
                if self._admit is not None and (refusal := self._admit(_PATH, self.metadata)) is not None:
                    self.end((_STATUS[refusal[0]], refusal[1]))
                    return
                call = _StreamCall(self, payload, self._load)
                with self._lock:
                    ended = bool(self._end)
                    if not ended:
                        self._line.append(call)
                        self._taken += 1
                if ended:
                    return
                if call.take():
                    handler(payload, call)
                else:
                    call.fail(Code.RESOURCE_EXHAUSTED, self._load.refuse_bytes(len(payload)))
        except Exception:
            # The iterator raises when the stream is cancelled.
            if not self.gone():
                log.exception("a stream cannot be read")
        finally:
            self.end(None)

    def settle(self, call: _StreamCall, answer: bytes | tuple[Code, str]) -> None:
        """Note the answer to a call, and pass on what is next in line."""
        with self._lock:
            if call.answer is not None:
                log.error("a message of a stream was answered twice", stack_info=True)
                return
            call.answer = answer
            call.give_back()
            self.settled += 1
            self._settling.notify_all()
            while self._line and (first := self._line[0].answer) is not None:
                self._line.popleft()
                if isinstance(first, bytes):
                    self._answers.put(first)
                else:
                    self._answers.put((_STATUS[first[0]], first[1]))
            self._finish()

    def end(self, how: _End) -> None:
        """Take no more messages; end when those that were taken are answered: well, or with a status."""
        with self._lock:
            if not self._end:
                self._end.append(how)
            self._settling.notify_all()
            self._finish()

    def await_answer(self, call: _StreamCall) -> bool:
        """Wait until another call was answered since ``call`` last looked. False when none is open, or nobody waits."""
        with self._lock:
            while call.heard == self.settled:
                if self.settled + 1 == self._taken or self.gone():
                    return False
                self._settling.wait()
            call.heard = self.settled
            return True

    def let_go(self) -> None:
        """Nobody takes answers any more: let a thread that waits for that go on, and end."""
        self.end(None)
        self._free.release(MOST_IN_FLIGHT)

    def _finish(self) -> None:
        if self._end and not self._line:
            self._answers.put(self._end[0])

    def answers(self) -> Iterator[bytes | _End]:
        """What is to be sent, and how to end at last; waits for it."""
        while True:
            answer = self._answers.get()
            yield answer
            self._free.release()

    def lead(self, work: Work, runs: int = 1) -> None:
        """See Call.lead. A helper leads, so that more can be read meanwhile and be in the same batch."""
        if not self._helpers.lead(work, min(runs, MOST_HANDS)):
            work(None)


class StreamService:
    """ModelStreamInfer. ``message`` answers one message, as a call of ModelInfer is answered.

    The transport admits streams; ``admit`` is asked again at each message.
    """

    def __init__(self, message: Method, load: Load, admit: Admit | None = None) -> None:
        self._message, self._load, self._admit = message, load, admit
        self._streams: set[_Stream] = set()
        self._closed = False
        self._lock = threading.Lock()
        # Of their own, so that streams take no threads from calls. A few more than streams, to refuse the next ones.
        self._threads = ThreadPoolExecutor(MOST_STREAMS + 4, thread_name_prefix="stream")
        self._helpers = Helpers(32, "stream-lead")

    def add_to(self, server: grpc.Server) -> None:
        """Register the method on a server; bytes go in and out as they are."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
            with_pool(self._answer, self._threads)
        )
        _, service, name = self._message.path.split("/")
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))

    @property
    def open(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def close(self) -> None:
        """Take no more messages. Streams end when what they have taken is answered: open ones would hold a stop."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.end((grpc.StatusCode.UNAVAILABLE, "the server is stopping: open another stream"))

    def _answer(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        stream = _Stream(context, self._helpers, self._load, self._admit)
        with self._lock:
            refusal = "the server is stopping" if self._closed else ""
            if not refusal and len(self._streams) >= MOST_STREAMS:
                refusal = f"{MOST_STREAMS} streams are open already; try again later"
            if not refusal:
                self._streams.add(stream)
        if refusal:
            code = grpc.StatusCode.UNAVAILABLE if self._closed else grpc.StatusCode.RESOURCE_EXHAUSTED
            self._message.refused(Code(code.value[0]))
            context.abort(code, refusal)
        try:
            # Wakes the loop below when the caller is gone.
            if not context.add_callback(lambda: stream.end(None)):
                return
            threading.Thread(
                target=stream.read, args=(requests, self._message.handler), name="stream-read", daemon=True
            ).start()
            for answer in stream.answers():
                if answer is None:
                    return
                if not isinstance(answer, bytes):
                    context.abort(*answer)
                yield answer
        finally:
            stream.let_go()
            with self._lock:
                self._streams.discard(stream)
