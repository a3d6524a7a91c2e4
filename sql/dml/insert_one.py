"""INSERT of one row of VALUES: the short way, one compiled function.

It makes the row, gives it its rowid, and looks whether it may be stored: values' classes, CHECKs, unique constraints and the
rows that it refers to.  Then it writes the row with its entries of indexes.  This way is chosen when the statement is
prepared, if

- the table has no generated columns, and no trigger before the row concerns the statement;
- a row in the way is an error, or leaves the new one out: what REPLACE and DO UPDATE do is in `merge`;
- there are no subqueries, and no functions of the program's.

As in `keyed`, the function gives None, with nothing written, where the row needs a closer look, which the general way takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from sql.compile import RowCode
from sql.dml.keyed import NONE, ONE, OneRow
from sql.dml.row_lines import Entries, Lines, checks, nothing_waits, parents
from sql.dml.undo import ABSENT
from sql.result import WriteOutcome
from sql.values import INT_MAX

if TYPE_CHECKING:
    from btree import Transaction
    from sql.dml.conflicts import Resolution
    from sql.dml.records import Row
    from sql.dml.returning import Returning
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
    returning: Returning | None,
    noted: bool,
    tells: bool,
) -> OneRow | None:
    """A function that writes the row of one execution; None if the statement is of another form.

    `noted`: the run may have to be undone; `tells`: what is given is (key, None, row)."""
    records, foreign_keys, table = target.records, target.foreign_keys, target.table
    actions = {item.constraint: item.action for item in order}
    if source.row is None or source.rowid_last or records.generated:
        return None
    if not {*actions.values()} <= {"ABORT", "FAIL", "ROLLBACK", "IGNORE"}:
        return None
    code = RowCode(records.env)
    name, tree_id = code.name, table.tree_id
    outcome = name(WriteOutcome, "outcome") if returning is not None else ""
    none = f"{outcome}(0, None, [])" if returning is not None else name(NONE, "none")
    sequence = None
    if table.autoincrement:
        database = "temp" if table.temporary else "main"
        stored = records.env.schema.find_table("sqlite_sequence", database)
        assert stored is not None, "made with the first AUTOINCREMENT table"
        sequence = LargestRowidAtHand(stored.tree_id, table.name)

    def taken(item: Resolution) -> str:
        # The rowid that was chosen for a row that is left out is used up with AUTOINCREMENT.
        return none if item.action == "IGNORE" and sequence is None else "None"

    row = "p" if source.parameters_only else code.row().values(source.row)
    lines = [f"row_ = {row}", *_key(code, target, source.row, sequence)]
    lines += [
        f"if {name(records.plain, 'plain')}.get(tuple(map(type, row_)))"
        f" is not txn.kinds_of({tree_id}):",
        f"    row_ = {name(records.changed, 'stored')}"
        f"(row_, {tuple(range(records.width))}, txn.tree({tree_id}))",
        "    if row_ is None: return None",
    ]
    if records.primary_key is not None:
        lines.append(f"key_ = {name(records.primary_key, 'primary_key')}(row_)")
    lines += checks(code.row(table, "row_", "key_"), records)
    entries = Entries(code, records.indexes, noted=noted)
    lines += entries.come("row_", "key_")
    for item in order:
        if item.constraint is not None:
            lines += entries.free(item.constraint, taken(item))
        elif table.without_rowid:
            lines.append(f"if key_ in txn.tree({tree_id}): return {taken(item)}")
        elif _may_be_given(target, source.row):
            lines.append(
                f"if is_given_ and txn.row({tree_id}, key_) is not None: return {taken(item)}"
            )
    if foreign_keys is not None:
        lines += nothing_waits(code, foreign_keys, noted=noted)
        lines += parents(code, foreign_keys, "row_")
    if noted:
        lines += [
            "note_ = ctx.state.undo.note",
            f"note_({tree_id}, key_, {name(ABSENT, 'absent')})",
        ]
    if sequence is not None:
        at_hand = name(sequence, "sequence")
        lines += [
            "if key_ > largest_[1]:",
            *([f"    note_({sequence.tree_id}, {at_hand}.key, largest_)"] if noted else []),
            f"    txn.put_row({sequence.tree_id}, {at_hand}.key, (largest_[0], key_))",
        ]
    lines += [f"txn.put_row({tree_id}, key_, row_)", *entries.put()]
    if not table.without_rowid:
        lines.append(f"{name(target.session, 'session')}.last_insert_rowid = key_")
    given = "(key_, None, row_)" if tells else name(ONE, "one")
    if returning is not None:
        values = code.row(table, "row_", "key_").values(returning.trees)
        given = f"{outcome}(1, None, [{values}])"
    lines.append(f"return {given}")
    made = OneRow(*code.function(lines))
    return made if code.is_plain else None


def _may_be_given(target: Target, row: Sequence[exp.Expression]) -> bool:
    """Whether a statement may give the row its rowid."""
    alias = target.records.alias
    return alias is not None and not isinstance(row[alias], exp.Null)


def _key(
    code: RowCode,
    target: Target,
    row: Sequence[exp.Expression],
    sequence: LargestRowidAtHand | None,
) -> Lines:
    """The row's rowid, a new one if none is given, in `key_` and in the row; `is_given_` where it may be.  Nothing of a
    table without."""
    if target.table.without_rowid:
        return []
    alias = target.records.alias
    known: Lines = []
    new = [
        f"key_ = txn.next_rowid({target.table.tree_id})",
        "if key_ is None: return None",
    ]
    if sequence is not None:
        known = [
            f"largest_ = {code.name(sequence, 'sequence')}.row(txn)",
            "if largest_ is None: return None",
        ]
        new += [
            "if largest_[1] >= key_:",
            f"    if largest_[1] == {INT_MAX}: return None",
            "    key_ = largest_[1] + 1",
        ]
    if alias is not None:
        new.append(f"row_ = (*row_[:{alias}], key_, *row_[{alias + 1}:])")
    if not _may_be_given(target, row):
        return [*known, *new]
    return [
        *known,
        f"key_ = row_[{alias}]",
        "is_given_ = key_ is not None",
        "if not is_given_:",
        *[f"    {line}" for line in new],
        "elif key_.__class__ is not int: return None",
    ]
