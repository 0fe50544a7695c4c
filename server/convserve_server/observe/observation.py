"""What is put around the handlers, as the settings ask: counts, the request log, traces. Nothing where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convserve_server.calls import Method
from convserve_server.counting import CallCounts, counted
from convserve_server.errors import InvalidSettings
from convserve_server.observe.request_log import RequestLog, Whose, nobodys
from convserve_server.observe.watching import Watcher, watched
from convserve_server.settings import Settings

if TYPE_CHECKING:
    from convserve_server.observe.traces import Tracing


class Observation:
    """Observes methods until close(). Raises InvalidSettings where what is asked for is not installed."""

    def __init__(self, settings: Settings, whose: Whose = nobodys) -> None:
        self.counts: list[CallCounts] = []
        """Of every method that was given to method(), where metrics are asked for."""
        if settings.profiling and settings.metrics is None:
            raise InvalidSettings("--profiling is served beside the metrics: give --metrics HOST:PORT, too")
        self._counting = settings.metrics is not None
        self._tracing = _tracing() if settings.traces else None
        # Traces first: they say which trace a call belongs to.
        self._watchers: Sequence[Watcher] = [
            *([self._tracing] if self._tracing else []),
            *([RequestLog(whose)] if settings.log_requests else []),
        ]

    def method(self, method: Method) -> Method:
        """The method, observed."""
        method = watched(method, self._watchers)
        if self._counting:
            method, counts = counted(method)
            self.counts.append(counts)
        return method

    def close(self) -> None:
        """Tell what was seen last."""
        if self._tracing is not None:
            self._tracing.close()


def _tracing() -> Tracing:
    try:
        from convserve_server.observe.traces import tracing_by_environment
    except ImportError as error:
        raise InvalidSettings(
            f"--traces needs OpenTelemetry ({error}): pip install 'convserve[traces]', or leave it out"
        ) from error
    return tracing_by_environment()
