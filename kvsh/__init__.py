"""kvsh: an ordered key-value store and SQL in one durable file.

    db = kvsh.open("app.db")           # the raw key space: see kvsh.database
    con = kvsh.connect("app.db")       # SQL, PEP 249: see kvsh.connection

`import kvsh as sqlite3` works for code that was written for the sqlite3 module, as far as its SQL is covered.
Names are imported when they are first used, so that `import kvsh` costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import would be most of this module's cost
if TYPE_CHECKING:
    from typing import Any

    from kvsh.adapting import (
        PARSE_COLNAMES,
        PARSE_DECLTYPES,
        Binary,
        Date,
        DateFromTicks,
        PrepareProtocol,
        Time,
        TimeFromTicks,
        Timestamp,
        TimestampFromTicks,
        adapt,
        adapters,
        converters,
        register_adapter,
        register_converter,
    )
    from kvsh.blob import Blob
    from kvsh.connection import Connection, connect
    from kvsh.cursor import Cursor, complete_statement
    from kvsh.database import Database, open
    from kvsh.errors import (
        DatabaseError,
        DataError,
        Error,
        IntegrityError,
        InterfaceError,
        InternalError,
        NotSupportedError,
        OperationalError,
        ProgrammingError,
        Warning,
    )
    from kvsh.row import Row
    from kvsh.tracebacks import enable_callback_tracebacks
    from kvsh.transaction import Transaction

apilevel = "2.0"
paramstyle = "qmark"
threadsafety = 3
"""Threads may share the module, connections that were made with `check_same_thread=False`, and their cursors (PEP 249)."""

version = "2.6.0"
"""What the sqlite3 module calls its own version."""

version_info = (2, 6, 0)
LEGACY_TRANSACTION_CONTROL = -1
"""The value of `Connection.autocommit` that leaves the matter to `isolation_level`: the default."""

sqlite_version = "3.40.1"
"""The version of SQLite whose language and answers kvsh gives."""

sqlite_version_info = (3, 40, 1)

_HOMES = {
    "kvsh.adapting": (
        "PARSE_COLNAMES PARSE_DECLTYPES Binary Date DateFromTicks PrepareProtocol Time TimeFromTicks"
        " Timestamp TimestampFromTicks adapt adapters converters register_adapter register_converter"
    ),
    "kvsh.blob": "Blob",
    "kvsh.connection": "Connection connect",
    "kvsh.cursor": "Cursor complete_statement",
    "kvsh.database": "Database open",
    "kvsh.errors": (
        "DatabaseError DataError Error IntegrityError InterfaceError InternalError"
        " NotSupportedError OperationalError ProgrammingError Warning"
    ),
    "kvsh.row": "Row",
    "kvsh.tracebacks": "enable_callback_tracebacks",
    "kvsh.transaction": "Transaction",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    value: Any
    home = _HOME_OF.get(name)
    if home is not None:
        from importlib import import_module

        value = getattr(import_module(home), name)
    elif name == "dbapi2":
        from importlib import import_module

        value = import_module("kvsh.dbapi2")
    elif name == "__version__":
        from importlib.metadata import version as installed

        value = installed("kvsh")
    elif name.startswith("SQLITE_"):
        from kvsh.codes import CODES

        if name not in CODES:
            raise AttributeError(f"module 'kvsh' has no attribute {name!r}")
        value = CODES[name]
    else:
        raise AttributeError(f"module 'kvsh' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from kvsh.codes import CODES

    return sorted({*globals(), *_HOME_OF, *CODES})


__all__ = [
    "LEGACY_TRANSACTION_CONTROL",
    "PARSE_COLNAMES",
    "PARSE_DECLTYPES",
    "Binary",
    "Blob",
    "Connection",
    "Cursor",
    "DataError",
    "Database",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "PrepareProtocol",
    "ProgrammingError",
    "Row",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Transaction",
    "Warning",
    "adapt",
    "adapters",
    "apilevel",
    "complete_statement",
    "connect",
    "converters",
    "enable_callback_tracebacks",
    "open",
    "paramstyle",
    "register_adapter",
    "register_converter",
    "sqlite_version",
    "sqlite_version_info",
    "threadsafety",
    "version",
    "version_info",
]
