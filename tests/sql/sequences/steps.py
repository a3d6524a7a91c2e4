"""What a step is: plain data, so that a sequence can be shown, shortened and taken once more."""

from __future__ import annotations

from typing import Any, NamedTuple


class Settings(NamedTuple):
    """How kvsh's side opens its file, and how programs speak to both."""

    page_bytes: int = 8192
    cache_bytes: int = 256 << 20
    scans_once: bool = False
    durability: str = "off"
    shares_transactions: bool = True
    """Whether `a` is a `kvsh.Database`, whose raw keys join its SQL transactions; else it is a PEP 249 connection."""
    isolation_level: str | None = None
    """Of `a`, if it is a connection."""


class Sql(NamedTuple):
    """One statement on the connection `who`; `oracle` is what sqlite3 runs instead ("" for nothing)."""

    text: str
    parameters: tuple[Any, ...] = ()
    who: str = "a"
    oracle: str | None = None


class Many(NamedTuple):
    """`executemany` with the rows that `values.rows` makes of the rest."""

    text: str
    kinds: str
    seed: int
    start: int
    count: int
    who: str = "a"


class Script(NamedTuple):
    """`executescript`, which commits what is open."""

    texts: tuple[str, ...]
    who: str = "a"


class Raw(NamedTuple):
    """A raw key's operation: put, get, delete, scan, count, update."""

    operation: str
    arguments: tuple[Any, ...]


class Do(NamedTuple):
    """What is no statement: `end` a connection's transaction (`commit`, `rollback`), `hold` a query's rows
    and `drain` them, `reopen`, `kill`, `compact`, `checkpoint`, define a `function`, compare the `contents`, `check`."""

    what: str
    argument: str = ""
    who: str = "a"


Step = Sql | Many | Script | Raw | Do
