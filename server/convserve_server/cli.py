"""The command line of the server: read the settings, run until a signal, say in a sentence what went wrong."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from convserve_server.access import exposure
from convserve_server.errors import StartupError
from convserve_server.grpc_core import tell_core
from convserve_server.observe.log_format import LONGEST_MESSAGE, set_up_logging
from convserve_server.observe.safe_text import safe
from convserve_server.observe.thread_dump import dump_threads_on_signal
from convserve_server.settings import Settings, read_settings

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until SIGTERM or SIGINT. Returns 0 after a clean stop, 1 when it could not start."""
    tell_core()  # before anything imports grpc
    style = "text"
    try:
        settings = read_settings(arguments)
        style = settings.log_format
        # A measurement speaks for itself.
        level = "warning" if settings.tune and settings.log_level == "info" else settings.log_level
        set_up_logging(level, settings.log_format)
        dump_threads_on_signal()
        return _run(settings)
    except StartupError as error:
        if style == "text":
            print(f"convserve-server: {safe(str(error), LONGEST_MESSAGE)}", file=sys.stderr)
        else:
            log.critical("%s", error)
        return 1


def _run(settings: Settings) -> int:
    if settings.make_token is not None:
        from convserve_server.access.making import make_token

        return make_token(settings.make_token)
    if settings.tune:
        from convserve_server.tuning.command import tune

        return tune(settings)
    for sentence in exposure.warnings(settings):
        log.warning("%s", sentence)
    # Each way imports what it needs, and the parent of several workers needs little.
    if settings.workers > 1:
        from convserve_server.workers.supervisor import Supervisor

        return Supervisor(settings).run()
    from convserve_server.single import serve

    return serve(settings)
