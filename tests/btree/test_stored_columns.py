"""Columns as they lie in pages give what the rows of those leaves have."""

from __future__ import annotations

import random
from array import array
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import StoredColumn, TreeKind, as_it_lies, listed, open_store
from btree.codec import KEY_COLUMN
from btree.column_codec import encode_column, texts_between

ODD = ("\u00e9", "\0", "x" * 31, "x" * 32, 5, 0, -3, 1 << 40, 2.5, b"b", "\ud7ff", "\U0001f600")


def expected_between(values: list[Any], *, folded: bool) -> str:
    text = "".join("\0" + (value or "") for value in values) + "\0"
    return text.lower() if folded else text


@pytest.mark.parametrize("seed", range(4))
def test_texts_between_separators(seed: int) -> None:
    draw = random.Random(seed)
    told = refused = 0
    for _ in range(800):
        leaves = []
        for _ in range(draw.randrange(1, 4)):
            size = draw.choice((1, 8, 15, 16, 40))
            values: list[Any] = [
                draw.choice((None, "", "Ab", "Cd" * draw.randrange(16))) for _ in range(size)
            ]
            if draw.random() < 0.2:
                for _ in range(draw.randrange(3)):
                    values[draw.randrange(size)] = draw.choice(ODD)
            if draw.random() < 0.05:
                values = [draw.randrange(256) for _ in range(size)]
            leaves.append(values)
        together = [value for values in leaves for value in values]
        folded = draw.random() < 0.5
        columns = [encode_column(values) for values in leaves]
        found = texts_between(columns, len(together), "\0", folded=folded)
        plain = all(
            value is None
            or (
                isinstance(value, str) and value.isascii() and len(value) < 32 and "\0" not in value
            )
            for value in together
        )
        assert (found is not None) == plain, together
        if found is not None:
            assert found == expected_between(together, folded=folded)
        told += plain
        refused += not plain
    assert told > 100
    assert refused > 50


def test_columns_of_a_file_just_opened(tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = {
        key: (
            key,
            draw.randrange(1000),
            draw.random(),
            draw.choice(("a", "Bc", "")),
            key % 2 or 2.5,
        )
        for key in range(1, 12000)
        if not 5000 < key < 5100
    }
    store = open_store(tmp_path / "t.db")
    writing = store.begin(write=True)
    writing.create_tree(TreeKind.TABLE)
    writing.tree(3).load([*rows], [*rows.values()])
    writing.commit()
    store.close()
    store = open_store(tmp_path / "t.db")
    kinds: set[type] = set()
    for start, stop in ((None, None), (700, 9000)):
        found: list[tuple[Any, ...]] = []
        columns = (KEY_COLUMN, 1, 2, 3, 4)
        tree = store.begin().tree(3)
        for batch in tree.column_batches(columns, start, stop, stored=True):
            stored = [column for column in batch if isinstance(column, StoredColumn)]
            for column in stored:
                assert len(column) == len([*column]) == len(column.values())
                assert column[-1] == column.values()[-1]
                assert column[1:3] == column.values()[1:3]
            kinds |= {type(as_it_lies(column)) for column in stored}
            assert all(isinstance(listed(column), list) for column in batch)
            assert all(isinstance(listed(column), list) for column in stored)
            lies = zip(*map(as_it_lies, batch), strict=True)
            made = list(zip(*map(listed, batch), strict=True))
            assert list(lies) == made
            if isinstance(batch[3], StoredColumn):
                text = batch[3].text_between("|", folded=True)
                assert text == "|" + "|".join([*batch[3]]).lower() + "|"
                assert batch[2].numbers() == array("d", batch[2])
                assert batch[4].numbers() is None
                assert batch[4].text_between("|", folded=False) is None
                assert batch[0].text_between("|", folded=False) is None
            found += made
        inside = [key for key in rows if (start or 0) <= key < (stop or 1 << 62)]
        assert found == [(key, *rows[key][1:]) for key in inside]
        store.close()
        store = open_store(tmp_path / "t.db")
    store.close()
    assert kinds == {array, range, list}


def test_columns_that_are_kept_come_as_lists(tmp_path: Path) -> None:
    store = open_store(tmp_path / "t.db")
    writing = store.begin(write=True)
    writing.create_tree(TreeKind.TABLE)
    writing.tree(3).load(range(9000), [(n, n / 2) for n in range(9000)])
    writing.commit()
    store.close()
    store = open_store(tmp_path / "t.db")
    for is_first in (True, False, False):
        for (batch,) in store.begin().tree(3).column_batches((1,), stored=True):
            assert isinstance(batch, StoredColumn) == is_first
    store.close()


@pytest.mark.parametrize("gone", ["a % 10 = 3", "a % 397 = 3", "a % 2", "a < 9000 AND a % 7 < 3"])
def test_rows_that_are_listed_as_gone_are_in_no_form_of_a_column(
    gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("btree.rewritten_pages.LEAVES_MIN", 1)
    monkeypatch.setattr("btree.rewritten_pages.ROWS_MIN", 1)
    path = tmp_path / "t.db"
    con: Any = kvsh.connect(path, isolation_level=None)
    con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b INT, c TEXT, d TEXT, e REAL)")
    rows = [
        (n, n * 1000, f"text {n}" if n % 5 else None, "\u00e9" if n % 7 else "x" * 40, n / 2)
        for n in range(1, 20_001)
    ]
    con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    con.close()
    con = kvsh.connect(path, isolation_level=None)
    con.execute(f"DELETE FROM t WHERE {gone}")
    left = con.execute("SELECT * FROM t").fetchall()
    con.close()
    assert set(left) < set(rows)
    store = open_store(path)
    reading = store.begin()
    tree_id = max(each for each in reading.tree_ids() if len(reading.tree(each)) == len(left))
    found: list[tuple[Any, ...]] = []
    lying, forms = 0, set[bool]()
    for batch in reading.tree(tree_id).column_batches((KEY_COLUMN, 1, 2, 3, 4), stored=True):
        keys, numbers, texts, others, reals = batch
        if isinstance(keys, StoredColumn):  # the last leaf has been read whole
            lying += any(leaf.gone for leaf in keys._leaves)
            assert list(as_it_lies(keys)) == keys.values()
            told = {numbers.numbers() is None, reals.numbers() is None}
            assert told == {texts.text_between("|", folded=False) is None}
            forms |= told
            if False in told:
                assert numbers.numbers() == array("i", numbers.values())
                assert reals.numbers() == array("d", reals.values())
                together = "|".join(["", *[text or "" for text in texts.values()], ""])
                assert texts.text_between("|", folded=False) == together
            assert others.text_between("|", folded=False) is None
        found += zip(*map(as_it_lies, batch), strict=True)
    assert lying > 1
    # Few are taken out of a column as it lies; where they are many, its values are made.
    assert forms == ({False} if "397" in gone else {True, False} if "9000" in gone else {True})
    assert found == left
    store.close()
