"""PRAGMAs: what tools ask of SQLite, answered for this store.

Each pragma that gives rows has its columns and a function in `_ROWS`, so that it is also a table-valued
function (`pragma_table_info('t')`).  Settings that mean something here change it;
settings of SQLite's that have no counterpart are remembered, shown, and change nothing; unknown pragmas
do nothing, as in SQLite.

Answers that need a word: `journal_mode` is "wal" for a file (its log is the database), "memory" without
one, whatever is asked for; `synchronous` shows the store's durability, which is chosen when it is opened;
`page_size` is nominal, and `page_count` the file's size in such pages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from btree import BusyError
from sql.catalog import Catalog, setting
from sql.context import Context
from sql.errors import SqlError, SqlNameError
from sql.parse.statements import Pragma
from sql.plan import ResultColumn
from sql.pragma_tables import TABLE_PRAGMAS
from sql.result import Result
from sql.schema import MAIN
from sql.session_writes import attempt

if TYPE_CHECKING:
    from sql.session import Session

Rows = Iterable[tuple[Any, ...]]
PragmaRows = Callable[[Context, str | None, str | None], Rows]

PAGE_SIZE_BYTES = 4096
_PROBLEMS_MAX = 100

_FLAGS = ("foreign_keys", "defer_foreign_keys", "recursive_triggers", "ignore_check_constraints")
_STORED = ("user_version", "application_id")
_KEPT: dict[str, Any] = {
    "analysis_limit": 0,
    "auto_vacuum": 0,
    "automatic_index": 1,
    "cache_size": -262144,
    "cache_spill": 1,
    "cell_size_check": 0,
    "checkpoint_fullfsync": 0,
    "count_changes": 0,
    "empty_result_callbacks": 0,
    "full_column_names": 0,
    "fullfsync": 0,
    "hard_heap_limit": 0,
    "journal_size_limit": -1,
    "legacy_alter_table": 0,
    "max_page_count": 1073741823,
    "read_uncommitted": 0,
    "reverse_unordered_selects": 0,
    "secure_delete": 0,
    "short_column_names": 1,
    "soft_heap_limit": 0,
    "temp_store": 2,
    "threads": 0,
    "trusted_schema": 1,
    "wal_autocheckpoint": 1000,
    "writable_schema": 0,
}
_SYNCHRONOUS = {"off": 0, "normal": 1, "full": 2}


def execute_pragma(session: Session, statement: Pragma) -> Result:
    """Carry out a PRAGMA statement."""
    name = statement.name.lower()
    database = None if statement.schema is None else statement.schema.lower()
    if database not in (None, "temp") and database not in session.numbers:
        raise SqlError(f"unknown database {statement.schema}")
    value = statement.value
    if value is not None and name not in _WITH_ARGUMENT:
        return _set(session, name, value, database)
    columns = pragma_columns(name)
    if columns is None:
        return Result()
    if name == "case_sensitive_like":
        return Result()
    with session.reading() as transaction:
        rows = list(pragma_rows(session.context(transaction), name, value, database))
    shown = ("timeout",) if name == "busy_timeout" else columns
    return Result(tuple(map(ResultColumn, shown)), [rows] if rows else [])


def pragma_columns(name: str) -> tuple[str, ...] | None:
    """The columns of the rows that pragma `name` gives; None if it gives none."""
    table = TABLE_PRAGMAS.get(name)
    if table is not None:
        return table[0]
    if name in _ROWS:
        return _ROWS[name][0]
    if name in _FLAGS or name in _STORED or name in _KEPT:
        return (name,)
    return None


def pragma_rows(ctx: Context, name: str, argument: str | None, database: str | None) -> Rows:
    """The rows of a pragma that reads.  `database`: a lower-case name, or None for where names are looked up."""
    table = TABLE_PRAGMAS.get(name)
    if table is not None:
        return table[1](ctx, argument, database)
    if name in _ROWS:
        return _ROWS[name][1](ctx, argument, database)
    session = ctx.session
    if name in _FLAGS:
        return [(int(getattr(session, name)),)]
    if name in _STORED:
        return [(setting(ctx.schema, name, database),)]
    return [(session.pragmas.get(name, _KEPT[name]),)]


# -- settings -------------------------------------------------------------------------------------------


def _set(session: Session, name: str, value: str, database: str | None) -> Result:
    if name in _FLAGS or name == "case_sensitive_like":
        _set_flag(session, name, is_on=_truth(value))
    elif name in _STORED:
        _store(session, name, _integer(value), database or MAIN)
    elif name == "busy_timeout":
        session.busy_timeout = max(0, _integer(value)) / 1000
        return Result((ResultColumn("timeout"),), [[(max(0, _integer(value)),)]])
    elif name == "query_only":
        session.query_only = _truth(value)
    elif name == "journal_mode":
        return execute_pragma(session, Pragma(text="", name=name, schema=database))
    elif name in _KEPT:
        session.pragmas[name] = _integer(value) if _is_number(value) else int(_truth(value))
    return Result()


def _set_flag(session: Session, name: str, *, is_on: bool) -> None:
    if name == "foreign_keys" and session.in_transaction:
        return  # as in SQLite: no effect within a transaction
    if getattr(session, name) != is_on:
        setattr(session, name, is_on)
        if name == "case_sensitive_like":
            _replace_like(session, is_sensitive=is_on)
        elif name == "defer_foreign_keys" and not is_on:
            _forget_deferred(session)
        session.forget_plans()


def _forget_deferred(session: Session) -> None:
    """As in SQLite, violations that the pragma alone has deferred are none any more when it is turned off: programs
    that remake a table look with foreign_key_check first.  Those of deferred constraints are not told from them."""
    if not session.deferred_violations:
        return
    with session.reading() as transaction:
        layers = session.schema_of(transaction).layers().values()
        tables = [table for layer in layers for table in layer.tables.values()]
    if not any(key.deferred for table in tables for key in table.foreign_keys):
        session.deferred_violations = 0


def _replace_like(session: Session, *, is_sensitive: bool) -> None:
    """As in SQLite, the operator is the function like(), and the pragma puts another in its place."""
    from sql.compile.patterns import like_exactly
    from sql.functions import Function

    for count in (2, 3):
        if is_sensitive:
            like = Function("like", like_exactly, count, count, builtin=False)
            session.functions.register(like, count)
        else:
            session.functions.unregister("like", count)


def _store(session: Session, name: str, value: int, database: str) -> None:
    if database == "temp":
        session.make_temporary_store()
    with attempt(session, database) as (transaction, _):
        layer = session.schema_of(transaction).layer(database)
        assert layer is not None
        Catalog(session.part_of(transaction, database), layer).set_setting(name, value)


def _truth(value: str) -> bool:
    """SQLite's reading of a boolean setting: on, yes, true, or a number other than 0."""
    return value.lower() in ("on", "yes", "true") or _integer(value) != 0


def _is_number(value: str) -> bool:
    return value.lstrip("+-").isdigit()


def _integer(value: str) -> int:
    """The number, as 32 bits; 0 if it is none."""
    number = int(value) if _is_number(value) else 0
    return number if -(1 << 31) <= number < 1 << 31 else 0


# -- pragmas that read ------------------------------------------------------------------------------------


def _integrity(ctx: Context, argument: str | None, database: str | None) -> Rows:
    from sql.maintenance import check_database

    limit, table = _PROBLEMS_MAX, None
    if argument is not None:
        if _is_number(argument):
            limit = _integer(argument) or _PROBLEMS_MAX
        else:
            table = argument
            found = ctx.schema.find_table(table, database)
            if found is None:
                raise SqlNameError(f"no such table: {table}", token=table)
            database = found.database
    return [(line,) for line in check_database(ctx.session, limit, database, table) or ["ok"]]


def _foreign_key_check(ctx: Context, argument: str | None, database: str | None) -> Rows:
    from sql.dml import check_foreign_keys

    table = None
    if argument is not None:
        table = ctx.schema.find_table(argument, database)
        if table is None:
            raise SqlNameError(f"no such table: {argument}", token=argument)
    rows: Rows = check_foreign_keys(ctx, database or MAIN, table)
    return rows


def _database_list(ctx: Context, _: str | None, database: str | None) -> Rows:
    names = [other.name for other in ctx.session.others.values()]
    places = [0, *range(1 if names[:1] == ["temp"] else 2, len(names) + 2)]
    for place, name in zip(places, [MAIN, *names], strict=False):
        path = ctx.session.store_of(name.lower()).path
        yield place, name, os.path.abspath(path) if path else ""


def _collation_list(ctx: Context, _: str | None, database: str | None) -> Rows:
    names = [*ctx.functions.collations, "RTRIM", "NOCASE", "BINARY"]
    return list(enumerate(dict.fromkeys(names)))


def _function_list(ctx: Context, _: str | None, database: str | None) -> Rows:
    from sql.functions import Aggregate, Function, builtins

    for name, variants in sorted(builtins().items()):
        for function in variants:
            kind = "s" if isinstance(function, Function) else "w"
            if isinstance(function, Aggregate) and not function.slides:
                kind = "a"
            is_fixed = function.min_args == function.max_args
            flags = 2048 if getattr(function, "deterministic", False) else 0
            yield name, 1, kind, "utf8", function.min_args if is_fixed else -1, flags
    for name in ctx.functions.names():
        if name not in builtins():
            yield name, 0, "s", "utf8", -1, 0


def _store_of(ctx: Context, database: str | None) -> Any:
    session: Session = ctx.session
    return session.store if database in (None, "temp") else session.store_of(database)


def _synchronous(ctx: Context, _: str | None, database: str | None) -> Rows:
    durability = getattr(_store_of(ctx, database), "durability", "off")
    return [(_SYNCHRONOUS.get(str(durability), 2),)]


def _journal_mode(ctx: Context, _: str | None, database: str | None) -> Rows:
    return [("wal" if _store_of(ctx, database).path else "memory",)]


def _page_count(ctx: Context, _: str | None, database: str | None) -> Rows:
    path = _store_of(ctx, database).path
    size = os.path.getsize(path) if path else 0
    return [(-(-size // PAGE_SIZE_BYTES),)]


def _wal_checkpoint(ctx: Context, _: str | None, database: str | None) -> Rows:
    store = _store_of(ctx, database)
    if ctx.session.in_transaction or store.readonly:
        return [(1, -1, -1)]
    try:
        store.checkpoint()
    except BusyError:
        return [(1, -1, -1)]
    return [(0, 0, 0)]


def _busy_timeout(ctx: Context, _: str | None, database: str | None) -> Rows:
    timeout = ctx.session.busy_timeout
    if timeout is None:
        timeout = getattr(ctx.session.store, "timeout", 5.0)
    return [(int(timeout * 1000),)]


def _part(ctx: Context, database: str | None) -> Any:
    """The part of the transaction on a database."""
    return ctx.session.part_of(ctx.transaction, MAIN if database in (None, "temp") else database)


def _constant(value: Any) -> PragmaRows:
    return lambda ctx, argument, database: [(value,)]


_ROWS: dict[str, tuple[tuple[str, ...], PragmaRows]] = {
    "busy_timeout": (("timeout",), _busy_timeout),
    "case_sensitive_like": (("case_sensitive_like",), _constant(0)),
    "collation_list": (("seq", "name"), _collation_list),
    "compile_options": (("compile_options",), lambda ctx, argument, database: []),
    "data_version": (
        ("data_version",),
        lambda ctx, argument, database: [(_part(ctx, database).commit_number,)],
    ),
    "database_list": (("seq", "name", "file"), _database_list),
    "encoding": (("encoding",), _constant("UTF-8")),
    "foreign_key_check": (("table", "rowid", "parent", "fkid"), _foreign_key_check),
    "freelist_count": (("freelist_count",), _constant(0)),
    "function_list": (("name", "builtin", "type", "enc", "narg", "flags"), _function_list),
    "integrity_check": (("integrity_check",), _integrity),
    "journal_mode": (("journal_mode",), _journal_mode),
    "locking_mode": (("locking_mode",), _constant("normal")),
    "module_list": (
        ("name",),
        lambda ctx, argument, database: [("generate_series",), ("json_each",), ("json_tree",)],
    ),
    "page_count": (("page_count",), _page_count),
    "page_size": (("page_size",), _constant(PAGE_SIZE_BYTES)),
    "pragma_list": (("name",), lambda ctx, argument, database: [(name,) for name in sorted(_ALL)]),
    "query_only": (
        ("query_only",),
        lambda ctx, argument, database: [(int(ctx.session.query_only),)],
    ),
    "quick_check": (("quick_check",), _integrity),
    "schema_version": (
        ("schema_version",),
        lambda ctx, argument, database: [(setting(ctx.schema, "schema_version", database),)],
    ),
    "synchronous": (("synchronous",), _synchronous),
    "wal_checkpoint": (("busy", "log", "checkpointed"), _wal_checkpoint),
}

_WITH_ARGUMENT = frozenset(
    [*TABLE_PRAGMAS, "integrity_check", "quick_check", "foreign_key_check", "wal_checkpoint"]
)
_ALL: frozenset[str] = frozenset([*TABLE_PRAGMAS, *_ROWS, *_FLAGS, *_STORED, *_KEPT])
