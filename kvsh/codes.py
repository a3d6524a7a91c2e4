"""The sqlite3 module's numeric constants, so that `import kvsh as sqlite3` finds them.

The numbers are those of SQLite's C interface (https://www.sqlite.org/rescode.html,
https://www.sqlite.org/c3ref/c_alter_table.html, https://www.sqlite.org/c3ref/c_limit_attached.html).
An extended result code is its primary code plus 256 times its ordinal.
"""

from __future__ import annotations

_PRIMARY = [
    "OK",
    "ERROR",
    "INTERNAL",
    "PERM",
    "ABORT",
    "BUSY",
    "LOCKED",
    "NOMEM",
    "READONLY",
    "INTERRUPT",
    "IOERR",
    "CORRUPT",
    "NOTFOUND",
    "FULL",
    "CANTOPEN",
    "PROTOCOL",
    "EMPTY",
    "SCHEMA",
    "TOOBIG",
    "CONSTRAINT",
    "MISMATCH",
    "MISUSE",
    "NOLFS",
    "AUTH",
    "FORMAT",
    "RANGE",
    "NOTADB",
    "NOTICE",
    "WARNING",
]

_EXTENDED = {
    "ERROR": "MISSING_COLLSEQ RETRY SNAPSHOT",
    "IOERR": (
        "READ SHORT_READ WRITE FSYNC DIR_FSYNC TRUNCATE FSTAT UNLOCK RDLOCK DELETE BLOCKED NOMEM "
        "ACCESS CHECKRESERVEDLOCK LOCK CLOSE DIR_CLOSE SHMOPEN SHMSIZE SHMLOCK SHMMAP SEEK "
        "DELETE_NOENT MMAP GETTEMPPATH CONVPATH VNODE AUTH BEGIN_ATOMIC COMMIT_ATOMIC "
        "ROLLBACK_ATOMIC DATA CORRUPTFS"
    ),
    "LOCKED": "SHAREDCACHE VTAB",
    "BUSY": "RECOVERY SNAPSHOT TIMEOUT",
    "CANTOPEN": "NOTEMPDIR ISDIR FULLPATH CONVPATH DIRTYWAL SYMLINK",
    "CORRUPT": "VTAB SEQUENCE INDEX",
    "READONLY": "RECOVERY CANTLOCK ROLLBACK DBMOVED CANTINIT DIRECTORY",
    "ABORT": "- ROLLBACK",
    "CONSTRAINT": (
        "CHECK COMMITHOOK FOREIGNKEY FUNCTION NOTNULL PRIMARYKEY TRIGGER UNIQUE VTAB ROWID PINNED "
        "DATATYPE"
    ),
    "NOTICE": "RECOVER_WAL RECOVER_ROLLBACK",
    "WARNING": "AUTOINDEX",
    "AUTH": "USER",
}

_ACTIONS = [
    "COPY",
    "CREATE_INDEX",
    "CREATE_TABLE",
    "CREATE_TEMP_INDEX",
    "CREATE_TEMP_TABLE",
    "CREATE_TEMP_TRIGGER",
    "CREATE_TEMP_VIEW",
    "CREATE_TRIGGER",
    "CREATE_VIEW",
    "DELETE",
    "DROP_INDEX",
    "DROP_TABLE",
    "DROP_TEMP_INDEX",
    "DROP_TEMP_TABLE",
    "DROP_TEMP_TRIGGER",
    "DROP_TEMP_VIEW",
    "DROP_TRIGGER",
    "DROP_VIEW",
    "INSERT",
    "PRAGMA",
    "READ",
    "SELECT",
    "TRANSACTION",
    "UPDATE",
    "ATTACH",
    "DETACH",
    "ALTER_TABLE",
    "REINDEX",
    "ANALYZE",
    "CREATE_VTABLE",
    "DROP_VTABLE",
    "FUNCTION",
    "SAVEPOINT",
    "RECURSIVE",
]

LIMITS = [
    "LENGTH",
    "SQL_LENGTH",
    "COLUMN",
    "EXPR_DEPTH",
    "COMPOUND_SELECT",
    "VDBE_OP",
    "FUNCTION_ARG",
    "ATTACHED",
    "LIKE_PATTERN_LENGTH",
    "VARIABLE_NUMBER",
    "TRIGGER_DEPTH",
    "WORKER_THREADS",
]
"""Names of the run-time limit categories, in their numeric order."""

_DBCONFIG_FIRST = 1002
_DBCONFIG = (
    "ENABLE_FKEY ENABLE_TRIGGER ENABLE_FTS3_TOKENIZER ENABLE_LOAD_EXTENSION NO_CKPT_ON_CLOSE ENABLE_QPSG TRIGGER_EQP "
    "RESET_DATABASE DEFENSIVE WRITABLE_SCHEMA LEGACY_ALTER_TABLE DQS_DML DQS_DDL ENABLE_VIEW LEGACY_FILE_FORMAT "
    "TRUSTED_SCHEMA"
)
DBCONFIG = {name: number for number, name in enumerate(_DBCONFIG.split(), _DBCONFIG_FIRST)}
"""A connection's options (https://www.sqlite.org/c3ref/c_dbconfig_defensive.html)."""


def _codes() -> dict[str, int]:
    codes = {f"SQLITE_{name}": number for number, name in enumerate(_ACTIONS)}
    primary = {f"SQLITE_{name}": number for number, name in enumerate(_PRIMARY)}
    codes |= primary
    codes |= {"SQLITE_ROW": 100, "SQLITE_DONE": 101, "SQLITE_DENY": 1, "SQLITE_IGNORE": 2}
    for base, names in _EXTENDED.items():
        for ordinal, name in enumerate(names.split(), start=1):
            if name != "-":
                codes[f"SQLITE_{base}_{name}"] = primary[f"SQLITE_{base}"] + 256 * ordinal
    codes |= {"SQLITE_OK_LOAD_PERMANENTLY": 256, "SQLITE_OK_SYMLINK": 512}
    codes |= {f"SQLITE_LIMIT_{name}": number for number, name in enumerate(LIMITS)}
    codes |= {f"SQLITE_DBCONFIG_{name}": number for name, number in DBCONFIG.items()}
    return codes


CODES: dict[str, int] = _codes()
"""Name -> number."""
