"""Foreign keys: violations are counted, actions are run as programs.

https://www.sqlite.org/foreignkeys.html.  A violation that appears adds one to a counter, one that goes
away takes one off: the statement's counter has to be zero at its end, the session's (for deferred
constraints) at the end of the transaction.  As in fkey.c of SQLite, a child's look-up of its parent
and a parent's scan of its children both count, so that it does not matter which of them is written
first, or whether an action repairs what its statement broke.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, repeat
from operator import gt, itemgetter
from typing import TYPE_CHECKING, Any

from sql.dml.foreign_key_actions import Children
from sql.dml.foreign_key_parents import ParentKey, referred_places
from sql.dml.programs import Keyed, ProgramContext
from sql.dml.records import UNCHANGED
from sql.errors import ConstraintError
from sql.expressions import Affinity

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import ForeignKey, Schema, Table
    from sql.session import Session

Row = tuple[Any, ...]

_NUMERIC = (Affinity.NUMERIC, Affinity.INTEGER, Affinity.REAL)


def failed() -> ConstraintError:
    """The error of every violated foreign key."""
    return ConstraintError("FOREIGN KEY constraint failed", kind="FOREIGN KEY")


class ForeignKeys:
    """The constraints that one kind of write to a table has to look at.

    `event` is INSERT, UPDATE or DELETE; `changed` the positions of columns that an UPDATE assigns to.
    Raises SqlError where a parent is missing or no key of it fits (`lenient`: leaves it out)."""

    def __init__(
        self,
        session: Session,
        env: BindEnvironment,
        table: Table,
        event: str,
        changed: frozenset[int] | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        self.session = session
        self.table = table
        if changed is not None:  # what is computed of the columns may change with them
            changed |= {
                place for place, column in enumerate(table.columns) if column.generated is not None
            }
        schema = layer_of(env.schema, table)
        self.own = [
            Child(session, key, ParentKey(schema, table, key))
            for key in table.foreign_keys
            if (changed is None or changed & _relevant(table, key))
            and not (lenient and ParentKey.find(schema, key) is None)
        ]
        self.parents = []
        for child in reversed(schema.tables.values()):  # as in SQLite the newest is told of first
            for key in child.foreign_keys:
                if key.parent.lower() != table.name.lower():
                    continue
                # A new parent row breaks nothing, whatever refers to it.
                if (lenient or event == "INSERT") and not ParentKey.find(schema, key):
                    continue
                if changed is None or changed & _named_places(table, key):
                    parent = ParentKey(schema, child, key)
                    self.parents.append(Children(session, child, key, parent))

    @property
    def matters(self) -> bool:
        """Whether there are any."""
        return bool(self.own or self.parents)

    def counter(self, ctx: ProgramContext, key: ForeignKey) -> int:
        """Violations that are known of now, of the kind that `key` counts among."""
        if key.deferred or self.session.defer_foreign_keys:
            return self.session.deferred_violations
        return ctx.state.violations

    def add(self, ctx: ProgramContext, key: ForeignKey, count: int) -> None:
        """Note violations that appeared, or (negative) went away."""
        session = self.session
        if key.deferred or session.defer_foreign_keys:
            session.deferred_violations += count
            session.met_deferred |= count > 0
        else:
            ctx.state.violations += count
            session.met_immediate |= count > 0

    # -- in bulk ---------------------------------------------------------------------------------

    def undisturbed(self, ctx: Context, rows: Sequence[Row], *, in_order: bool = False) -> bool:
        """Whether nothing needs to be counted for new rows of a statement: no violation is waiting to be
        repaired, and every row has its parents.

        `in_order`: all rows are inserted, one after the other; then a row of this very table may be the parent of
        those behind it."""
        if self.session.deferred_violations or isinstance(ctx, ProgramContext):
            return False
        for child in self.own:
            wanted: set[Row | None]
            if child.parent.table.tree_id != self.table.tree_id:
                wanted = {child.values(row) for row in rows}
            elif in_order:
                found = self._without_earlier(child, rows)
                if found is None:
                    return False
                wanted = found
            elif self.parents:
                return False
            else:  # what is referred to stays as it is
                wanted = {child.values(row) for row in rows}
            if not child.parent.all_exist(ctx, [values for values in wanted if values]):
                return False
        return True

    def _without_earlier(self, child: Child, rows: Sequence[Row]) -> set[Row | None] | None:
        """The values of children whose parent is neither the row itself nor one before it; None if that is not told by
        the values as they are given."""
        columns, places, parents = self.table.columns, child.key.columns, child.parent.places
        if not compared_as_stored(self.table, child.key, child.parent):
            return None
        for place in (*places, *parents):
            unchanged = UNCHANGED[columns[place].affinity]
            if not set(map(type, map(itemgetter(place), rows))) <= unchanged:
                return None
        own = list(zip(*[map(itemgetter(place), rows) for place in parents], strict=True))
        end = len(rows)
        first = dict(zip(reversed(own), range(end - 1, -1, -1), strict=True))
        wanted = list(zip(*[map(itemgetter(place), rows) for place in places], strict=True))
        later = map(gt, map(first.get, wanted, repeat(end)), range(end))
        return {values for values in compress(wanted, later) if None not in values}

    def undisturbed_by(
        self, ctx: Context, columns: Mapping[int, Sequence[Any]], known: dict[int, set[Row]]
    ) -> bool:
        """The same of rows of which these columns have new values, where they are all that the constraints are about.
        `known`: values that were looked up before, by the constraint's number."""
        if self.parents or not self.undisturbed(ctx, ()):
            return False
        if any(child.parent.table.tree_id == self.table.tree_id for child in self.own):
            return False  # its pages are being written
        for number, child in enumerate(self.own):
            if not columns.keys() >= set(child.key.columns):
                return False
            wanted = set(zip(*[columns[place] for place in child.key.columns], strict=True))
            wanted -= known.setdefault(number, set())
            if not child.parent.all_exist(ctx, [values for values in wanted if None not in values]):
                return False
            known[number] |= wanted
        return True

    # -- rows ------------------------------------------------------------------------------------

    def before(self, ctx: ProgramContext, old: Keyed, new: Row | None = None) -> None:
        """A row is about to be changed or deleted."""
        for child in self.own:
            values = child.values(old[1])
            if values is None or not self.counter(ctx, child.key):
                continue
            if not child.parent.exists(ctx, values):
                self.add(ctx, child.key, -1)
        for children in self.parents:
            if not children.same_key(old[1], new):
                self.add(ctx, children.key, children.count(ctx, old))

    def after(self, ctx: ProgramContext, new: Keyed, old: Row | None = None) -> None:
        """A row was inserted or changed."""
        for child in self.own:
            values = child.values(new[1])
            if values is not None and not child.parent.exists(ctx, values):
                self.add(ctx, child.key, 1)
        for children in self.parents:
            if self.counter(ctx, children.key) and not children.same_key(new[1], old):
                self.add(ctx, children.key, -children.count(ctx, new))

    def act(self, ctx: ProgramContext, old: Keyed, new: Keyed | None) -> None:
        """Run the actions of a deletion or (with `new`) a change."""
        for children in self.parents:
            if not children.same_key(old[1], None if new is None else new[1]):
                children.act(ctx, old, new)


class Child:
    """A constraint as rows of the referring table see it."""

    __slots__ = ("_places", "key", "parent", "session")

    def __init__(self, session: Session, key: ForeignKey, parent: ParentKey) -> None:
        self.session = session
        self.key = key
        self.parent = parent
        self._places = key.columns

    def values(self, row: Row) -> Row | None:
        """The referring values of a row; None if any of them is NULL."""
        values = tuple([row[place] for place in self._places])
        return None if None in values else values


def _relevant(table: Table, key: ForeignKey) -> set[int]:
    """The columns whose change may break a constraint of the table's own.  Where it refers to the table
    itself they are those referred to as well: a row may be its own parent."""
    places = set(key.columns)
    if key.parent.lower() == table.name.lower():
        places |= set(referred_places(table, key) or ())
    return places


def compared_as_stored(child: Table, key: ForeignKey, parent: ParentKey) -> bool:
    """Whether a constraint's values of children and parents are equal if they are so as they are stored."""
    for own, theirs in zip(key.columns, parent.places, strict=True):
        one, other = child.columns[own], parent.table.columns[theirs]
        alike = one.affinity == other.affinity or (
            one.affinity in _NUMERIC and other.affinity in _NUMERIC
        )
        if not alike or one.collation.upper() != "BINARY" or other.collation.upper() != "BINARY":
            return False
    return True


def _named_places(table: Table, key: ForeignKey) -> set[int]:
    """The columns of a parent table that a constraint refers to, as far as they are there."""
    if key.parent_columns is None:
        return set(table.primary_key)
    wanted = {name.lower() for name in key.parent_columns}
    return {place for place, column in enumerate(table.columns) if column.name.lower() in wanted}


def layer_of(schema: Schema, table: Table) -> Schema:
    """The objects among which a table's parents and children are."""
    layer = schema.layer(table.database)
    assert layer is not None
    return layer


def check_foreign_keys(ctx: Context, database: str, table: Table | None) -> Iterator[Row]:
    """Rows of PRAGMA foreign_key_check: (table, rowid or None, parent, number of the constraint).

    `table`: look at that one alone, rather than at all of `database`."""
    layer = ctx.schema.layer(database)
    assert layer is not None
    tables = list(reversed(layer.tables.values())) if table is None else [table]
    for child in tables:
        schema = layer_of(ctx.schema, child)
        for number, key in enumerate(reversed(child.foreign_keys)):
            parent = None
            if schema.table(key.parent) is not None:
                parent = ParentKey(schema, child, key)
            for rowid, _row in _violations(ctx, child, key, parent):
                yield child.name, None if child.without_rowid else rowid, key.parent, number


def _violations(
    ctx: Context, table: Table, key: ForeignKey, parent: ParentKey | None
) -> Iterator[Keyed]:
    places = key.columns
    for keys, rows in ctx.transaction.tree(table.tree_id).batches():
        ctx.check()
        for rowid, row in zip(keys, rows, strict=True):
            values = tuple([row[place] for place in places])
            if None not in values and (parent is None or not parent.exists(ctx, values)):
                yield rowid, row
