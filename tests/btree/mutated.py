"""Mutated pages with right checksums: what a faulty program, an ill-meaning one or memory that flips bits leaves.

`python -m tests.btree.mutated --rounds N --seed S` makes databases in each of which a page or two say something else than
what was written, and asks them for everything: by key, by scan, by SQL, changes, checks, a repair.  What comes out is an
answer or an error of kvsh's; anything else is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import kvsh
from btree import StoreError, open_store
from engine import PageStore
from sql import Session, mend

encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode
HEAD_BYTES = 4
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        7,
        255,
        2**31,
        2**63 - 1,
        -(2**63),
        2**64 - 1,
        1.5,
        float("nan"),
    ),
    *(b"", b"x", b"\x90", b"b" + bytes(20), b"q" * 1000, "", "x", "CREATE TABLE t(x)"),
    *([], [[]], [1, 2, 3], {}, {"a": 1}, [None] * 5, [[b"k"], [b"v"]]),
]
BOMBS = [
    b"\xdd\xff\xff\xff\xff",
    b"\x91" * 100_000,
    b"\xc6\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
]
QUERIES = [
    "SELECT * FROM t",
    "SELECT count(*), sum(c), max(b), min(d), total(c * 2) FROM t",
    "SELECT * FROM t WHERE id IN (3, 77, 250, 399)",
    "SELECT * FROM t WHERE id BETWEEN 100 AND 130 ORDER BY id DESC",
    "SELECT b, count(*) FROM t GROUP BY b ORDER BY 2 DESC",
    "SELECT id FROM t WHERE b = 'text 3'",
    "SELECT c, id FROM t WHERE c > 30 ORDER BY c LIMIT 5",
    "SELECT b FROM t WHERE b LIKE 'text 1%'",
    "SELECT length(d), id FROM t WHERE d IS NOT NULL",
    "SELECT e FROM t WHERE id < 20",
    "SELECT sum(v) FROM w WHERE k = 3",
    "SELECT * FROM w ORDER BY k DESC, n",
    "SELECT t.b, w.v FROM t JOIN w ON w.k = t.id",
    "SELECT count(*) FROM t WHERE c IN (SELECT n FROM w)",
    "SELECT key, length(value) FROM kv WHERE key > 'k1' LIMIT 20",
    "SELECT count(*) FROM kv",
    "SELECT * FROM v",
    "SELECT * FROM sqlite_master",
    "PRAGMA table_info(t)",
]
CHANGES = [
    "INSERT INTO t(id, b, c) VALUES (99999, 'new', 1)",
    "INSERT INTO t(b) VALUES ('text 3')",
    "UPDATE t SET c = c + 1 WHERE id = 77",
    "UPDATE t SET c = c + 1 WHERE id < 300",
    "UPDATE t SET b = b || 'x' WHERE c = 5",
    "DELETE FROM t WHERE id = 5",
    "DELETE FROM w WHERE k < 3",
    "INSERT INTO w VALUES (5, -1, 'new'), (900, 1, 'new')",
    "INSERT INTO kv VALUES ('k0500x', 'new')",
    "DELETE FROM kv WHERE key < 'k0020'",
    "DELETE FROM t",
    "CREATE INDEX tx ON t(e, c)",
    "ANALYZE",
    "PRAGMA integrity_check",
    "VACUUM",
]


def made(path: Path) -> None:
    """A database with every kind of tree, rows by column and not, branches, and values in pages of their own."""
    with contextlib.closing(kvsh.connect(path, isolation_level=None)) as con:
        con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b, c INTEGER, d)")
        con.execute("CREATE INDEX tb ON t(b)")
        con.execute("CREATE INDEX tc ON t(c, b)")
        con.execute("CREATE TABLE w(k, n, v, PRIMARY KEY (k, n)) WITHOUT ROWID")
        con.execute("CREATE TABLE few(a UNIQUE, b)")
        con.execute("CREATE VIEW v AS SELECT count(*) FROM w")
        con.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?)",
            [
                (at, f"text {at % 9}", at % 50, None if at % 40 else "long" * 3000)
                for at in range(400)
            ],
        )
        con.executemany(
            "INSERT INTO w VALUES (?, ?, ?)", [(at % 20, at, at * 1.5) for at in range(600)]
        )
        con.execute("INSERT INTO few VALUES (1, x'00'), ('two', 2.5), (NULL, NULL)")
        con.execute("ALTER TABLE t ADD COLUMN e DEFAULT 'added'")
        con.execute("DELETE FROM t WHERE id % 10 = 4")
    with contextlib.closing(kvsh.open(path)) as db:
        db.update({b"k%04d" % at: b"v" * (at % 60) for at in range(600)})
        db.put("large", b"l" * 20_000)
        db.put("mortal", "value", ttl=10_000)
        db.checkpoint()


def mutated(content: Any, rng: random.Random) -> Any:
    """A decoded page with something else in it."""
    if isinstance(content, list) and content and rng.random() < 0.9:
        content = list(content)
        at = rng.randrange(len(content))
        dice = rng.random()
        if dice < 0.7:
            content[at] = mutated(content[at], rng)
        elif dice < 0.8:
            del content[at]
        else:
            content[at : at + (dice > 0.9)] = [rng.choice(ODD)]
        return content
    if isinstance(content, bytes) and content and rng.random() < 0.7:
        some = bytearray(content)
        if rng.random() < 0.7:
            some[rng.randrange(len(some))] = rng.randrange(256)
        else:
            del some[rng.randrange(len(some)) :]
        return bytes(some)
    if isinstance(content, int) and rng.random() < 0.5:
        return content + rng.choice([1, -1, 5, 1000, -content, 1 << 40])
    if isinstance(content, str) and content and rng.random() < 0.7:
        at = rng.randrange(len(content))
        return content[:at] + rng.choice("\"'();x\0[{") + content[at + rng.randrange(2) :]
    return rng.choice(ODD)


def mutated_page(page: bytes, others: list[bytes], rng: random.Random) -> bytes:
    dice = rng.random()
    if dice < 0.75:
        with contextlib.suppress(ValueError, OverflowError, msgspec.MsgspecError):
            return page[:HEAD_BYTES] + encode(mutated(decode(page[HEAD_BYTES:]), rng))
        return page
    if dice < 0.85:
        some = bytearray(page)
        some[rng.randrange(HEAD_BYTES)] = rng.choice([*range(6), 32, 64, 96, 128, 192, 254, 255])
        return bytes(some)
    if dice < 0.9:
        return page[:HEAD_BYTES] + rng.choice(BOMBS)
    if dice < 0.95:
        return page[: rng.randrange(len(page))]
    return rng.choice(others)


def spoil(path: Path, rng: random.Random) -> str:
    """Have one page of a database, or two, say something else; which."""
    with contextlib.closing(PageStore.open(path, durability="off")) as store:
        with store.snapshot() as seen:
            contents = {page: seen.read(page, at) for page, at in seen.pages()}
        chosen = rng.sample(sorted(contents), rng.choice([1, 1, 2]))
        writer = store.begin()
        for page in chosen:
            writer.put(page, mutated_page(contents[page], list(contents.values()), rng))
        writer.commit_pages().wait()
    return ", ".join(f"page {page} ({contents[page][:HEAD_BYTES].hex()})" for page in chosen)


def asked(path: Path, rng: random.Random) -> None:
    """Ask a database for everything; raises what is none of kvsh's errors."""
    with contextlib.suppress(kvsh.Error), contextlib.closing(_connected(path)) as con:
        for sql in [*rng.sample(QUERIES, len(QUERIES)), *rng.sample(CHANGES, len(CHANGES))]:
            with contextlib.suppress(kvsh.Error):
                con.execute(sql).fetchall()
        with contextlib.suppress(kvsh.Error):
            list(con.iterdump())
    with contextlib.suppress(kvsh.Error), contextlib.closing(kvsh.open(path)) as db:
        steps: list[Callable[[], object]] = [
            db.check,
            lambda: list(db.scan()),
            lambda: list(db.scan(reverse=True)),
            lambda: [db.get(b"k%04d" % at) for at in range(0, 600, 7)],
            lambda: db.get("large"),
            lambda: db.put("k0100", "x"),
            lambda: db.delete("k0200"),
            lambda: db.update({b"k%04d" % at: b"y" for at in range(600)}),
            db.checkpoint,
            db.compact,
        ]
        for step in rng.sample(steps, len(steps)):
            with contextlib.suppress(kvsh.Error):
                step()


def _connected(path: Path) -> Any:
    return kvsh.connect(path, isolation_level=None)


def repaired(path: Path, target: Path) -> None:
    """A repair gives a database that is whole, or says why there is none."""
    with contextlib.suppress(StoreError):
        kvsh_repair(path, target)
        with contextlib.closing(open_store(target)) as store:
            mend(Session(store))
            assert store.check() == [], store.check()


def kvsh_repair(path: Path, target: Path) -> None:
    from btree import repair

    repair(path, target)


def run_round(base: Path, directory: Path, seed: int) -> str:
    """One spoilt copy of a database, asked and repaired; raises what is none of kvsh's errors."""
    rng = random.Random(seed)
    path, target = directory / f"{seed}.db", directory / f"{seed}.repaired"
    shutil.copy(base, path)
    what = spoil(path, rng)
    try:
        repaired(path, target)
        asked(path, rng)
    except Exception as error:
        error.add_note(f"seed {seed}: {what}")
        raise
    finally:
        path.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
    return what


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        made(directory / "base")
        for seed in range(chosen.seed, chosen.seed + chosen.rounds):
            try:
                run_round(directory / "base", directory, seed)
            except Exception:
                failed += 1
                traceback.print_exc()
    print(f"{chosen.rounds} rounds, {failed} with what is no error of kvsh's")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
