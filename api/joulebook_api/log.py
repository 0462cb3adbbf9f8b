"""How a service and a worker write their log: one line per event, in UTC."""

from __future__ import annotations

import datetime
import logging
from typing import Any


class UtcFormatter(logging.Formatter):
    """Writes the time of a log line in UTC."""

    def formatTime(self, record: logging.LogRecord, _datefmt: str | None = None) -> str:  # noqa: N802 - the name that logging calls
        """Return the time of a record as RFC 3339 in UTC."""
        return datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")


LOG_SETTINGS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": UtcFormatter,
            "format": "%(asctime)s level=%(levelname)s logger=%(name)s %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
    "loggers": {
        "joulebook": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "apscheduler": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}
