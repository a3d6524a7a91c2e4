"""Filling an index from its table, and proving that they agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp

from btree import CollectorPaused
from sql.compile import prepare_select
from sql.dml.column_sorting import alike_behind
from sql.dml.copying import Copied
from sql.dml.entry_runs import Columns, sorted_entries
from sql.dml.index_keys import IndexKeys
from sql.dml.records import KIND_BITS, TableRecords
from sql.dml.target import row_columns, tree_key
from sql.errors import ConstraintError
from sql.expressions import ROWID
from sql.parse import parse_expression

if TYPE_CHECKING:
    from btree import Tree
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Index, Table
    from sql.session import Session

Row = tuple[Any, ...]
_CHECKED_AT_ONCE = 8192
"""Rows whose index entries are looked up together."""


def fill_index(session: Session, ctx: Context, table: Table, index: Index) -> None:
    """Write all entries of an empty index.

    Raises ConstraintError if a unique index would hold a value twice."""
    with CollectorPaused():
        env = session.environment(ctx.transaction)
        keys = IndexKeys(index, table, env)
        if keys.stored_columns is not None:
            alias = table.rowid_alias
            # The key itself, which then is one object in an entry rather than two.
            places = [ROWID if place == alias else place for place in keys.stored_columns]
            batches = _stored(ctx.transaction.tree(table.tree_id), keys, places)
        else:
            batches = _queried(ctx, table, index, keys, env)
        rowids = None if table.without_rowid else keys.parts
        pieces = sorted_entries(ctx, batches, keys.parts, rowids)
        if index.unique:
            pieces = _unique(pieces, keys, table)
        ctx.transaction.tree(index.tree_id).build(_checked(pieces, ctx))


Batches = Iterator[Columns]
"""Entries by column, in the order of the table's keys."""


def _stored(tree: Tree, keys: IndexKeys, places: Sequence[int]) -> Batches:
    """The entries that are made of columns alone, without a look at the others."""
    wanted = list(dict.fromkeys((*places, ROWID)))
    at = [wanted.index(place) for place in (*places, ROWID)]
    for columns in tree.number_batches(wanted):
        *values, row_keys = [columns[place] for place in at]
        yield keys.entry_columns(values, row_keys)


def _queried(
    ctx: Context, table: Table, index: Index, keys: IndexKeys, env: BindEnvironment
) -> Batches:
    """Those of expressions, or of some of the rows alone: what a query gives that scans the table."""
    source = exp.Table(
        this=exp.to_identifier(table.name, quoted=True),
        db=exp.to_identifier(table.database, quoted=True),
    )
    source.meta["indexed_by"] = False
    columns = row_columns(table)
    outputs: list[exp.Expression] = []
    for part in index.columns:
        if part.expression is not None:
            outputs.append(parse_expression(part.expression))
        elif part.column is None or part.column == ROWID:
            outputs.append(tree_key(table.name))
        else:
            outputs.append(columns[part.column].copy())
    select = exp.Select(expressions=[*outputs, tree_key(table.name)])
    for output in select.expressions:
        output.meta["text"] = ""  # as in `scan_query`
    select.meta["row_by_row"] = True
    select.set("from_", exp.From(this=source))
    if index.where is not None:
        select.set("where", exp.Where(this=parse_expression(index.where)))
    for found in Copied(prepare_select(select, env), whole=False).column_batches(ctx):
        *values, row_keys = found
        yield keys.entry_columns(values, row_keys)


def _unique(pieces: Iterator[Columns], keys: IndexKeys, table: Table) -> Iterator[Columns]:
    """The pieces, as long as no value comes twice."""
    last: Columns = ()
    for piece in pieces:
        ends = (
            [[*before, column[0]] for before, column in zip(last, piece, strict=True)]
            if last
            else piece
        )
        if alike_behind(ends, keys.parts) or (last and alike_behind(piece, keys.parts)):
            raise ConstraintError(keys.message(table), kind="UNIQUE")
        last = [column[-1:] for column in piece]
        yield piece


def _checked(pieces: Iterator[Columns], ctx: Context) -> Iterator[Columns]:
    for piece in pieces:
        ctx.check()
        yield piece


def check_table(session: Session, ctx: Context, table: Table) -> Iterator[str]:
    """Problems of a table's rows and indexes, in the words of PRAGMA integrity_check."""
    env = session.environment(ctx.transaction)
    records = TableRecords(table, env)
    transaction = ctx.transaction
    wanted = [_Wanted(index, transaction.tree(index.tree_id)) for index in records.indexes]
    number = 0
    tree = transaction.tree(table.tree_id)
    sound: set[tuple[type, ...]] = set()  # classes of rows that have no problems of their own
    problems: list[tuple[int, int, str]] = []  # the row's number, where it is told of, and what
    asked = 0
    for keys, rows in tree.batches():
        ctx.check()
        for key, row in zip(keys, rows, strict=True):
            number += 1
            shape = tuple(map(type, row))
            if shape not in sound:
                unknown = list(_unknown_kinds(table, tree.kinds, shape))
                if unknown:  # code is not made for them: nothing else can be asked about the row
                    problems += [(number, 0, f"row {number} of {each}") for each in unknown]
                    continue
                found = list(_row_problems(records, ctx, key, row, number))
                problems += [(number, 0, each) for each in found]
                if len(row) != records.width:
                    continue  # nor has it entries
                if not found and not records.has_checks:
                    sound.add(shape)
            for entries in wanted:
                entries.of(ctx, number, row, key)
        if number - asked >= _CHECKED_AT_ONCE:
            asked = number
            yield from _told(problems, wanted)
    yield from _told(problems, wanted)
    for entries in wanted:
        if len(entries.tree) != entries.count:
            yield f"wrong # of entries in index {entries.index.index.name}"
        elif entries.index.unique:
            yield from _unique_problems(entries.index, entries.tree)


class _Wanted:
    """The entries that rows ask for of an index.  They are looked up many at a time, in their order and those of one kind
    together, so that a leaf is searched once for all that lie in it."""

    def __init__(self, index: IndexKeys, tree: Tree) -> None:
        self.index = index
        self.tree = tree
        self.count = 0
        self.kinds: defaultdict[tuple[type, ...], list[tuple[Any, int]]] = defaultdict(list)

    def of(self, ctx: Context, number: int, row: Any, key: Any) -> None:
        if self.index.applies(ctx, row, key):
            self.count += 1
            entry = self.index.key(ctx, row, key)
            self.kinds[tuple(map(type, entry))].append((entry, number))

    def missing(self) -> Iterator[int]:
        """The numbers of the rows whose entries are not there; nothing is asked for any more."""
        for asked in self.kinds.values():
            asked.sort(key=itemgetter(0))
            found = self.tree.get_many([entry for entry, _ in asked])
            yield from [
                number for (_, number), there in zip(asked, found, strict=True) if there is None
            ]
        self.kinds.clear()


def _told(problems: list[tuple[int, int, str]], wanted: list[_Wanted]) -> list[str]:
    """The problems in the order of the rows; there are none left of these."""
    for place, entries in enumerate(wanted, 1):
        problems += [
            (number, place, f"row {number} missing from index {entries.index.index.name}")
            for number in entries.missing()
        ]
    problems.sort(key=itemgetter(0, 1))
    told = [text for _, _, text in problems]
    problems.clear()
    return told


def _unknown_kinds(table: Table, kinds: tuple[int, ...], shape: tuple[type, ...]) -> Iterator[str]:
    """The columns of a row with values of these classes whose kinds the tree is not known to hold."""
    for column, mask, kind in zip(table.columns, kinds, shape, strict=False):
        if not KIND_BITS.get(kind, 0) & mask:
            yield f"{table.name} has a kind of value in {column.name} that the tree does not tell of"


def _row_problems(
    records: TableRecords, ctx: Context, key: Any, row: Row, number: int
) -> Iterator[str]:
    table = records.table
    if len(row) != len(table.columns):
        yield f"row {number} of {table.name} has {len(row)} columns, not {len(table.columns)}"
        return
    for place, column in records.not_null:
        if row[place] is None:
            yield f"NULL value in {table.name}.{column.name}"
    ignores = ctx.session.ignore_check_constraints
    if records.has_checks and not ignores and records.failed_check(ctx, row, key) is not None:
        yield f"CHECK constraint failed in {table.name}"
    if records.strict:
        try:
            records.check_types(row)
        except ConstraintError:
            yield f"non-matching value in STRICT table {table.name}"


def _unique_problems(index: IndexKeys, tree: Any) -> Iterator[str]:
    before: Any = None
    for keys, _ in tree.batches():
        for entry in keys:
            part = entry[: index.parts]
            if part == before and None not in part:
                yield f"non-unique entry in index {index.index.name}"
            before = part
