"""SIGSTOP and SIGCONT: a server that stood still answers who has waited, and drops who has not."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from convserve_proto import open_inference as oip
from support.survival import METHOD, answers_rightly, body, leaves_nothing, surviving


def test_who_waited_is_answered_and_who_did_not_is_dropped(tmp_path: Path, kind: str) -> None:
    with surviving(tmp_path, "--transport", kind) as server:

        def stand_still() -> None:
            with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                grpc.channel_ready_future(channel).result(10)
                infer: Any = channel.unary_unary(METHOD)
                server.process.send_signal(signal.SIGSTOP)
                try:
                    patient = [infer.future(body(n), timeout=30) for n in range(30)]
                    hasty = [infer.future(body(n), timeout=0.3) for n in range(30)]
                    assert {f.code() for f in hasty} == {grpc.StatusCode.DEADLINE_EXCEEDED}
                    time.sleep(0.3)
                finally:
                    server.process.send_signal(signal.SIGCONT)
                for number, future in enumerate(patient):
                    (raw, _) = oip.ModelInferResponse.FromString(future.result()).raw_output_contents
                    assert np.frombuffer(raw, np.float32)[0] == 2 * number

        leaves_nothing(server, stand_still)


def test_several_workers_stand_still_and_go_on(tmp_path: Path) -> None:
    with surviving(tmp_path, "--workers", "2") as server:
        server.process.send_signal(signal.SIGSTOP)
        # The parent serves nobody: its workers go on without it.
        answers_rightly(server.address)
        server.process.send_signal(signal.SIGCONT)
        answers_rightly(server.address)
