"""The key-value peers, each as a few callables with no layer of ours in between.

`open_peer(name, path, durable)` gives an object with `get(key)`, `put(key, value)`, `delete(key)`,
`scan(lo, hi)` (half-open, everything when None), `begin()`, `commit()`, `close()`.  Keys and values are
bytes.  `durable`: every commit reaches the disk before it returns; otherwise no commit waits for it.
"""

from __future__ import annotations

import csv
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Pairs = Iterable[tuple[bytes, bytes]]


@dataclass
class KeyValuePeer:
    get: Callable[[bytes], bytes | None]
    put: Callable[[bytes, bytes], Any]
    delete: Callable[[bytes], Any]
    scan: Callable[[bytes | None, bytes | None], Pairs]
    begin: Callable[[], Any]
    commit: Callable[[], Any]
    close: Callable[[], Any]


def open_peer(name: str, path: str, *, durable: bool = False) -> KeyValuePeer:
    """The peer `name`: kvsh, kvsh-32mb, sqlite, sqlite-tuned, lmdb or rocksdict."""
    return _OPENERS[name](path, durable)


def _kvsh(path: str, durable: bool, cache_bytes: int | None = None) -> KeyValuePeer:
    import kvsh

    options: dict[str, Any] = {} if cache_bytes is None else {"cache_bytes": cache_bytes}
    db = kvsh.open(path, durability="full" if durable else "off", **options)
    open_transactions: list[Any] = []

    def begin() -> None:
        transaction = db.transaction()
        transaction.__enter__()
        open_transactions.append(transaction)

    def commit() -> None:
        open_transactions.pop().__exit__(None, None, None)

    return KeyValuePeer(
        db.get, db.put, db.delete, lambda lo, hi: db.scan(lo, hi), begin, commit, db.close
    )


def _sqlite(path: str, durable: bool, tuned: bool = False) -> KeyValuePeer:
    con = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    con.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
    if tuned:
        con.execute("PRAGMA journal_mode=WAL")
        con.execute("PRAGMA cache_size=-65536")
        con.execute("PRAGMA mmap_size=1073741824")
    con.execute("CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
    execute = con.execute

    def get(key: bytes) -> bytes | None:
        row = execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def scan(lo: bytes | None, hi: bytes | None) -> Pairs:
        if lo is None:
            return execute("SELECT key, value FROM kv ORDER BY key")
        return execute(
            "SELECT key, value FROM kv WHERE key >= ? AND key < ? ORDER BY key", (lo, hi)
        )

    return KeyValuePeer(
        get,
        lambda key, value: execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, value)),
        lambda key: execute("DELETE FROM kv WHERE key = ?", (key,)),
        scan,
        lambda: execute("BEGIN IMMEDIATE"),
        lambda: execute("COMMIT"),
        con.close,
    )


def _lmdb(path: str, durable: bool) -> KeyValuePeer:
    import lmdb

    env = lmdb.open(path, map_size=16 << 30, subdir=False, sync=durable, metasync=durable)
    current: list[Any] = [None]

    def get(key: bytes) -> bytes | None:
        with env.begin() as txn:
            found: bytes | None = txn.get(key)
            return found

    def put(key: bytes, value: bytes) -> None:
        if current[0] is not None:
            current[0].put(key, value)
            return
        with env.begin(write=True) as txn:
            txn.put(key, value)

    def delete(key: bytes) -> None:
        if current[0] is not None:
            current[0].delete(key)
            return
        with env.begin(write=True) as txn:
            txn.delete(key)

    def scan(lo: bytes | None, hi: bytes | None) -> Pairs:
        with env.begin() as txn:
            cursor = txn.cursor()
            found = cursor.first() if lo is None else cursor.set_range(lo)
            if not found:
                return
            for key, value in cursor.iternext():
                if hi is not None and key >= hi:
                    return
                yield key, value

    def begin() -> None:
        current[0] = env.begin(write=True)

    def commit() -> None:
        current[0].commit()
        current[0] = None

    return KeyValuePeer(get, put, delete, scan, begin, commit, env.close)


def _rocksdict(path: str, durable: bool) -> KeyValuePeer:
    import rocksdict

    options = rocksdict.Options(raw_mode=True)
    db = rocksdict.Rdict(path + ".rocks", options)

    def set_sync(sync: bool) -> None:
        write = rocksdict.WriteOptions()
        write.sync = sync
        db.set_write_options(write)

    set_sync(durable)

    def scan(lo: bytes | None, hi: bytes | None) -> Pairs:
        for key, value in db.items(from_key=lo):
            if hi is not None and key >= hi:
                return
            yield key, value

    def begin() -> None:
        """RocksDB's batches have no reads of their own writes: every put stands alone, and `commit` syncs all."""
        set_sync(False)

    def commit() -> None:
        if durable:
            db.flush_wal(sync=True)
        set_sync(durable)

    return KeyValuePeer(db.get, db.__setitem__, db.__delitem__, scan, begin, commit, db.close)


_OPENERS: dict[str, Callable[[str, bool], KeyValuePeer]] = {
    "kvsh": _kvsh,
    "kvsh-32mb": lambda path, durable: _kvsh(path, durable, 32 << 20),
    "sqlite": _sqlite,
    "sqlite-tuned": lambda path, durable: _sqlite(path, durable, tuned=True),
    "lmdb": _lmdb,
    "rocksdict": _rocksdict,
}


def connect(name: str, path: str, *, durable: bool = False) -> Any:
    """A PEP 249 connection in autocommit of the SQL peer `name`: kvsh, sqlite, sqlite-tuned, duckdb, apsw."""
    if name == "kvsh":
        import kvsh

        return kvsh.connect(path, isolation_level=None, durability="full" if durable else "off")
    if name == "duckdb":
        import duckdb

        return duckdb.connect(path + ".duck")
    if name == "apsw":
        return _Apsw(path, durable)
    con = sqlite3.connect(path, isolation_level=None)
    con.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
    if name == "sqlite-tuned":
        con.execute("PRAGMA journal_mode=WAL")
        con.execute("PRAGMA cache_size=-65536")
        con.execute("PRAGMA mmap_size=1073741824")
    return con


class _Apsw:
    """As much of a PEP 249 connection as the workloads use, over apsw."""

    def __init__(self, path: str, durable: bool) -> None:
        import apsw

        self._connection = apsw.Connection(path)
        self.execute = self._connection.execute
        self.executemany = self._connection.executemany
        self.close = self._connection.close
        self.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")


def insert(con: Any, peer: str, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Load rows into an empty table, untimed: by the way that is quick for the peer."""
    if peer == "duckdb":  # its executemany takes a tenth of a millisecond for a row
        with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
            file.flush()
            con.execute(f"COPY {table} FROM '{file.name}' (HEADER false)")
        return
    marks = ", ".join("?" * len(rows[0]))
    con.execute("BEGIN")
    con.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    con.execute("COMMIT")
