"""Keys and values for completion, read from a real tree by bounded range scans."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from btree import RAW_TREE_ID, Tree, TreeKind, open_memory, prefix_end
from kvsh.repl.live import distinct_values, fold_keys, take_sample


def raw_tree(keys: Iterable[bytes]) -> Tree:
    transaction = open_memory().begin(write=True)
    tree = transaction.tree(RAW_TREE_ID)
    ordered = sorted(keys)
    tree.load(ordered, [b"v"] * len(ordered))
    return tree


def texts(tree: Tree, prefix: bytes, limit: int = 60) -> list[str]:
    return [datum.text for datum in fold_keys(tree, prefix, limit)]


def test_keys_are_offered_segment_by_segment() -> None:
    tree = raw_tree(
        [b"user:1:name", b"user:1:mail", b"user:2:name", b"session/9", b"count", b"a.b.c", b"a.b.d"]
    )
    assert texts(tree, b"") == ["a.", "count", "session/9", "user:"]
    assert texts(tree, b"user:") == ["user:1:", "user:2:name"]
    assert texts(tree, b"user:1:") == ["user:1:mail", "user:1:name"]
    assert texts(tree, b"nothing") == []


def test_what_has_been_read_is_offered_where_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kvsh.repl.live.BUDGET_SECONDS", -1)
    assert texts(raw_tree([b"count", b"user:1", b"user:2"]), b"") == ["count", "user:"]
    transaction = open_memory().begin(write=True)
    index = transaction.tree(transaction.create_tree(TreeKind.INDEX))
    index.load([("Ada", 1), ("Alan", 2)])
    assert [datum.text for datum in distinct_values(index, "A", 10)] == ["Ada", "Alan"]


def test_a_million_keys_cost_no_more_than_a_few_seeks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvsh.repl.live.BUDGET_SECONDS", 60)  # seeks are counted, not timed
    tree = raw_tree([b"user:%d" % i for i in range(200_000)] + [b"zebra"])
    before = tree.pages_read
    for prefix in (b"", b"u", b"user:", b"user:12", b"z"):
        assert fold_keys(tree, prefix, 60)
    assert tree.pages_read - before < 300  # of more than 3,000
    (user, zebra) = fold_keys(tree, b"", 60)
    assert (user.text, user.whole, zebra.text) == ("user:", False, "zebra")
    assert user.note.startswith("about ")


def test_long_runs_of_plain_keys_do_not_hide_the_others() -> None:
    tree = raw_tree([b"k%04d" % i for i in range(5000)] + [b"last"])
    found = texts(tree, b"")
    assert found[0] == "k0000" and found[-2:] == ["k", "last"]


def test_keys_that_are_no_text_are_offered_as_blobs() -> None:
    tree = raw_tree([b"\xff\x00", b"tab\there"])
    assert texts(tree, b"") == ["x'7461620968657265'", "x'ff00'"]


def test_expired_keys_are_not_offered() -> None:
    transaction = open_memory().begin(write=True)
    tree = transaction.tree(RAW_TREE_ID)
    tree.put(b"gone", (b"v", 1))
    tree.put(b"here", (b"v", int(time.time() * 1000) + 60_000))
    assert texts(tree, b"") == ["here"]


def test_distinct_values_seek_past_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvsh.repl.live.BUDGET_SECONDS", 60)
    transaction = open_memory().begin(write=True)
    index = transaction.tree(transaction.create_tree(TreeKind.INDEX))
    entries = sorted((name, i) for i in range(20_000) for name in ("Ada", "Alan", "Barbara"))
    index.load(entries)
    found = distinct_values(index, "A", 10)
    assert [datum.text for datum in found] == ["Ada", "Alan"]
    assert [datum.text for datum in distinct_values(index, "", 10)] == ["Ada", "Alan", "Barbara"]


def test_a_sample_ranks_values_by_how_often_they_occur() -> None:
    transaction = open_memory().begin(write=True)
    table = transaction.tree(transaction.create_tree(TreeKind.TABLE))
    rows = [(i, ("common", "rare", None)[i % 10 if i % 10 < 2 else 0]) for i in range(100)]
    table.load(list(range(100)), rows)
    sample = take_sample(table, 1)
    assert [value for value, _ in sample.counts] == ["common", "rare"]
    assert sample.is_whole


def test_the_successor_of_a_prefix_is_above_all_that_start_with_it() -> None:
    assert prefix_end(b"a\xff\xff") == b"b"
    assert prefix_end(b"\xff") is None
