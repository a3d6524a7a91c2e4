"""INSERT of one row of VALUES: the short way, one compiled function.

It makes the row, gives it its rowid, and looks whether it may be stored: values' classes, CHECKs, unique constraints and the
rows that it refers to.  Then it writes the row with its entries of indexes.  This way is chosen when the statement is
prepared, if

- the table has no generated columns, and triggers before the row do no more than refuse rows;
- rows that REPLACE takes out of the way, or DO UPDATE changes, concern no trigger, and nobody refers to them;
- there are no subqueries, and no functions of the program's.

As in `keyed`, the function gives None, with nothing written, where the row needs a closer look, which the general way takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlglot.expressions as exp

from sql.compile import RowCode
from sql.dml.keyed import NONE, ONE, OneRow, bind_program_rows
from sql.dml.row_lines import (
    Entries,
    Lines,
    carried_through,
    change,
    checks,
    indented,
    nothing_waits,
    parents,
)
from sql.dml.undo import ABSENT
from sql.dml.upsert import EXCLUDED_SOURCE, with_excluded
from sql.result import WriteOutcome
from sql.values import INT_MAX

if TYPE_CHECKING:
    from btree import Transaction
    from sql.dml.conflicts import Resolution
    from sql.dml.records import Row
    from sql.dml.returning import Returning
    from sql.dml.row_programs import RowPrograms
    from sql.dml.sources import Source
    from sql.dml.target import Target


class LargestRowidAtHand:
    """A table's row of sqlite_sequence, which is looked for once: see `writer.LargestRowid`."""

    def __init__(self, tree_id: int, name: str) -> None:
        self.tree_id = tree_id
        self.name = name
        self.key = -1

    def row(self, transaction: Transaction) -> Row | None:
        """The row as it is; None if there is none yet, or it is not as it should be."""
        row: Row | None = transaction.row(self.tree_id, self.key)
        if row is None or row[0] != self.name:
            row = None
            for keys, rows in transaction.tree(self.tree_id).batches():
                for key, found in zip(keys, rows, strict=True):
                    if row is None and found[0] == self.name:
                        self.key, row = key, found
        return row if row is not None and row[1].__class__ is int else None


def insert_one(
    source: Source,
    target: Target,
    order: Sequence[Resolution],
    *,
    removes_alone: bool,
    returning: Returning | None,
    noted: bool,
    tells: bool,
    programs: RowPrograms | None = None,
) -> OneRow | None:
    """A function that writes the row of one execution; None if the statement is of another form.

    `removes_alone`: rows that REPLACE removes concern no trigger and no foreign key.  `noted`: the run may have to be
    undone; `tells`: what is given is (key, None, row, rows of RETURNING or None); `programs` are those that look at the row
    before it is written."""
    if source.row is None or source.rowid_last or target.records.generated:
        return None
    others = {item.action for item in order} & {"IGNORE", "REPLACE", "UPDATE"}
    if "REPLACE" in others and (len(others) > 1 or not removes_alone):
        return None
    if tells and others & {"REPLACE", "UPDATE"}:
        return None
    made = _Insert(source, source.row, target, order, returning=returning, noted=noted)
    for item in order:
        if item.action == "UPDATE" and not made.may_update(item):
            return None
    function = OneRow(*made.code.function(made.lines(programs, tells=tells)))
    return function if made.code.is_plain else None


class _Insert:
    """The lines of one statement.  The row is in `row_`, its key in `key_`."""

    def __init__(
        self,
        source: Source,
        row: Sequence[exp.Expression],
        target: Target,
        order: Sequence[Resolution],
        *,
        returning: Returning | None,
        noted: bool,
    ) -> None:
        self._source, self._row, self._target, self._order = source, row, target, order
        self._returning, self._noted = returning, noted
        self._records, self._table = target.records, target.table
        env = target.records.env
        if any(item.action == "UPDATE" for item in order):
            env = with_excluded(env, target.table)
        self.code = code = RowCode(env)
        code.outer(EXCLUDED_SOURCE, "row_", "key_")
        bind_program_rows(code, target.records.env)
        self._name = code.name
        self._tree_id = code.tree_id(target.table.tree_id)
        self._entries = Entries(code, self._records.indexes, noted=noted)
        self._replaces = any(item.action == "REPLACE" for item in order)
        alias = self._records.alias
        self._may_be_given = alias is not None and not isinstance(row[alias], exp.Null)
        self._sequence: LargestRowidAtHand | None = None
        if self._table.autoincrement:
            stored = env.schema.find_table("sqlite_sequence", self._table.database)
            assert stored is not None, "made with the first AUTOINCREMENT table"
            self._sequence = LargestRowidAtHand(stored.tree_id, self._table.name)

    def may_update(self, item: Resolution) -> bool:
        """Whether DO UPDATE changes nothing but the row, at its key, and its entries of indexes."""
        clause = item.clause
        assert clause is not None
        keys = clause.target.foreign_keys
        return not (
            clause.volatile
            or clause.target.triggers.any
            or (keys is not None and keys.parents)
            or self._records.moves(clause.assigned)
        )

    def lines(self, programs: RowPrograms | None, *, tells: bool) -> Lines:
        """All of them, see `insert_one`."""
        code, name, records, tree_id = self.code, self._name, self._records, self._tree_id
        foreign_keys = self._target.foreign_keys
        checked = checks(code.row(self._table, "row_", "key_"), records)
        ways = [line for item in self._order for line in self._way(item)]
        is_late = programs is None and self._comes_late([*checked, *ways])
        row: Sequence[exp.Expression] = self._row
        if is_late and records.alias is not None:
            row = [*row]
            row[records.alias] = exp.Literal.number(0)  # a rowid like any other
        lines = [
            f"row_ = {'p' if self._source.parameters_only else code.row().values(row)}",
            *([] if is_late else self._key()),
            f"if {name(records.plain, 'plain')}.get(tuple(map(type, row_)))"
            f" is not txn.kinds_of({tree_id}):",
            f"    row_ = {name(records.changed, 'stored')}"
            f"(row_, {tuple(range(records.width))}, txn.tree({tree_id}))",
            "    if row_ is None: return None",
        ]
        if records.primary_key is not None:
            lines.append(f"key_ = {name(records.primary_key, 'primary_key')}(row_)")
        if programs is not None:
            lines += programs.before_lines(code, self._shown())
        lines += checked
        if not is_late:
            lines += self._entries.come("row_", "key_")
        if self._noted:
            lines.append("note_ = ctx.state.undo.note")
        if self._replaces:
            lines.append("gone_ = []")
        lines += ways
        if is_late:
            lines += [*self._key(), *self._entries.come("row_", "key_")]
        if foreign_keys is not None:
            lines += nothing_waits(code, foreign_keys, noted=self._noted)
            lines += parents(code, foreign_keys, "row_")
        writes: Lines = []
        if self._replaces:
            look, writes = self._removals()
            lines += look
        if self._noted:
            writes.append(f"note_({tree_id}, key_, {name(ABSENT, 'absent')})")
        writes += self._largest()
        writes += [f"txn.put_row({tree_id}, key_, row_)", *self._entries.put()]
        lines += carried_through(writes, noted=self._noted)
        if not self._table.without_rowid:
            lines.append(f"{name(self._target.session, 'session')}.last_insert_rowid = key_")
        if tells:
            lines.append(f"return (key_, None, row_, {self._returned('row_', 'key_') or None})")
        else:
            lines.append(self._given("row_", "key_"))
        return lines

    def _comes_late(self, before: Lines) -> bool:
        """Whether the rowid can be chosen after these lines: an upsert most often finds the row, and needs none."""
        if self._may_be_given or self._sequence is not None or self._table.without_rowid:
            return False
        if any(index.unique and index.columns is None for index in self._records.indexes):
            return False
        asked = rf"\bkey_\b|\brow_\[{self._records.alias}\]"
        return re.search(asked, "\n".join(before)) is None

    def _shown(self) -> str:
        """What BEFORE triggers see of the row, and its rowid: -1 where it is still to be chosen."""
        alias = self._records.alias
        if self._table.without_rowid:
            return "(*row_, key_)"
        if alias is None:
            return "(*row_, -1)"
        key = "(key_ if is_given_ else -1)" if self._may_be_given else "-1"
        return f"(*row_[:{alias}], {key}, *row_[{alias + 1}:], {key})"

    def _given(self, row: str, key: str) -> str:
        """The end of a run that wrote a row."""
        returned = self._returned(row, key)
        if not returned:
            return f"return {self._name(ONE, 'one')}"
        return f"return {self._name(WriteOutcome, 'outcome')}(1, None, {returned})"

    def _returned(self, row: str, key: str) -> str:
        """The source of the rows of RETURNING; nothing without."""
        if self._returning is None:
            return ""
        return f"[{self.code.row(self._table, row, key).values(self._returning.trees)}]"

    def _nothing(self) -> Lines:
        """The end of a run that left the row out, which uses up a rowid of AUTOINCREMENT."""
        if self._returning is None:
            return [*self._largest(), f"return {self._name(NONE, 'none')}"]
        return [*self._largest(), f"return {self._name(WriteOutcome, 'outcome')}(0, None, [])"]

    # -- rows in the way -------------------------------------------------------------------------

    def _way(self, item: Resolution) -> Lines:
        """A row that is in the way under one constraint."""
        index = item.constraint
        if index is not None:
            at = f"met_[{index.parts}{':' if self._table.without_rowid else ''}]"
            return self._entries.taken(index, "row_", "key_", self._met(item, at))
        if self._table.without_rowid:
            is_there = f"key_ in txn.tree({self._tree_id})"
        elif self._may_be_given:
            is_there = f"is_given_ and txn.row({self._tree_id}, key_) is not None"
        else:
            return []
        return [f"if {is_there}:", *indented(self._met(item, "key_"))]

    def _met(self, item: Resolution, at: str) -> Lines:
        """What is done about it; `at` is its key."""
        if item.action == "IGNORE":
            return self._nothing()
        if item.action == "REPLACE":
            return [f"at_ = {at}", "if at_ not in gone_: gone_.append(at_)"]
        if item.action != "UPDATE":
            return ["return None"]
        clause = item.clause
        assert clause is not None
        old = self.code.row(clause.named, "old_", "at_")
        look, write = change(
            self.code,
            clause.target,
            old,
            clause.row,
            clause.assigned,
            clause.indexes,
            "at_",
            noted=self._noted,
        )
        return [
            f"at_ = {at}",
            f"old_ = txn.row({self._tree_id}, at_)",
            *[
                line
                for where in clause.where
                for line in (f"if not ({old.condition(where)}):", *indented(self._nothing()))
            ],
            *look,
            *carried_through([*write, *self._largest()], noted=self._noted),
            self._given("new_", "at_"),
        ]

    def _removals(self) -> tuple[Lines, Lines]:
        """What looks at the rows that REPLACE found in the way, and what takes them away."""
        entries, tree_id = self._entries, self._tree_id
        look = [f"gone_ = [(at_, txn.row({tree_id}, at_)) for at_ in gone_]"]
        notes = [f"note_({tree_id}, at_, old_)"] if self._noted else []
        write = [*entries.delete(), *notes, f"txn.remove_row({tree_id}, at_)"]
        return look, ["for at_, old_ in gone_:", *indented([*entries.go("old_", "at_"), *write])]

    # -- the rowid -------------------------------------------------------------------------------

    def _key(self) -> Lines:
        """The row's rowid, a new one if none is given, in `key_` and in the row; `is_given_` where it may be.  Nothing of
        a table without."""
        if self._table.without_rowid:
            return []
        alias = self._records.alias
        known: Lines = []
        new = [f"key_ = txn.next_rowid({self._tree_id})", "if key_ is None: return None"]
        if self._sequence is not None:
            known = [
                f"largest_ = {self._name(self._sequence, 'sequence')}.row(txn)",
                "if largest_ is None: return None",
            ]
            new += [
                "if largest_[1] >= key_:",
                f"    if largest_[1] == {INT_MAX}: return None",
                "    key_ = largest_[1] + 1",
            ]
        if alias is not None:
            before = f"*row_[:{alias}], " if alias else ""
            new.append(f"row_ = ({before}key_, *row_[{alias + 1}:])")
        if not self._may_be_given:
            return [*known, *new]
        return [
            *known,
            f"key_ = row_[{alias}]",
            "is_given_ = key_ is not None",
            "if not is_given_:",
            *indented(new),
            "elif key_.__class__ is not int: return None",
        ]

    def _largest(self) -> Lines:
        """Keep the largest rowid of AUTOINCREMENT."""
        if self._sequence is None:
            return []
        at_hand = self._name(self._sequence, "sequence")
        tree_id = self.code.tree_id(self._sequence.tree_id)
        return [
            "if key_ > largest_[1]:",
            *([f"    note_({tree_id}, {at_hand}.key, largest_)"] if self._noted else []),
            f"    txn.put_row({tree_id}, {at_hand}.key, (largest_[0], key_))",
        ]
