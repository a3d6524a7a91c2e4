"""What the engine tells the logging module, silent by default.

The module is not imported for our sake, since that costs a one-shot command milliseconds: where nobody has
imported it, nobody listens.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging


class Journal:
    """Stands for the logger of a name: `info`, `warning`, `error`, `debug` with %-arguments."""

    __slots__ = ("_logger", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        # Kept, since asking for it takes a lock that all loggers share.
        self._logger: logging.Logger | None = None

    def _tell(self, level: str, message: str, arguments: tuple[Any, ...]) -> None:
        if "logging" not in sys.modules:
            return
        logger = self._logger
        if logger is None:
            import logging  # waits for another thread that is just importing it

            logger = self._logger = logging.getLogger(self._name)
            if not logger.handlers:
                logger.addHandler(logging.NullHandler())
        getattr(logger, level)(message, *arguments)

    def debug(self, message: str, *arguments: Any) -> None:
        self._tell("debug", message, arguments)

    def info(self, message: str, *arguments: Any) -> None:
        self._tell("info", message, arguments)

    def warning(self, message: str, *arguments: Any) -> None:
        self._tell("warning", message, arguments)

    def error(self, message: str, *arguments: Any) -> None:
        self._tell("error", message, arguments)
