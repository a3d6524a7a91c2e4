"""Mutated databases: pages that say something else under right checksums, and bytes that have changed under them.

`python -m tests.btree.mutated --rounds N --seed S` makes databases in each of which a page or two say something else than
what was written (a faulty program, an ill-meaning one, memory that flips bits), and asks them for everything: by key, by
scan, by SQL, changes, checks, a repair.  What comes out is an answer or an error of kvsh's; anything else is printed.

With `--bytes` a disk does it: bits flip, records and blocks are zeroed, swapped, repeated or garbage, the file is cut or
grown, closed or under an open handle that has read and changed it.  There an answer is the right one: that of a whole
database which was told of the same changes but those that failed.  What is damaged and needed, `check` names; what is not
damaged, a repair brings back.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

import kvsh
from btree import StoreError, TreeKind, open_store
from btree.codec import decode_node
from btree.node import InPages, LargeReference
from engine import PageStore
from engine.format import (
    KIND_DELETE,
    KIND_PAGE,
    LOG_START,
    MARKED_EARLY,
    Record,
    decode_header,
    decode_record,
    location_offset,
    location_span,
    owner_of,
    salt_of,
)
from sql import Session, mend
from tests.engine.workload import content_of

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


# -- bytes that change under their checksums ---------------------------------------------------------


def lived_in(path: Path, *, closed: bool) -> None:
    """`made` with some more commits, so that pages have versions of one size; closed, or as a killed process leaves it."""
    working = path if closed else path.with_name(path.name + ".open")
    made(working)
    con = _connected(working)
    for number in range(4):
        con.execute(
            "UPDATE t SET c = c + 1 WHERE id BETWEEN ? AND ?", (number * 90, number * 90 + 40)
        )
        con.execute("UPDATE w SET v = v + 1 WHERE k = ?", (number,))
        con.execute("UPDATE few SET b = ? WHERE a = 1", (number,))
        con.execute("PRAGMA wal_checkpoint")
    con.execute("DELETE FROM t WHERE id = 371")
    con.execute("UPDATE kv SET value = 'redo' WHERE key < 'k0003'")
    if not closed:
        shutil.copy(working, path)
    con.close()
    if not closed:
        working.unlink()


def records_of(data: bytes) -> list[tuple[int, Record]]:
    """(offset, record) of a whole file."""
    salt = salt_of(decode_header(data[:LOG_START], "db")[0].database_id)
    found, position = [], LOG_START
    while (record := decode_record(salt, data, position)) is not None:
        found.append((position, record))
        position += record.span
    return found


def chosen_record(data: bytes, rng: random.Random) -> tuple[int, Record]:
    """One of a kind that is chosen first, so that the rare ones have their turn."""
    found = records_of(data)
    kinds = [
        (record.kind, record.payload[1:3] if record.kind == KIND_PAGE else b"")
        for _, record in found
    ]
    kind = rng.choice(sorted(set(kinds)))
    return rng.choice([one for one, its in zip(found, kinds, strict=True) if its == kind])


def damaged(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """The bytes with one damage, and what that was."""
    some = bytearray(data)
    at, record = chosen_record(data, rng)
    what = f"record {record.kind} of page {record.page}, commit {record.lsn} at {at} ({record.span} bytes)"
    block = at & -4096
    how = rng.choice(DAMAGES)
    if how == "bit":
        some[at + rng.randrange(record.span)] ^= 1 << rng.randrange(8)
    elif how == "head":
        some[at + rng.randrange(32)] = rng.randrange(256)
    elif how == "zeroed":
        some[at : at + record.span] = bytes(record.span)
    elif how == "zeroed block":
        some[block : block + 4096] = bytes(len(some[block : block + 4096]))
    elif how == "garbage block":
        some[block : block + 4096] = rng.randbytes(len(some[block : block + 4096]))
    elif how == "swapped":
        other, its = chosen_record(data, rng)
        span = min(record.span, its.span)
        some[at : at + span], some[other : other + span] = (
            data[other : other + span],
            data[at : at + span],
        )
        what += f" and {other}"
    elif how == "another":
        other, its = chosen_record(data, rng)
        some[at : at + its.span] = data[other : other + its.span]
        what += f" by that at {other}"
    elif how == "header":
        some[rng.randrange(80) + rng.choice([0, 512])] ^= 1 << rng.randrange(8)
    elif how == "header slot":
        slot = rng.choice([0, 512])
        some[slot : slot + 512] = rng.choice(
            [bytes(512), rng.randbytes(512), data[512 - slot : 1024 - slot]]
        )
    elif how == "words":
        words = rng.randrange(6) * 8 + 1024
        some[words : words + 8] = rng.choice([bytes(8), rng.randbytes(8), b"\xff" * 8])
    elif how == "header block":
        some[:LOG_START] = rng.choice([bytes(LOG_START), rng.randbytes(LOG_START)])
    elif how == "cut":
        del some[max(LOG_START, at + rng.choice([0, record.span // 2, record.span])) :]
    elif how == "grown":
        some += rng.choice([bytes(9000), rng.randbytes(9000), data[at:]])
    elif how == "moved":
        if rng.random() < 0.5:
            some[at:at] = rng.randbytes(rng.choice([1, 8, 4096]))
        else:
            del some[at : at + rng.choice([1, 8, 4096])]
    return bytes(some), f"{how}: {what}"


DAMAGE_CODES = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR")
DAMAGES = [
    *("bit", "head", "zeroed", "zeroed block", "garbage block", "swapped", "another"),
    *("header", "header slot", "words", "header block", "cut", "grown", "moved"),
]


def compared(con: Any, whole: Any, rng: random.Random, changes_max: int = 5) -> bool:
    """Ask both for everything; whether one failed for damage.  Raises what is neither right nor an error of kvsh's."""
    failed = False
    asked_for = [*QUERIES, *rng.sample(CHANGES, rng.randint(0, changes_max))]
    for sql in rng.sample(asked_for, len(asked_for)):
        if "integrity" in sql:
            continue
        try:
            got: Any = _answer(con, sql)
        except kvsh.Error as error:
            if error.sqlite_errorname in DAMAGE_CODES:
                failed = True
                continue
            got = str(error)
        try:
            right: Any = _answer(whole, sql)
        except kvsh.Error as error:
            right = str(error)
        assert got == right, f"{sql}: {got!r:.300} instead of {right!r:.300}"
    return failed


def _answer(con: Any, sql: str) -> list[Any]:
    return sorted(con.execute(sql).fetchall(), key=repr)


@contextlib.contextmanager
def _closed_anyhow(con: Any) -> Iterator[Any]:
    """The connection, closed in the end, though that may be told of a file that was cut."""
    try:
        yield con
    finally:
        with contextlib.suppress(kvsh.Error):
            con.close()


def put(path: Path, data: bytes) -> None:
    """Write over a file that others have open, without its ever being empty."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def run_bytes_round(base: Path, directory: Path, seed: int) -> str:
    """One copy of a database that is damaged, asked and repaired; raises what is wrong of it."""
    rng = random.Random(seed)
    path, target, whole_path = (directory / f"{seed}.{end}" for end in ("db", "repaired", "whole"))
    data = base.read_bytes()
    shutil.copy(base, whole_path)
    shutil.copy(base, path)
    is_open = rng.random() < 0.5
    what = ""
    try:
        with contextlib.closing(_connected(whole_path)) as whole, contextlib.ExitStack() as stack:
            if is_open:
                con = stack.enter_context(_closed_anyhow(_connected(path)))
                for sql in rng.sample(QUERIES, rng.randrange(len(QUERIES))):
                    assert _answer(con, sql) == _answer(whole, sql)
                if rng.random() < 0.5:
                    assert not compared(con, whole, rng)
                data = path.read_bytes()
            after, what = damaged(data, rng)
            what = f"{'open' if is_open else 'closed'}, {what}"
            put(path, after)
            salvaged_whole(data, path, target)
            with contextlib.suppress(kvsh.Error):
                if not is_open:
                    con = stack.enter_context(_closed_anyhow(_connected(path)))
                compared(con, whole, rng)
            if not is_open or rng.random() < 0.5:
                stack.close()
            again = True
            with contextlib.suppress(kvsh.Error), contextlib.closing(_connected(path)) as con:
                again = compared(con, whole, rng, changes_max=0)
            if again:
                with contextlib.suppress(kvsh.Error), contextlib.closing(kvsh.open(path)) as db:
                    assert db.check(), "check finds nothing"
    except Exception as error:
        error.add_note(f"seed {seed}: {what}")
        raise
    finally:
        for each in (path, target, whole_path):
            each.unlink(missing_ok=True)
    return what


def salvaged_whole(data: bytes, damaged: Path, target: Path) -> None:
    """A repair brings back what stands in leaves that are as they were, wherever they are by now."""
    before = damaged.with_suffix(".before")
    before.write_bytes(data)
    try:
        with contextlib.closing(open_store(before, readonly=True)) as store:
            content = content_of(store.begin())
        with PageStore.open(before, readonly=True) as pages, pages.snapshot() as seen:
            locations = list(seen.pages())
    finally:
        before.unlink()
    after = damaged.read_bytes()
    salt = salt_of(decode_header(data[:LOG_START], "db")[0].database_id)
    left: dict[int, dict[Any, Any]] = {}
    # What neither a commit's record nor a page table proves was never committed, for all that anybody knows,
    # and what a commit wrote early it may have changed again.
    there = {
        record.lsn: record.kind
        for at, record in records_of(data)
        if record.kind > KIND_DELETE and after.find(data[at : at + record.span]) >= 0
    }
    proved = max(there, default=0)
    for page, location in locations:
        offset = location_offset(location)
        record = decode_record(salt, data, offset)
        assert record is not None and record.page == page
        is_leaf = owner_of(record.pages) and not record.payload[2]
        is_proved = record.lsn <= proved and (record.pages < MARKED_EARLY or record.lsn in there)
        if (
            is_leaf
            and is_proved
            and after.find(data[offset : offset + location_span(location)]) >= 0
        ):
            leaf = decode_node(TreeKind(record.payload[1]), record.payload, page, location)
            values = leaf.values or [None] * len(leaf.keys)
            left.setdefault(owner_of(record.pages), {}).update(
                (key, value)
                for key, value in zip(leaf.keys, values, strict=True)
                if not isinstance(value, LargeReference)  # which may be damaged
            )
    found: dict[int, Any] = {}
    try:
        kvsh_repair(damaged, target)
    except StoreError as error:
        assert not left, f"nothing was salvaged: {error}"
    else:
        with contextlib.closing(open_store(target)) as store:
            assert store.check() == [], store.check()
            found = content_of(store.begin())
    for tree_id, leaves in left.items():
        came, right = found.get(tree_id, {}), content.get(tree_id, {})
        missing = (leaves.keys() & right.keys()) - came.keys()
        assert not missing, f"tree {tree_id}: {len(missing)} of {len(leaves)} entries"
        for key, value in leaves.items():
            if key in came and key in right and not isinstance(value, InPages):
                assert came[key] in (right[key], value), (
                    f"tree {tree_id}: {key!r} is {came[key]!r:.60}"
                )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bytes", action="store_true")
    chosen = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        made(directory / "base")
        lived_in(directory / "closed", closed=True)
        lived_in(directory / "left", closed=False)
        for seed in range(chosen.seed, chosen.seed + chosen.rounds):
            try:
                if chosen.bytes:
                    run_bytes_round(directory / ("closed", "left")[seed % 2], directory, seed)
                else:
                    run_round(directory / "base", directory, seed)
            except Exception:
                failed += 1
                traceback.print_exc()
    print(f"{chosen.rounds} rounds, {failed} with what is no error of kvsh's")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
