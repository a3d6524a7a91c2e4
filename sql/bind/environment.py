"""What a statement is bound against: the schema, functions, and one transaction's statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind.scope import ScopeColumn
    from sql.errors import SqlNameError
    from sql.functions import FunctionRegistry
    from sql.schema import Schema, Table


class Asks(Protocol):
    """Whom a binder tells what a statement's names mean, while an authorizer is asked (`sql.authorizing`)."""

    def select(self) -> None: ...
    def recursive(self) -> None: ...
    def function(self, name: str) -> None: ...
    def relation(self, name: str, database: str, written: str | None) -> None: ...
    def column(self, found: ScopeColumn) -> None: ...
    def of_row(self, table: Table, name: str) -> None: ...


class BindEnvironment:
    """The surroundings of one preparation.

    `extra_scopes` gives rows that the run's context holds (`Context.outer_rows[number]` is a pair of
    rowid and row): a trigger's NEW and OLD, an upsert's `excluded`.  `relations` answers special
    relations and table-valued functions by lower-case name.  `parameter_kinds` are masks of `Kind`
    bits of the values that the statement will be run with, where known; `parameters` sample values
    for the planner's estimates.  `running` are the programs that the statement is a part of, while they are made
    functions of; None where they are not to be.  `on_text` is told of a name in double quotes that no column of the
    statement's tables has, and that is a text therefore; with `texts_anywhere` also where there is no table, and in a CTE that
    nothing reads.  `hidden` are columns that an authorizer shows as NULL: (database, table, column, view or CTE that reads it).

    The transaction is whoever's that has the statement prepared: a plan that is kept keeps its surroundings, and
    would keep a version of all trees."""

    __slots__ = (
        "_transaction",
        "extra_scopes",
        "functions",
        "hidden",
        "on_text",
        "parameter_kinds",
        "parameters",
        "parse",
        "relations",
        "running",
        "schema",
        "texts_anywhere",
    )

    def __init__(
        self,
        schema: Schema,
        functions: FunctionRegistry,
        transaction: Transaction,
        *,
        extra_scopes: Mapping[str, tuple[Table, int]] | None = None,
        relations: Callable[..., Any] | None = None,
        parameter_kinds: Sequence[int] | None = None,
        parameters: Sequence[Any] | None = None,
        parse: Callable[[str], Any] | None = None,
        on_text: Callable[[SqlNameError], None] | None = None,
    ) -> None:
        self.schema = schema
        self.functions = functions
        self._transaction = ref(transaction)
        self.extra_scopes = dict(extra_scopes or {})
        self.relations = relations
        self.parameter_kinds = parameter_kinds
        self.parameters = parameters
        self.parse = parse
        self.on_text = on_text
        self.texts_anywhere = False
        self.running: tuple[Any, ...] | None = ()
        self.hidden: frozenset[tuple[str, str, str, str]] = frozenset()

    def within(self, transaction: Transaction) -> BindEnvironment:
        """The same surroundings in another transaction."""
        other = copy(self)
        other._transaction = ref(transaction)
        return other

    def is_within(self, transaction: Transaction) -> bool:
        """Whether that is the transaction."""
        return self._transaction() is transaction

    @property
    def transaction(self) -> Transaction:
        """What is there while the statement is prepared."""
        transaction = self._transaction()
        assert transaction is not None, "the transaction of a preparation is over"
        return transaction

    def kinds_of(self, table: Table) -> tuple[int, ...]:
        """Per column, the mask of kinds that the table has ever held; every kind where unknown."""
        masks: tuple[int, ...] = ()
        if table.tree_id > 0:
            masks = self.transaction.tree(table.tree_id).kinds
        width = len(table.columns)
        if len(masks) < width:
            masks = (*masks, *([31] * (width - len(masks))))
        return masks
