"""kvsh and sqlite3 side by side, each with a file and three connections: `a`, which does most; `b`, a second session
on the same store; `c`, which has the file open for itself, as another process would.

sqlite3 is the model of raw keys, too: a table `kv` of its own, that the same connection writes.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kvsh
from btree import open_store
from kvsh.connection import Connection
from kvsh.database import Database
from tests.sql.engines import Rows
from tests.sql.fuzz.agreement import alike, folded, same, sortable
from tests.sql.sequences.steps import Do, Many, Raw, Script, Settings, Sql, Step
from tests.sql.sequences.values import rows as rows_of

_MODEL = "CREATE TABLE kv(key PRIMARY KEY, value) WITHOUT ROWID"
_COUNTED = ("INSERT", "REPLACE", "UPDATE", "DELETE")
_TABLES = (
    "SELECT name, sql FROM {} WHERE type = 'table' AND name NOT IN ('kv', 'sqlite_stat1')"
    " ORDER BY name"
)
_CHOICES = ("min(", "max(", "GROUP", "DISTINCT", "UNION", "EXCEPT", "INTERSECT")
"""Where it is open which of several equal values (1 and 1.0) is shown."""


class Mismatch(Exception):
    """The two sides differ after a step; `kind` says in what."""

    def __init__(self, kind: str, step: object, ours: object, expected: object) -> None:
        super().__init__(
            f"{kind} after {step}\n    kvsh    {str(ours)[:1500]}\n    sqlite3 {str(expected)[:1500]}"
        )
        self.kind = kind


class _Held:
    """A query whose rows are being fetched: kvsh's cursor, and what is left to come."""

    def __init__(self, cursor: Any, left: Rows, query: str) -> None:
        self.cursor, self.left, self.query = cursor, left, query


class Pair:
    """Takes steps on both sides; raises Mismatch."""

    def __init__(self, folder: Path, settings: Settings, *, span: int) -> None:
        self.folder, self.settings, self.span = folder, settings, span
        self.ours: dict[str, Any] = {}
        self.oracle: dict[str, sqlite3.Connection] = {}
        self._held: list[_Held] = []
        self._changes: dict[str, int] = {}
        self._open(_MODEL)

    # -- opening and closing ---------------------------------------------------------------------

    def _open(self, *first: str) -> None:
        settings = self.settings
        for who in ("a", "b", "c", "raw"):
            made = sqlite3.connect(self.folder / "oracle.db", timeout=0, isolation_level=None)
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = OFF")
            self.oracle[who] = made
        for statement in first:
            self.oracle["a"].execute(statement)
        self.store = self._store(self.folder / "ours.db", settings.cache_bytes)
        self.other_store = self._store(self.folder / "ours.db", 1 << 20)
        self.database = Database(self.store, 0, settings.cache_bytes)
        self.ours["b"] = Connection.on_store(self.store, 0)
        self.ours["c"] = Connection.on_store(self.other_store, 0)
        if settings.shares_transactions:
            self.ours["a"] = self.database
        else:
            self.ours["a"] = Connection.on_store(self.store, 0)
            self.ours["a"].isolation_level = settings.isolation_level
            self.oracle["a"].isolation_level = settings.isolation_level
        self._changes = {}

    def _store(self, path: Path, cache_bytes: int) -> Any:
        settings = self.settings
        durability: Any = settings.durability
        return open_store(
            path,
            durability=durability,
            timeout=0,
            cache_bytes=cache_bytes,
            page_bytes=settings.page_bytes,
            scans_once=settings.scans_once,
        )

    def close(self) -> None:
        """Close all; what is open is rolled back."""
        self._held.clear()
        for who in "bca":
            if not (who == "a" and self.settings.shares_transactions):
                self.ours[who].close()
        for oracle in self.oracle.values():
            oracle.close()
        self.database.close()
        self.store.close()
        self.other_store.close()

    # -- steps -----------------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        """Take a step on both sides and compare what it gave."""
        match step:
            case Sql():
                self._sql(step)
            case Many():
                self._many(step)
            case Script():
                self._script(step)
            case Raw():
                self._raw(step)
            case Do():
                getattr(self, f"_{step.what}")(step)

    def _sql(self, step: Sql) -> None:
        text = step.text if step.oracle is None else step.oracle
        connection = self.oracle[step.who]
        before = connection.total_changes
        expected, cursor = _attempt(lambda: connection.execute(text, step.parameters))
        ours = self.ours[step.who]
        mine, our_cursor = _attempt(lambda: ours.execute(step.text, step.parameters))
        if step.oracle == "":
            if isinstance(mine, str):
                raise Mismatch("error", step, mine, "nothing")
            return
        self._compare(step, step.text, mine, expected)
        if not isinstance(expected, str) and step.text.startswith(_COUNTED):
            counts = [our_cursor.rowcount, our_cursor.lastrowid]
            counted = [cursor.rowcount, cursor.lastrowid]
            if "kv" in step.text or not step.text.startswith(("INSERT", "REPLACE")):
                counts.pop()
                counted.pop()
            if "RETURNING" in step.text:  # counted when all rows are fetched, in sqlite3
                counts[0] = counted[0]
            self._same("rowcount and lastrowid", step, counts, counted)
            self._count(step, connection.total_changes - before)
        else:
            self._count(step, None)
        if isinstance(expected, str) and connection.isolation_level is not None:
            # Whether a BEGIN stays that no statement came after depends on whether the module has its text at hand.
            return self._end(Do("end", "rollback", step.who))
        self._same("in_transaction", step, self.in_transaction(step.who), connection.in_transaction)

    def in_transaction(self, who: str) -> bool:
        """Whether kvsh's side has a transaction open."""
        ours = self.ours[who]
        if isinstance(ours, Database):
            ours = ours._connection()
        return bool(ours.in_transaction)

    def _count(self, step: Sql | Many | Script, expected: int | None) -> None:
        """Compare by how much `total_changes` has grown; what failed statements add is open."""
        ours = self.ours[step.who]
        if isinstance(ours, Database):
            ours = ours._connection()
        now = ours.total_changes
        before = self._changes.get(step.who, 0)
        self._changes[step.who] = now
        if expected is not None and not isinstance(step, Script) and "kv" not in step.text:
            self._same("total_changes", step, now - before, expected)

    def _many(self, step: Many) -> None:
        sets = rows_of(step.kinds, step.seed, step.start, step.count, self.span)
        connection = self.oracle[step.who]
        before = connection.total_changes
        expected, cursor = _attempt(lambda: connection.executemany(step.text, sets))
        ours = self.ours[step.who]
        if isinstance(ours, Database):
            ours = ours.execute("SELECT 1")
        mine, our_cursor = _attempt(lambda: ours.executemany(step.text, sets))
        self._compare(step, step.text, mine, expected)
        if isinstance(expected, str):
            self._count(step, None)
        else:
            self._same("rowcount", step, our_cursor.rowcount, cursor.rowcount)
            self._count(step, connection.total_changes - before)

    def _script(self, step: Script) -> None:
        text = ";\n".join(step.texts)
        expected, _ = _attempt(lambda: self.oracle[step.who].executescript(text))
        ours = self.ours[step.who]
        if isinstance(ours, Database):
            cursor = ours.execute("SELECT 1")
            mine, _ = _attempt(lambda: cursor.executescript(text))
            ours.execute("SELECT 1")  # so that it follows what the cursor committed
        else:
            mine, _ = _attempt(lambda: ours.executescript(text))
        self._compare(step, "", mine, expected)
        self._count(step, None)

    def _raw(self, step: Raw) -> None:
        database, arguments = self.database, step.arguments
        oracle = self.oracle["a" if self.settings.shares_transactions else "raw"]
        match step.operation:
            case "get":
                found = oracle.execute("SELECT value FROM kv WHERE key = ?", arguments).fetchone()
                expected = None if found is None else _bytes(found[0])
                self._same("get", step, database.get(*arguments), expected)
            case "put":
                mine, _ = _attempt(lambda: database.put(*arguments))
                theirs, _ = _attempt(
                    lambda: oracle.execute("REPLACE INTO kv VALUES(?, ?)", arguments)
                )
                self._compare(step, "", mine, theirs)
            case "delete":
                mine, done = _attempt(lambda: database.delete(*arguments))
                theirs, cursor = _attempt(
                    lambda: oracle.execute("DELETE FROM kv WHERE key = ?", arguments)
                )
                self._compare(step, "", mine, theirs)
                if not isinstance(theirs, str):
                    self._same("delete", step, done, cursor.rowcount == 1)
            case "scan":
                lo, hi, reverse, limit = arguments
                pairs = [*database.scan(lo, hi, reverse=reverse, limit=limit)]
                found = oracle.execute(
                    f"SELECT * FROM kv WHERE key >= ? AND key < ? ORDER BY key {'DESC' * reverse} LIMIT ?",
                    (lo, hi, -1 if limit is None else limit),
                ).fetchall()
                self._same("scan", step, pairs, [(_bytes(k), _bytes(v)) for k, v in found])
            case "count":
                counted = oracle.execute(
                    "SELECT count(*) FROM kv WHERE key >= ? AND key < ?", arguments
                ).fetchone()[0]
                self._same("count", step, database.count(*arguments), counted)
                counted = oracle.execute("SELECT count(*) FROM kv").fetchone()[0]
                self._same("count", step, len(database), counted)
            case "update":
                seed, count, prefix = arguments
                pairs = raw_pairs(seed, count, prefix)
                mine, _ = _attempt(lambda: database.update(pairs))
                oracle.execute("SAVEPOINT raw")
                theirs, _ = _attempt(
                    lambda: oracle.executemany("REPLACE INTO kv VALUES(?, ?)", pairs)
                )
                oracle.execute("RELEASE raw")
                self._compare(step, "", mine, theirs)
            case "puts":
                pairs = raw_pairs(*arguments)
                mine, _ = _attempt(lambda: [database.put(*each) for each in pairs])
                theirs, _ = _attempt(
                    lambda: oracle.executemany("REPLACE INTO kv VALUES(?, ?)", pairs)
                )
                self._compare(step, "", mine, theirs)

    # -- what is no statement --------------------------------------------------------------------

    def _end(self, step: Do) -> None:
        """Commit or roll back as PEP 249 has it: without a transaction that is nothing."""
        ours = self.ours[step.who]
        expected, _ = _attempt(getattr(self.oracle[step.who], step.argument))
        if isinstance(ours, Connection):
            mine, _ = _attempt(getattr(ours, step.argument))
        elif self.in_transaction(step.who):
            mine, _ = _attempt(lambda: ours.execute(step.argument.upper()))
        else:
            mine = []
        self._compare(step, "", mine, expected)

    def _hold(self, step: Do) -> None:
        rows, _ = _attempt(lambda: self.oracle[step.who].execute(step.argument))
        try:
            cursor = self.ours[step.who].execute(step.argument)
            first = cursor.fetchmany(3)
        except kvsh.Error as error:
            return self._compare(step, step.argument, f"error: {type(error).__name__}", rows)
        if isinstance(rows, str):
            raise Mismatch("error", step, first, rows)
        self._compare(step, step.argument + " ORDER BY", first, rows[:3])
        self._held.append(_Held(cursor, rows[3:], step.argument))

    def _drain(self, step: Do) -> None:
        held, self._held = self._held, []
        for one in held:
            self._compare(step, one.query + " ORDER BY", one.cursor.fetchall(), one.left)

    def _reopen(self, step: Do) -> None:
        self.close()
        self._open()

    def _compact(self, step: Do) -> None:
        self.store.compact()

    def _checkpoint(self, step: Do) -> None:
        self.store.checkpoint()

    def _function(self, step: Do) -> None:
        """Define f() anew; what is deterministic may be remembered, and is not to be now."""
        shift = int(step.argument)
        ours = self.ours["a"]
        if isinstance(ours, Database):
            ours = ours._connection()
        for connection in (ours, self.oracle["a"]):
            connection.create_function(
                "f",
                1,
                lambda x: x + shift if isinstance(x, int) else shift,
                deterministic=shift % 2 == 0,
            )

    def _check(self, step: Do) -> None:
        """The proof that trees are whole, and indexes those of their tables."""
        for who in (step.who,) if step.argument == "" else step.argument:
            rows = [*self.ours[who].execute("PRAGMA integrity_check")]
            if rows != [("ok",)]:
                raise Mismatch("integrity_check", step, rows, "ok")

    def _contents(self, step: Do) -> None:
        """Compare all tables as `step.who` sees them."""
        for schema in ("sqlite_master", "sqlite_temp_master"):
            self._compare_tables(step, self.ours[step.who], self.oracle[step.who], schema)

    def _kill(self, step: Do) -> None:
        """Compare what somebody finds who opens the file as it is now: that is, after this process was killed."""
        copy = self.folder / "killed.db"
        copy.unlink(missing_ok=True)
        shutil.copyfile(self.folder / "ours.db", copy)
        store = self._store(copy, self.settings.cache_bytes)
        ours = Connection.on_store(store, 0)
        oracle = sqlite3.connect(self.folder / "oracle.db", timeout=0, isolation_level=None)
        try:
            self._compare_tables(step, ours, oracle, "sqlite_master")
            rows = ours.execute("PRAGMA integrity_check").fetchall()
            self._same("integrity_check", step, rows, [("ok",)])
        finally:
            oracle.close()
            ours.close()
            store.close()

    def _compare_tables(
        self, step: Step, ours: Any, oracle: sqlite3.Connection, schema: str
    ) -> None:
        tables = oracle.execute(_TABLES.format(schema)).fetchall()
        mine = [*ours.execute(_TABLES.format(schema))]
        names = [name for name, _ in tables if name != "sqlite_sequence"]
        self._same("tables", step, [n for n, _ in mine if n != "sqlite_sequence"], names)
        for name, sql in tables:
            if name == "sqlite_sequence":
                continue
            wanted = "*" if "WITHOUT ROWID" in sql or name == "log" else "rowid, *"
            query = f"SELECT {wanted} FROM {name}"
            rows = sorted(oracle.execute(query).fetchall(), key=sortable)
            found = sorted(ours.execute(query), key=sortable)
            if len(rows) != len(found) or not all(map(_row_alike, found, rows)):
                raise Mismatch(f"contents of {name}", step, *_differing(found, rows))
        if schema == "sqlite_master":
            rows = oracle.execute("SELECT * FROM kv ORDER BY key").fetchall()
            self._same("keys", step, [*ours.execute("SELECT * FROM kv ORDER BY key")], rows)

    # -- comparing -------------------------------------------------------------------------------

    def _compare(self, step: Step, query: str, mine: Rows | str, expected: Rows | str) -> None:
        if isinstance(mine, str) or isinstance(expected, str):
            if (
                isinstance(mine, str)
                and isinstance(expected, str)
                and _class(mine) == _class(expected)
            ):
                return
            is_lock = "locked" in f"{mine}{expected}"
            raise Mismatch("lock" if is_lock else "error", step, mine, expected)
            return
        ordered = "ORDER BY" in query.rpartition(")")[2]
        if "RETURNING" in query:  # where sqlite3 shows whole REALs as integers
            mine, expected = [*map(folded, mine)], [*map(folded, expected)]
        if same(mine, expected, ordered=ordered):
            return
        if any(word in query for word in _CHOICES) and same(
            [*map(folded, mine)], [*map(folded, expected)], ordered=ordered
        ):
            return
        if not ordered:
            mine, expected = _differing(sorted(mine, key=sortable), sorted(expected, key=sortable))
        raise Mismatch("rows", step, mine, expected)

    @staticmethod
    def _same(kind: str, step: Step, ours: object, expected: object) -> None:
        if ours != expected:
            raise Mismatch(kind, step, ours, expected)


def raw_pairs(seed: int, count: int, prefix: str) -> list[tuple[str, str]]:
    """Random keys with values; some come twice."""
    import random

    rng = random.Random(seed)
    length = rng.choice((3, 3, 20, 700))
    return [
        (f"{prefix}{rng.randrange(count * 3)}", f"v{seed}" * rng.randrange(1, length))
        for _ in range(count)
    ]


def _attempt(run: Callable[[], Any]) -> tuple[Rows | str, Any]:
    """(all rows, or the error's class; the cursor or what else came)."""
    try:
        done = run()
        return ([*done.fetchall()] if hasattr(done, "fetchall") else []), done
    except (sqlite3.Error, sqlite3.Warning, kvsh.Error, kvsh.Warning) as error:
        return f"error: {type(error).__name__}: {error}", None


def _class(told: str) -> str:
    return told.split(":")[1]


def _row_alike(mine: Sequence[Any], expected: Sequence[Any]) -> bool:
    return len(mine) == len(expected) and all(map(alike, mine, expected))


def _differing(mine: Rows, expected: Rows) -> tuple[str, str]:
    """What only one side has."""
    ours, theirs = {*map(repr, mine)}, {*map(repr, expected)}
    return (
        f"{len(mine)} rows; only here: {sorted(ours - theirs)[:8]}",
        f"{len(expected)} rows; only here: {sorted(theirs - ours)[:8]}",
    )


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
