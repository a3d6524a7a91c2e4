"""Lines of Python about one row that is written: what `keyed` and `insert_one` put their functions together of.

`return None` in them leaves the row to the general way, with nothing written: it finds the same again, and what comes
of it.  Variables of theirs end in `_`; the row and its key are in variables that the caller names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sql.dml.cascades import children_tree
from sql.dml.undo import ABSENT
from sql.dml.writer import same
from sql.parse import parse_expression

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.compile import RowCode, RowScope
    from sql.dml.foreign_keys import ForeignKeys
    from sql.dml.index_keys import IndexKeys
    from sql.dml.records import TableRecords

Lines = list[str]


def indented(lines: Iterable[str]) -> Lines:
    """The same lines, one level deeper."""
    return [f"    {line}" for line in lines]


def checks(scope: RowScope, records: TableRecords) -> Lines:
    """The row breaks no CHECK."""
    return [
        f"if {scope.refuses(parse_expression(check.expression))}: return None"
        for check in records.table.checks
    ]


def nothing_waits(code: RowCode, keys: ForeignKeys, *, noted: bool) -> Lines:
    """No violated foreign key waits to be repaired, so that nobody has to count what a row repairs.  `noted`: it is a
    statement of a program, or has programs."""
    session = code.name(keys.session, "session")
    waits = f"{session}.deferred_violations{' or ctx.state.violations' if noted else ''}"
    return [f"if {waits}: return None"]


def parents(code: RowCode, keys: ForeignKeys, row: str) -> Lines:
    """All rows that the row in the variable refers to are there."""
    lines = []
    for child in keys.own:
        parent, places = child.parent, child.key.columns
        if parent.is_rowid:
            tree_id = parent.table.tree_id
            lines += [
                f"ref_ = {row}[{places[0]}]",
                "if ref_ is not None and"
                f" (ref_.__class__ is not int or txn.row({tree_id}, ref_) is None): return None",
            ]
        else:
            exists = code.name(parent.exists, "exists")
            lines += [
                f"ref_ = ({''.join([f'{row}[{place}], ' for place in places])})",
                f"if None not in ref_ and not {exists}(ctx, ref_): return None",
            ]
    return lines


def children(code: RowCode, env: BindEnvironment, keys: ForeignKeys, row: str) -> Lines | None:
    """`met_` is whether any row refers to the row in the variable; None where that takes a scan."""
    lines = ["met_ = False"]
    for reference in keys.parents:
        found = children_tree(env, reference)
        if found is None:
            return None
        tree_id, places = found
        if tree_id == reference.child.tree_id and reference.key.columns == (
            reference.child.rowid_alias,
        ):
            lines.append(f"met_ = met_ or txn.row({tree_id}, {row}[{places[0]}]) is not None")
            continue
        lines += [
            f"ref_ = ({''.join([f'{row}[{place}], ' for place in places])})",
            f"met_ = met_ or (None not in ref_ and txn.tree({tree_id}).prefixed(ref_) != [])",
        ]
    return lines


class Entries:
    """The entries of some indexes, in variables of their own by the place of the index."""

    def __init__(self, code: RowCode, indexes: Sequence[IndexKeys], *, noted: bool) -> None:
        self._name = code.name
        self._indexes = indexes
        self._noted = noted

    def _of(self, index: IndexKeys, row: str, key: str) -> str:
        if index.condition is not None:
            return f"{self._name(index.entry, 'entry')}(ctx, {row}, {key})"
        return index.key_source(row, key, self._name)

    def _free(self, index: IndexKeys, place: int, taken: str) -> Lines:
        """No other row has the values of a unique entry.  `taken`: what is returned if one has."""
        entry = f"new{place}_"
        guards = []
        if index.condition is not None:
            guards.append(f"{entry} is not None")
        values = f"{entry}[:{index.parts}]"
        if index.parts == 1:
            guards.append(f"{entry}[0] is not None")
        else:
            guards.append(f"None not in {values}")
        return [
            f"if {' and '.join(guards)}:",
            f"    found_ = tree{place}_.prefixed({values})",
            "    if found_ is None: return None",
            f"    if found_: return {taken}",
        ]

    @property
    def variables(self) -> list[str]:
        """Those that what `changed` found is in."""
        return [
            f"{name}{place}_"
            for place in range(len(self._indexes))
            for name in ("tree", "old", "new")
        ]

    def come(self, row: str, key: str) -> Lines:
        """Those of a new row."""
        lines = []
        for place, index in enumerate(self._indexes):
            lines += [
                f"new{place}_ = {self._of(index, row, key)}",
                f"tree{place}_ = txn.tree({index.tree_id})",
            ]
        return lines

    def free(self, index: IndexKeys, taken: str) -> Lines:
        """No other row has the values of a new entry of a unique index; `taken` is what is returned if one has."""
        return self._free(index, self._indexes.index(index), taken)

    def changed(self, old: str, new: str, key: str) -> Lines:
        """Those of a row before and after; the tree is None where they are the same."""
        lines = []
        for place, index in enumerate(self._indexes):
            before, after, tree = f"old{place}_", f"new{place}_", f"tree{place}_"
            lines += [
                f"{before} = {self._of(index, old, key)}",
                f"{after} = {self._of(index, new, key)}",
                f"if {self._name(same, 'same')}({before}, {after}): {tree} = None",
                "else:",
                f"    {tree} = txn.tree({index.tree_id})",
            ]
            if index.unique:
                lines += indented(self._free(index, place, "None"))
        return lines

    def go(self, row: str, key: str) -> Lines:
        """Those of a row that goes."""
        return [
            f"old{place}_ = {self._of(index, row, key)}"
            for place, index in enumerate(self._indexes)
        ]

    def put(self) -> Lines:
        """Put those that come."""
        lines = []
        for place, index in enumerate(self._indexes):
            writes = self._put(index, place)
            if index.condition is None:
                lines += writes
            else:
                lines += [f"if new{place}_ is not None:", *indented(writes)]
        return lines

    def _put(self, index: IndexKeys, place: int) -> Lines:
        note = f"note_({index.tree_id}, new{place}_, {self._name(ABSENT, 'absent')})"
        return [*([note] if self._noted else []), f"tree{place}_.put(new{place}_)"]

    def delete(self) -> Lines:
        """Take those away that go."""
        lines = []
        for place, index in enumerate(self._indexes):
            writes = self._delete(index, place, f"txn.tree({index.tree_id})")
            if index.condition is None:
                lines += writes
            else:
                lines += [f"if old{place}_ is not None:", *indented(writes)]
        return lines

    def _delete(self, index: IndexKeys, place: int, tree: str) -> Lines:
        note = f"note_({index.tree_id}, old{place}_, None)"
        return [*([note] if self._noted else []), f"{tree}.delete(old{place}_)"]

    def replace(self) -> Lines:
        """Put those that have changed in the place of what they were."""
        lines = []
        for place, index in enumerate(self._indexes):
            gone, come = self._delete(index, place, f"tree{place}_"), self._put(index, place)
            if index.condition is not None:
                gone = [f"if old{place}_ is not None:", *indented(gone)]
                come = [f"if new{place}_ is not None:", *indented(come)]
            lines += [f"if tree{place}_ is not None:", *indented([*gone, *come])]
        return lines
