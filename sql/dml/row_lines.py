"""Lines of Python about one row that is written: what `keyed` and `insert_one` put their functions together of.

`return None` in them leaves the row to the general way, with nothing written: it finds the same again, and what comes
of it.  Variables of theirs end in `_`; the row and its key are in variables that the caller names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from sql.dml.index_keys import same
from sql.dml.undo import ABSENT
from sql.parse import parse_expression

if TYPE_CHECKING:
    import sqlglot.expressions as exp

    from sql.bind import BindEnvironment
    from sql.compile import RowCode, RowScope
    from sql.dml.foreign_key_actions import Children
    from sql.dml.foreign_keys import ForeignKeys
    from sql.dml.index_keys import IndexKeys
    from sql.dml.records import TableRecords
    from sql.dml.target import Target

Lines = list[str]

FEW_ASSIGNED = 4
"""Columns whose values' classes are compared one by one with those of the old row."""


def indented(lines: Iterable[str]) -> Lines:
    """The same lines, one level deeper."""
    return [f"    {line}" for line in lines]


def carried_through(writes: Lines, *, noted: bool) -> Lines:
    """Writes of which all are done or none, though a signal's handler, such as that of Ctrl-C, may raise between them: then they
    are done once more, which changes nothing about those that were.  What is `noted` is taken back instead."""
    if noted or len(writes) == 1:
        return writes
    return ["try:", *indented(writes), "except BaseException:", *indented(writes), "    raise"]


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
            tree_id = code.tree_id(parent.table.tree_id)
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


def children(
    code: RowCode, env: BindEnvironment, references: Iterable[Children], row: str
) -> Lines | None:
    """`met_` is whether any row refers to the row in the variable by one of these; None where that takes a scan."""
    from sql.dml.cascades import children_tree

    lines = ["met_ = False"]
    for reference in references:
        found = children_tree(env, reference)
        if found is None:
            return None
        tree_id, places = found
        tree = code.tree_id(tree_id)
        if tree_id == reference.child.tree_id and reference.key.columns == (
            reference.child.rowid_alias,
        ):
            lines.append(f"met_ = met_ or txn.row({tree}, {row}[{places[0]}]) is not None")
            continue
        lines += [
            f"ref_ = ({''.join([f'{row}[{place}], ' for place in places])})",
            f"met_ = met_ or (None not in ref_ and txn.tree({tree}).prefixed(ref_) != [])",
        ]
    return lines


def entry_variables(indexes: Sequence[IndexKeys]) -> list[str]:
    """The variables of `Entries`."""
    return [f"{name}{place}_" for place in range(len(indexes)) for name in ("moves", "old", "new")]


class Entries:
    """The entries of some indexes, in variables of their own by the place of the index: `old0_` of the row as it was,
    `new0_` of the row as it will be, and `moves0_`, whether they differ."""

    def __init__(self, code: RowCode, indexes: Sequence[IndexKeys], *, noted: bool) -> None:
        self._name = code.name
        self._tree_id = code.tree_id
        self._indexes = indexes
        self._noted = noted

    def _of(self, index: IndexKeys, row: str, key: str) -> str:
        if index.condition is not None:
            return f"{self._name(index.entry, 'entry')}(ctx, {row}, {key})"
        return index.key_source(row, key, self._name)

    def taken(self, index: IndexKeys, row: str, key: str, what: Lines) -> Lines:
        """`what` is done if another row has the values of a new entry of a unique index: `met_` is its entry.  Of an index of
        columns the new one need not have been made."""
        if index.columns is None:
            place = self._indexes.index(index)
            values = f"new{place}_[:{index.parts}]"
            is_none = f"new{place}_ is not None and " if index.condition is not None else ""
            lines = [f"if {is_none}None not in {values}:"]
        else:
            parts = index.part_sources(row, key, self._name)
            if len(parts) == 1:
                values = "(part_,)"
                lines = [f"part_ = {parts[0]}", "if part_ is not None:"]
            else:
                values = "parts_"
                lines = [f"parts_ = ({', '.join(parts)})", "if None not in parts_:"]
        return [
            *lines,
            f"    met_ = txn.entry_with({self._tree_id(index.tree_id)}, {values})",
            "    if met_:",
            *indented(indented(what)),
            "    if met_ is None: return None",
        ]

    def come(self, row: str, key: str) -> Lines:
        """Those of a new row."""
        return [
            f"new{place}_ = {self._of(index, row, key)}"
            for place, index in enumerate(self._indexes)
        ]

    def changed(self, old: str, new: str, key: str) -> Lines:
        """Those of a row before and after."""
        lines = []
        for place, index in enumerate(self._indexes):
            before, after, moves = f"old{place}_", f"new{place}_", f"moves{place}_"
            lines += [
                f"{before} = {self._of(index, old, key)}",
                f"{after} = {self._of(index, new, key)}",
                f"{moves} = not {self._name(same, 'same')}({before}, {after})",
            ]
            if index.unique:
                taken = self.taken(index, new, key, ["return None"])
                lines += [f"if {moves}:", *indented(taken)]
        return lines

    def go(self, row: str, key: str) -> Lines:
        """Those of a row that goes."""
        return [
            f"old{place}_ = {self._of(index, row, key)}"
            for place, index in enumerate(self._indexes)
        ]

    def put(self) -> Lines:
        """Put those that come."""
        return [
            line for place, index in enumerate(self._indexes) for line in self._put(index, place)
        ]

    def delete(self) -> Lines:
        """Take those away that go."""
        return [
            line for place, index in enumerate(self._indexes) for line in self._delete(index, place)
        ]

    def replace(self) -> Lines:
        """Put those that have changed in the place of what they were."""
        lines = []
        for place, index in enumerate(self._indexes):
            changes = [*self._delete(index, place), *self._put(index, place)]
            lines += [f"if moves{place}_:", *indented(changes)]
        return lines

    def _put(self, index: IndexKeys, place: int) -> Lines:
        entry = f"new{place}_"
        note = f"note_({self._tree_id(index.tree_id)}, {entry}, {self._name(ABSENT, 'absent')})"
        return self._if_any(index, entry, note, self._write("put", index, entry))

    def _delete(self, index: IndexKeys, place: int) -> Lines:
        entry = f"old{place}_"
        note = f"note_({self._tree_id(index.tree_id)}, {entry}, None)"
        return self._if_any(index, entry, note, self._write("remove", index, entry))

    def _write(self, what: str, index: IndexKeys, entry: str) -> str:
        parts = index.parts if index.unique else 0
        return f"txn.{what}_entry({self._tree_id(index.tree_id)}, {entry}, {parts})"

    def _if_any(self, index: IndexKeys, entry: str, note: str, write: str) -> Lines:
        """What is done with an entry, if the row has one."""
        lines = [note, write] if self._noted else [write]
        if index.condition is None:
            return lines
        return [f"if {entry} is not None:", *indented(lines)]


def change(
    code: RowCode,
    target: Target,
    old: RowScope,
    row: Sequence[exp.Expression],
    assigned: Collection[int],
    indexes: Sequence[IndexKeys],
    key: str,
    *,
    noted: bool,
) -> tuple[Lines, Lines]:
    """What looks at a row that is to be changed, and what writes it: `old_` becomes `new_`, which is `row` in terms of
    `old`.  Other than before are its columns of `assigned`, on which `indexes` depend; it stays at the same key."""
    records, name = target.records, code.name
    tree_id = code.tree_id(target.table.tree_id)
    places = tuple(sorted(assigned))
    closer_look = (
        f"{name(records.plain, 'plain')}.get(tuple(map(type, new_))) is not txn.kinds_of({tree_id})"
    )
    if len(places) <= FEW_ASSIGNED:
        # A value of the class that its column held before is stored as it is, and is of a kind that
        # the tree is known to hold, if the column stores that class at all.
        kept = [
            f"new_[{place}].__class__ is old_[{place}].__class__ in"
            f" {name(records.allowed[place], 'allowed')}"
            for place in places
        ]
        closer_look = f"not ({' and '.join(kept)}) and {closer_look}"
    entries = Entries(code, indexes, noted=noted)
    look = [
        f"new_ = {old.values(row)}",
        f"if {closer_look}:",
        f"    new_ = {name(records.changed, 'changed')}(new_, {places}, txn.tree({tree_id}))",
        "    if new_ is None: return None",
        *checks(code.row(records.table, "new_", key), records),
    ]
    if target.foreign_keys is not None:
        look += nothing_waits(code, target.foreign_keys, noted=noted)
        look += parents(code, target.foreign_keys, "new_")
    look += entries.changed("old_", "new_", key)
    write = [
        *([f"note_({tree_id}, {key}, old_)"] if noted else ()),
        *entries.replace(),
        f"txn.put_row({tree_id}, {key}, new_)",
    ]
    return look, write
