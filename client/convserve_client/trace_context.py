"""The caller's trace, handed on with each call: so that the server's spans are below the application's."""

from __future__ import annotations

import sys
from collections.abc import Sequence

Metadata = tuple[tuple[str, str], ...]


def with_trace(metadata: Sequence[tuple[str, str]]) -> Metadata:
    """The metadata, and the current trace where the application uses OpenTelemetry; what is set by hand goes first."""
    # Who has not imported it has no current span, and need not wait for the import.
    if "opentelemetry.trace" not in sys.modules:
        return tuple(metadata)
    from opentelemetry import propagate

    context: dict[str, str] = {}
    propagate.inject(context)
    given = {key for key, _ in metadata}
    return (*metadata, *((key, value) for key, value in context.items() if key not in given))
