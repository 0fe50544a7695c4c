"""What of the server's log is written, changed while it runs."""

from __future__ import annotations

import logging

PACKAGE = "convserve_server"


class LogSettings(logging.Filter):
    """Which of the server's records are written; starts as the log is. Filters the handlers of the root logger.

    ``info``, ``warning`` and ``error`` let records of these levels through; ``verbose`` above 0 those for debugging.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger(PACKAGE)
        level = self._logger.getEffectiveLevel()
        self.error = True
        self.warning = level <= logging.WARNING
        self.info = level <= logging.INFO
        self.verbose = 1 if level <= logging.DEBUG else 0

    def apply(self) -> None:
        """Make the values that were set take effect."""
        self._logger.setLevel(logging.DEBUG if self.verbose else logging.INFO)
        for handler in logging.getLogger().handlers:
            # Adding it twice changes nothing.
            handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """True for a record that is to be written. Those of other packages are none of our business."""
        if not record.name.startswith(PACKAGE):
            return True
        if record.levelno >= logging.ERROR:
            return self.error
        if record.levelno >= logging.WARNING:
            return self.warning
        return self.info if record.levelno >= logging.INFO else self.verbose > 0
