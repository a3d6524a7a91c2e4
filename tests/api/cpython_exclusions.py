"""Which of CPython's tests of the sqlite3 module do not apply to kvsh, and why."""

from __future__ import annotations

import sys

_FINALIZE = "a window's aggregate is asked for value() alone, finalize() is not called for its sake"
_DEPRECATED = "a deprecated name of the sqlite3 module, gone from Python 3.12 on"
_BACKUP_STEPS = "a backup copies a snapshot: what is committed meanwhile is not in it"
_TRACE = "the trace callback gets statements as they are written, parameters not filled in"

EXCLUDED: dict[str, str] = {
    "backup.BackupTests.test_modifying_progress": _BACKUP_STEPS,
    "dbapi.ConnectionTests.test_connection_resource_warning": "a connection that is dropped is closed, without a ResourceWarning",
    "dbapi.ConnectionTests.test_connection_signature": "the signature of calling a connection, without annotations",
    "dbapi.ModuleTests.test_deprecated_version": "how the sqlite3 module warns of its own version",
    "dbapi.ModuleTests.test_shared_cache_deprecated": _DEPRECATED,
    "dbapi.MultiprocessTests": "its other process imports the real sqlite3 module",
    "dump.DumpTests.test_dump_virtual_tables": "no virtual tables: the full text search of SQLite",
    "factory.TextFactoryTests.test_optimized_unicode": _DEPRECATED,
    "hooks.TraceCallbackTests.test_trace_expanded_sql": _TRACE,
    "hooks.TraceCallbackTests.test_trace_too_much_expanded_sql": _TRACE,
    "regression.RegressionTests.test_error_msg_decode_error": "text is never invalid UTF-8 in kvsh",
    "userfunctions.WindowFunctionTests.test_win_exception_in_finalize": _FINALIZE,
    "userfunctions.WindowFunctionTests.test_win_missing_finalize": _FINALIZE,
}
"""Test (`module.Class.test`), class or module -> reason."""

if sys.version_info >= (3, 13):
    EXCLUDED["dump.DumpTests.test_table_dump"] = (
        "a dump does not look for violated foreign keys, to turn them off"
    )
