"""The check is able to fail: each kind of broken tree, made by hand behind the store's back, is reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from btree import TreeKind
from btree.check import PROBLEMS_MAX, check_transaction
from btree.codec import decode_node, encode_node
from btree.directory import DIRECTORY_PAGE, decode_directory, encode_directory
from btree.disk import DiskStore
from btree.node import Node, new_branch, new_leaf
from tests.btree.fake_pages import FakeFile, FakePages

KIND = TreeKind.RAW
COUNT = 400


class Broken:
    """A file with one raw tree of three levels, whose pages can be changed."""

    def __init__(self) -> None:
        self.file = FakeFile()
        self.store = self.opened()
        transaction = self.store.begin(write=True)
        for number in range(COUNT):
            transaction.tree(1).put(b"%05d" % number, b"value %d" % number)
        transaction.commit()
        self.store.checkpoint()
        transaction = self.store.begin(write=True)
        transaction.tree(1).put(b"large", b"x" * 5000)
        transaction.commit()
        self.store.checkpoint()
        self.root = self.directory()[1][1].root_page

    def opened(self) -> DiskStore:
        return DiskStore(FakePages(self.file), "x", page_bytes=200)

    def problems(self) -> list[str]:
        """What a handle that has nothing in memory finds."""
        reader = self.opened().begin()
        try:
            return check_transaction(reader)
        finally:
            reader.rollback()

    def payload(self, page: int) -> bytes:
        return self.file.read(page, self.file.locate(page, self.file.lsn))

    def put(self, page: int, payload: bytes) -> None:
        location = self.file.locate(page, self.file.lsn)
        if location:
            self.file.payloads[location] = (page, payload)
        else:
            self.file.pages[page] = [(self.file.lsn, self.file.store(page, payload))]

    def node(self, page: int) -> Node:
        return decode_node(KIND, self.payload(page), page, 1)

    def put_node(self, page: int, node: Node) -> None:
        self.put(page, encode_node(KIND, node))

    def directory(self) -> tuple[int, dict[int, Any]]:
        return decode_directory(self.payload(DIRECTORY_PAGE))

    def lowest(self) -> int:
        """The page of a branch whose children are leaves."""
        page = self.root
        while (node := self.node(page)).level > 1:
            assert node.pages is not None
            page = node.pages[0]
        return page

    def leaf(self, slot: int = 1) -> int:
        pages = self.node(self.lowest()).pages
        assert pages is not None
        return pages[slot]

    def free_page(self) -> int:
        page = self.file.next_page
        self.file.next_page += 1
        return page


def keys_out_of_order(broken: Broken) -> None:
    leaf = broken.node(broken.leaf())
    leaf.keys[0], leaf.keys[1] = leaf.keys[1], leaf.keys[0]
    broken.put_node(broken.leaf(), leaf)


def a_key_twice(broken: Broken) -> None:
    leaf = broken.node(broken.leaf())
    leaf.keys[1] = leaf.keys[0]
    broken.put_node(broken.leaf(), leaf)


def a_key_below_its_separator(broken: Broken) -> None:
    leaf = broken.node(broken.leaf())
    leaf.keys[0] = b"0"
    broken.put_node(broken.leaf(), leaf)


def a_key_above_its_separator(broken: Broken) -> None:
    leaf = broken.node(broken.leaf())
    leaf.keys[-1] = b"9"
    broken.put_node(broken.leaf(), leaf)


def an_entry_too_few(broken: Broken) -> None:
    leaf = broken.node(broken.leaf())
    assert leaf.values is not None
    del leaf.keys[0], leaf.values[0]
    broken.put_node(broken.leaf(), leaf)


def an_empty_leaf(broken: Broken) -> None:
    broken.put_node(broken.leaf(), new_leaf([], [], None))


def a_leaf_reached_twice(broken: Broken) -> None:
    branch = broken.node(broken.lowest())
    assert branch.pages is not None
    branch.pages = [branch.pages[0], *branch.pages[:-1]]
    broken.put_node(broken.lowest(), branch)


def a_branch_of_one_child(broken: Broken) -> None:
    branch = broken.node(broken.lowest())
    assert branch.pages is not None
    only = new_branch([], [0], branch.pages[:1], level=1, owner=None)
    broken.put_node(broken.lowest(), only)


def a_leaf_in_a_branchs_place(broken: Broken) -> None:
    root = broken.node(broken.root)
    assert root.pages is not None
    root.pages = [broken.leaf(0), *root.pages[1:]]
    broken.put_node(broken.root, root)


def a_child_that_is_no_node(broken: Broken) -> None:
    broken.put(broken.leaf(), b"\1\0\0\0garbage")


def a_page_that_is_not_there(broken: Broken) -> None:
    broken.file.pages[broken.leaf()].append((broken.file.lsn, 0))


def a_page_that_nothing_leads_to(broken: Broken) -> None:
    broken.put(broken.free_page(), encode_node(KIND, new_leaf([b"k"], [b"v"], None)))


def a_wrong_count(broken: Broken) -> None:
    next_tree_id, trees = broken.directory()
    trees[1].count += 1
    broken.put(DIRECTORY_PAGE, encode_directory(next_tree_id, trees))


def a_large_value_that_is_gone(broken: Broken) -> None:
    for page in broken.file.pages:
        if len(broken.payload(page)) > 4000:
            broken.put(page, b"\1\0\xff\0\xc1")
            return
    raise AssertionError("no large value")


def another_kind_of_tree(broken: Broken) -> None:
    next_tree_id, trees = broken.directory()
    trees[2].root_page = broken.root
    broken.put(DIRECTORY_PAGE, encode_directory(next_tree_id, trees))


DAMAGES: dict[Callable[[Broken], None], str] = {
    keys_out_of_order: "keys 0 and 1 are out of order",
    a_key_twice: "keys 0 and 1 are out of order",
    a_key_below_its_separator: "the first key lies below the separator to its left",
    a_key_above_its_separator: "the last key lies above the separator to its right",
    an_entry_too_few: "400 entries, but its count says 401",
    an_empty_leaf: "an empty leaf",
    a_leaf_reached_twice: "reached from tree 1 and from tree 1",
    a_branch_of_one_child: "a branch with 1 children",
    a_leaf_in_a_branchs_place: "has level 0",
    a_child_that_is_no_node: "not a node of a RAW tree",
    a_page_that_is_not_there: "is missing",
    a_page_that_nothing_leads_to: "neither reachable from a tree nor free",
    a_wrong_count: "401 entries, but its count says 402",
    a_large_value_that_is_gone: "not a large value of a RAW tree",
    another_kind_of_tree: "not a node of a TABLE tree",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_every_kind_of_broken_tree_is_reported(damage: Callable[[Broken], None]) -> None:
    broken = Broken()
    assert broken.node(broken.root).level == 2
    assert broken.problems() == []
    damage(broken)
    problems = broken.problems()
    assert any(DAMAGES[damage] in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


def test_a_check_stops_after_so_many_problems() -> None:
    broken = Broken()
    for _ in range(PROBLEMS_MAX + 50):
        a_page_that_nothing_leads_to(broken)
    problems = broken.problems()
    assert len(problems) == PROBLEMS_MAX + 1
    assert problems[-1] == f"stopped after {PROBLEMS_MAX} problems"
