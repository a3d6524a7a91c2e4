"""Foreign keys: violations are counted, actions are run as statements of their own.

https://www.sqlite.org/foreignkeys.html.  A violation that appears adds one to a counter, one that goes
away takes one off: the statement's counter has to be zero at its end, the session's (for deferred
constraints) at the end of the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sql.collations import folding
from sql.compile import prepare_select
from sql.context import Context
from sql.errors import ConstraintError, SqlError, SqlNameError
from sql.expressions import Affinity
from sql.parse import parse_statement
from sql.run.ranges import rowid_of
from sql.values import apply_affinity

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.schema import ForeignKey, Index, Table
    from sql.session import Session

Row = tuple[Any, ...]

COUNTER = -1
"""Place in a context's `outer_rows` of the statement's counter, shared with its trigger programs."""

OWNER = -2
"""Present in the context whose statement has to end with the counter at zero."""


def failed() -> ConstraintError:
    return ConstraintError("FOREIGN KEY constraint failed", kind="FOREIGN KEY")


def quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


class ForeignKeys:
    """The constraints that a table has, and those that refer to it."""

    def __init__(self, session: Session, env: BindEnvironment, table: Table) -> None:
        self.session = session
        self.table = table
        schema = env.schema
        self.own = [Reference(session, table, key) for key in table.foreign_keys]
        self.referring = [
            Reference(session, child, key)
            for child in schema.tables.values()
            for key in child.foreign_keys
            if key.parent.lower() == table.name.lower()
        ]

    @property
    def matters(self) -> bool:
        """Whether there are any."""
        return bool(self.own or self.referring)

    # -- a statement's counter -------------------------------------------------------------------

    def start(self, ctx: Context) -> None:
        """A statement begins."""
        if COUNTER not in ctx.outer_rows:
            ctx.outer_rows[COUNTER] = [0]
            ctx.outer_rows[OWNER] = True
        elif OWNER in ctx.outer_rows:
            ctx.outer_rows[COUNTER][0] = 0

    def finish(self, ctx: Context) -> int:
        """A statement ends.  ConstraintError if it leaves a violation behind."""
        if OWNER in ctx.outer_rows and ctx.outer_rows[COUNTER][0] > 0:
            raise failed()
        return 0

    def _add(self, ctx: Context, reference: Reference, count: int) -> None:
        if reference.key.deferred or self.session.defer_foreign_keys:
            self.session.deferred_violations += count
        else:
            ctx.outer_rows[COUNTER][0] += count

    def _violated(self, ctx: Context, reference: Reference) -> bool:
        if reference.key.deferred or self.session.defer_foreign_keys:
            return self.session.deferred_violations > 0
        return bool(ctx.outer_rows[COUNTER][0] > 0)

    # -- rows ------------------------------------------------------------------------------------

    def inserted(self, ctx: Context, key: Any, row: Row) -> None:
        """A row was written."""
        for reference in self.own:
            values = reference.child_values(row)
            if values is not None and not reference.has_parent(ctx, values):
                self._add(ctx, reference, 1)
        for reference in self.referring:
            self._adopted(ctx, reference, row)

    def _adopted(self, ctx: Context, reference: Reference, row: Row) -> None:
        """A new parent: children that waited for it are no violations any more."""
        if self._violated(ctx, reference):
            values = reference.parent_values(ctx, row)
            if values is not None:
                self._add(ctx, reference, -reference.count_children(ctx, values))

    def deleted(self, ctx: Context, key: Any, row: Row) -> int:
        """A row was (or is about to be) taken away; rows that actions changed."""
        changed = 0
        for reference in self.own:
            values = reference.child_values(row)
            if values is None or not self._violated(ctx, reference):
                continue
            if self._refers_to_itself(ctx, reference, values, row):
                continue
            if not reference.has_parent(ctx, values):
                self._add(ctx, reference, -1)
        for reference in self.referring:
            values = reference.parent_values(ctx, row)
            if values is not None:
                changed += self._parent_gone(ctx, reference, values, None, reference.key.on_delete)
        return changed

    def _refers_to_itself(self, ctx: Context, reference: Reference, values: Row, row: Row) -> bool:
        return (
            reference.key.parent.lower() == self.table.name.lower()
            and reference.parent_values(ctx, row) == values
        )

    def updated(self, ctx: Context, old_key: Any, old: Row, key: Any, row: Row) -> int:
        """A row was changed; rows that actions changed."""
        changed = 0
        for reference in self.own:
            before, after = reference.child_values(old), reference.child_values(row)
            if before == after and old_key == key:
                continue
            if before is not None and self._violated(ctx, reference):
                if not reference.has_parent(ctx, before):
                    self._add(ctx, reference, -1)
            if after is not None and not reference.has_parent(ctx, after):
                self._add(ctx, reference, 1)
        for reference in self.referring:
            before = reference.parent_values(ctx, old)
            after = reference.parent_values(ctx, row)
            if before == after:
                continue
            if before is not None:
                changed += self._parent_gone(ctx, reference, before, after, reference.key.on_update)
            if after is not None:
                self._adopted(ctx, reference, row)
        return changed

    def _parent_gone(
        self, ctx: Context, reference: Reference, old: Row, new: Row | None, action: str
    ) -> int:
        """A parent key is no longer there: `new` takes its place, None if the row is deleted."""
        if action in ("NO ACTION", ""):
            self._add(ctx, reference, reference.count_children(ctx, old))
            return 0
        if action == "RESTRICT":
            if reference.count_children(ctx, old):
                raise failed()
            return 0
        return reference.act(ctx, action, old, new)


class Reference:
    """One constraint: how parents and children are found, and its actions."""

    def __init__(self, session: Session, child: Table, key: ForeignKey) -> None:
        self.session = session
        self.child = child
        self.key = key
        self._parent: _ParentKey | None = None
        self._plans: dict[str, Any] = {}

    def child_values(self, row: Row) -> Row | None:
        """The referring values of a child row; None if any of them is NULL."""
        values = tuple([row[place] for place in self.key.columns])
        return None if None in values else values

    def parent(self, ctx: Context) -> _ParentKey:
        if self._parent is None:
            self._parent = _ParentKey(ctx, self.child, self.key)
        return self._parent

    def parent_values(self, ctx: Context, row: Row) -> Row | None:
        """The referred-to values of a parent row; None if any of them is NULL."""
        values = tuple([row[place] for place in self.parent(ctx).places])
        return None if None in values else values

    def has_parent(self, ctx: Context, values: Row) -> bool:
        return self.parent(ctx).exists(ctx, values)

    def count_children(self, ctx: Context, values: Row) -> int:
        where = self._where()
        text = f"SELECT count(*) FROM {quoted(self.child.name)} WHERE {where}"
        plan = self._plans.get(text)
        if plan is None or not plan.is_still_valid(ctx.transaction):
            env = self.session.environment(ctx.transaction)
            plan = prepare_select(parse_statement(text).tree, env)  # type: ignore[attr-defined]
            self._plans[text] = plan
        inner = self._context(ctx, values)
        count: int = next(iter(plan.run(inner)))[0][0]
        return count

    def _where(self) -> str:
        return " AND ".join(
            f"{quoted(self.child.columns[place].name)} = ?{number}"
            for number, place in enumerate(self.key.columns, 1)
        )

    def _context(self, ctx: Context, parameters: Row) -> Context:
        inner = Context(
            ctx.transaction,
            parameters,
            ctx.schema,
            ctx.functions,
            ctx.cancellation,
            ctx.session,
            ctx.memory_limit_bytes,
        )
        inner.outer_rows[COUNTER] = ctx.outer_rows[COUNTER]
        return inner

    def act(self, ctx: Context, action: str, old: Row, new: Row | None) -> int:
        """CASCADE, SET NULL or SET DEFAULT; the number of rows changed."""
        from sql.dml import prepare_write

        child = quoted(self.child.name)
        count = len(self.key.columns)
        if action == "CASCADE" and new is None:
            text = f"DELETE FROM {child} WHERE {self._where()}"
        else:
            parts = []
            for number, place in enumerate(self.key.columns, 1):
                column = self.child.columns[place]
                value = "NULL"
                if action == "CASCADE":
                    value = f"?{count + number}"
                elif action == "SET DEFAULT":
                    value = f"({column.default})" if column.default is not None else "NULL"
                parts.append(f"{quoted(column.name)} = {value}")
            text = f"UPDATE {child} SET {', '.join(parts)} WHERE {self._where()}"
        plan = self._plans.get(text)
        if plan is None or not plan.is_still_valid(ctx.transaction):
            env = self.session.environment(ctx.transaction)
            statement: Any = parse_statement(text)
            plan = prepare_write(self.session, ctx.transaction, statement, env)
            self._plans[text] = plan
        parameters = old if new is None or action != "CASCADE" else (*old, *new)
        saved = self.session.changes, self.session.last_insert_rowid
        try:
            outcome = plan.run(self._context(ctx, parameters))
        finally:
            self.session.changes, self.session.last_insert_rowid = saved
        total: int = outcome.total_changes
        return total


class _ParentKey:
    """How a parent row is looked up: by rowid, by a WITHOUT ROWID key, or by a unique index."""

    def __init__(self, ctx: Context, child: Table, key: ForeignKey) -> None:
        table = ctx.schema.find_table(key.parent)
        if table is None:
            raise SqlNameError(f"no such table: main.{key.parent}", token=key.parent)
        self.table = table
        self.index: Index | None = None
        self.clustered = False
        self.places = self._columns(table, child, key)
        names = tuple(self.places)
        mismatch = SqlError(f'foreign key mismatch - "{child.name}" referencing "{table.name}"')
        if len(names) != len(key.columns):
            raise mismatch
        self.order: list[int] = list(range(len(names)))
        if len(names) == 1 and names[0] == table.rowid_alias:
            return
        if table.without_rowid and set(names) == set(table.primary_key):
            self.clustered = True
            self.order = [names.index(place) for place in table.primary_key]
            return
        for index in ctx.schema.indexes_on(table.name):
            parts = [part.column for part in index.columns]
            if not index.unique or index.where is not None or set(parts) != set(names):
                continue
            if len(parts) == len(names):
                self.index = index
                self.order = [names.index(place) for place in parts if place is not None]
                return
        raise mismatch

    def _columns(self, table: Table, child: Table, key: ForeignKey) -> list[int]:
        if key.parent_columns is None:
            return list(table.primary_key)
        places = []
        for name in key.parent_columns:
            found = [
                place
                for place, column in enumerate(table.columns)
                if column.name.lower() == name.lower()
            ]
            if not found:
                raise SqlError(f'foreign key mismatch - "{child.name}" referencing "{table.name}"')
            places.append(found[0])
        return places

    def exists(self, ctx: Context, values: Row) -> bool:
        """Whether there is a parent row with these values."""
        table = self.table
        converted = [
            apply_affinity(value, Affinity(table.columns[place].affinity))
            for value, place in zip(values, self.places, strict=True)
        ]
        if self.index is None and not self.clustered:
            rowid = rowid_of(converted[0])
            return rowid is not None and rowid in ctx.transaction.tree(table.tree_id)
        parts = []
        for number, at in enumerate(self.order):
            value = converted[at]
            if self.index is not None:
                collation = self.index.columns[number].collation
            else:
                collation = table.columns[self.places[at]].collation
            fold = folding(collation, ctx.functions.collations)
            parts.append(value if fold is None else fold(value))
        prefix = tuple(parts)
        if self.index is None:
            return prefix in ctx.transaction.tree(table.tree_id)
        tree = ctx.transaction.tree(self.index.tree_id)
        return any(True for _ in tree.batches(prefix, prefix, hi_inclusive=True))


def check_foreign_keys(session: Session, ctx: Context, table: Table | None) -> Iterator[Row]:
    """Rows of PRAGMA foreign_key_check: (table, rowid or None, parent, number of the constraint)."""
    tables = [table] if table is not None else list(ctx.schema.tables.values())
    for child in tables:
        for number, key in enumerate(child.foreign_keys):
            reference = Reference(session, child, key)
            missing = ctx.schema.find_table(key.parent) is None
            for keys, rows in ctx.transaction.tree(child.tree_id).batches():
                ctx.check()
                for rowid, row in zip(keys, rows, strict=True):
                    values = reference.child_values(row)
                    if values is None:
                        continue
                    if missing or not reference.has_parent(ctx, values):
                        shown = None if child.without_rowid else rowid
                        yield (child.name, shown, key.parent, len(child.foreign_keys) - 1 - number)
