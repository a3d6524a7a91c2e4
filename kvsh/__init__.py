"""kvsh: a database in one file, raw keys and SQL over one B-tree store.

    db = kvsh.open("app.db")         an ordered key space; `kvsh.database.Database`
    con = kvsh.connect("app.db")     PEP 249, as the sqlite3 module has it; `kvsh.connection.Connection`

Names are imported when they are first used, so that `import kvsh` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"
sqlite_version = "3.40.1"
sqlite_version_info = (3, 40, 1)
version = "2.6.0"
version_info = (2, 6, 0)

_FROM = {
    "kvsh.adapting": (
        "Binary", "Date", "DateFromTicks", "PARSE_COLNAMES", "PARSE_DECLTYPES", "PrepareProtocol",
        "Time", "TimeFromTicks", "Timestamp", "TimestampFromTicks", "adapt", "adapters",
        "converters", "register_adapter", "register_converter",
    ),
    "kvsh.blob": ("Blob",),
    "kvsh.connection": ("Connection", "connect", "enable_callback_tracebacks"),
    "kvsh.cursor": ("Cursor", "complete_statement"),
    "kvsh.database": ("Database", "open"),
    "kvsh.errors": (
        "DataError", "DatabaseError", "Error", "IntegrityError", "InterfaceError",
        "InternalError", "NotSupportedError", "OperationalError", "ProgrammingError", "Warning",
    ),
    "kvsh.row": ("Row",),
}  # fmt: skip

_MODULES = {name: module for module, names in _FROM.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is not None:
        value = getattr(importlib.import_module(module), name)
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
    return sorted({*globals(), *_MODULES})
