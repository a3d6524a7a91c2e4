"""A session: one user's view of a database, where statements come in and results go out.

    session = Session(open_store("app.db"))
    session.execute("INSERT INTO t VALUES (?)", (1,)).rowcount
    for row in session.execute("SELECT * FROM t"): ...

`execute` finds the plan of a statement by its text, or by its shape (the text with its literals lifted
out), so that a repeated statement never reaches the parser; see `session_plans`.  Transactions are in
`session_transactions`.  A session belongs to one thread at a time; only `interrupt` may be called from
another one.  Importing this module, and the raw key space's `reading` and `writing`, import no parser.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from btree import Store, Transaction
from sql.context import Cancellation, Context
from sql.errors import (
    ConstraintError,
    SeveralStatementsError,
    SqlError,
    SqlNameError,
    SqlSyntaxError,
)
from sql.loading import planning
from sql.result import Result, WriteOutcome
from sql.session_plans import Parameters, Prepared, QueryPlan, TransactionStatement, Values
from sql.session_transactions import BEHIND, TransactionState
from sql.session_writes import WriteStatement

if TYPE_CHECKING:
    from sql.authorizing import Ask, Authorizer
    from sql.bind import BindEnvironment
    from sql.functions import FunctionRegistry
    from sql.parse.statements import ObjectName, Statement
    from sql.plan import ResultColumn
    from sql.run.short import Ready
    from sql.schema import Table
    from sql.session_runs import Runs
    from sql.short import ReadyQuery

_MEMORY_MIN_BYTES = 8 << 20
_PLANS_MAX = 1024
_READY_MAX = 256
_TEXT_CACHED_MAX = 1 << 16
_AGAIN, _TEXTS_MAX = 8, 64
"""How often a query of literals is asked, word for word, before it has a plan of its own, and texts that are counted."""
_INSERT_LETTERS = frozenset("iIrR")  # of INSERT, REPLACE
_LONG = (
    1024  # characters: beyond, an INSERT of more than a few rows is first tried as rows of literals
)
_ROWS_FEW = 8

_CONTROL = {
    "BEGIN": TransactionState.begin,
    "BEGIN TRANSACTION": TransactionState.begin,
    "BEGIN DEFERRED": TransactionState.begin,
    "BEGIN IMMEDIATE": TransactionState.begin_writer,
    "BEGIN EXCLUSIVE": TransactionState.begin_writer,
    "COMMIT": TransactionState.commit,
    "END": TransactionState.commit,
    "COMMIT TRANSACTION": TransactionState.commit,
    "ROLLBACK": TransactionState.rollback,
}
"""Statements that need no parser, by their text: methods of the session."""


class Session(TransactionState):
    """One connection's state on `store`.

    `memory_limit_bytes`: what a sort, group or join may take before it spills to disk (None: as much as the store).
    `busy_timeout`: seconds to wait for another writer (None: the store's own)."""

    def __init__(
        self,
        store: Store,
        *,
        memory_limit_bytes: int | None = None,
        busy_timeout: float | None = None,
    ) -> None:
        super().__init__(store, busy_timeout)
        self.memory_limit_bytes = memory_limit_bytes or max(store.memory_bytes, _MEMORY_MIN_BYTES)
        self._timeout: float | None = None
        self.cancellation = Cancellation()
        self.foreign_keys = False
        self.recursive_triggers = False
        self.case_sensitive_like = False
        self.ignore_check_constraints = False
        self.authorizer: Authorizer | None = None
        self.opener: Callable[[Session, str], Store] | None = None
        """What opens the database at a path that ATTACH names (`sql.attaching.open_attached` if nothing else)."""
        self.on_text: Callable[[SqlNameError], None] | None = None
        """Told while a statement is prepared of a name in double quotes that no column has: it is a text."""
        self.pragmas: dict[str, Any] = {}  # settings that are kept and shown, and change nothing
        self.changes = 0
        self.total_changes = 0
        self.last_insert_rowid = 0
        self._is_newest = store.is_newest
        self._plans: dict[Any, Prepared] = {}
        self.known_plan = self._plans.get
        """The plan of a statement's text, if it has run before (`Prepared.quick`)."""
        self._times: dict[str, int] = {}  # how often texts with literals came
        self._ready_version = 0  # of the functions, when queries were made ready
        self.lift: Callable[[str], tuple[str, Any]] = _lift_at_first
        """The shape of a statement and its literals' values (`sql.parse.shape`)."""

    @cached_property
    def functions(self) -> FunctionRegistry:
        """The functions and collations that statements find, this session's own among them."""
        from sql.functions import FunctionRegistry

        return FunctionRegistry()

    @cached_property
    def runs(self) -> Runs:
        """What executes statements of a script that are alike but for their literals."""
        from sql.session_runs import Runs

        return Runs(self)

    # -- statements -----------------------------------------------------------------------------------

    @property
    def is_limited(self) -> bool:
        """Whether something may stop a statement before another thread does: a timeout, a progress handler."""
        return self._timeout is not None or self.cancellation.progress is not None

    def execute(self, sql: str, parameters: Parameters = ()) -> Result:
        """Run the one statement in `sql`.

        `parameters`: a sequence for `?`, a mapping for named parameters.  Raises SqlError and its
        subclasses, and the store's errors; a statement that fails leaves no trace."""
        if self.closed:
            self._check_open()
        cancellation = self.cancellation
        cancellation.requested = False
        if self._timeout is not None:
            cancellation.deadline = time.monotonic() + self._timeout
        if cancellation.progress is not None:
            cancellation.check()
        plans = self._plans
        plan = plans.get(sql)
        if plan is None and not parameters:
            if len(sql) > _LONG and sql.count("(") > _ROWS_FEW:
                result = self._literal_insert(sql)
                if result is not None:
                    return result
            shape, values = self.lift(sql)
            plan = plans.get(shape)
            if plan is None:
                return self._first_run(sql, shape, values, parameters)
            if len(values) == plan.count:
                if plan.__class__ is WriteStatement:
                    changes = plan.quick(self, values)
                    if changes.__class__ is int:
                        return Result(None, (), changes, self.last_insert_rowid)
                    if isinstance(changes, list):  # what RETURNING gives
                        batches = [changes] if changes else []
                        return Result(plan.columns, batches, self.changes, self.last_insert_rowid)
                elif self._comes_again(sql):
                    return self._prepared(sql).run(self, ())
                try:
                    return plan.run(self, values)
                except SqlError as error:
                    if not is_about_text(error):
                        raise
                    plans.pop(shape, None)
            plan = None
        if plan is None:
            plan = self._prepared(sql)
        if not plan.count and not parameters:
            return plan.run(self, ())
        values = plan.bind(parameters)
        if plan.__class__ is QueryPlan:
            types = tuple(map(type, values))
            if types != plan.types:
                plan = self._typed(plan, sql, types)
        return plan.run(self, values)

    def _comes_again(self, sql: str) -> bool:
        """Whether a program asks the same, literals included, again and again.

        A plan that is known by the whole text takes no look at its literals, and may be kept ready: 4 to 10 us less."""
        times = self._times.get(sql, 0) + 1
        if len(self._times) >= _TEXTS_MAX:
            self._times.clear()
        self._times[sql] = times
        return times >= _AGAIN and len(sql) <= _TEXT_CACHED_MAX

    def execute_many(
        self, sql: str, parameter_sets: Iterable[Parameters], *, plain: bool = False
    ) -> Result:
        """Run one INSERT, UPDATE or DELETE for each set of parameters; `rowcount` is the sum.

        `plain` promises tuples of as many values as there are parameters, all of them None, int of 64
        bits, float but NaN, str or bytes: they are taken unseen."""
        self._check_open()
        self.cancellation.requested = False
        plan = self._plans.get(sql) or self._prepared(sql)
        if plan.__class__ is WriteStatement:
            return plan.run_many(self, parameter_sets, plain=plain)
        total = 0
        for parameters in parameter_sets:
            result = plan.run(self, plan.bind(parameters))
            result.close()
            total += max(result.rowcount, 0)
        return Result(rowcount=total)

    def close(self) -> None:
        """Roll back what is open.  The store stays open, attached ones don't.  Closing twice is harmless."""
        if not self.closed:
            self.let_go()
            self.closed = True
            for other in self.others.values():
                other.store.close()

    def let_go(self) -> None:
        """Roll back what is open, and keep nothing of what was read."""
        if self.in_transaction:
            self._roll_back()
        self._plans.clear()
        self.drop_reader()

    @property
    def timeout(self) -> float | None:
        """Seconds that a statement may run, the fetching of its rows included; None for no limit."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._timeout = seconds
        self.cancellation.deadline = None
        self._ready.clear()  # a query that may have to be stopped is not short

    def interrupt(self) -> None:
        """Stop the running statement, from any thread: it raises Interrupted and undoes itself."""
        self.cancellation.requested = True

    # -- the plan cache ---------------------------------------------------------------------------------

    def prepare(self, sql: str) -> Prepared:
        """The statement in `sql`, parsed; from the plan cache if it is there."""
        return self._plans.get(sql) or self._prepared(sql)

    def forget_plans(self) -> None:
        """Empty the plan cache: a setting that plans depend on has changed."""
        self._plans.clear()
        self._ready.clear()

    def set_authorizer(self, ask: Ask | None) -> None:
        """Have `ask` say what statements may do from now on (`sql.authorizing`); None: all of it."""
        self.forget_plans()
        self.authorizer = None
        if ask is not None:
            from sql.authorizing import Authorizer

            self.authorizer = Authorizer(ask)

    def ready(self, sql: str, *, is_glance: bool = False) -> ReadyQuery | None:
        """The query of this text, if it is ready for what a statement would read now.

        `is_glance`: the query can do with a glance, BEHIND is to be told where something was committed since."""
        known = self._ready.get(sql)
        if (
            known is None
            or self.in_transaction
            or self.current is not None
            or self.functions.version != self._ready_version
        ):
            return None
        if self._is_newest(self._reader_moment):
            return known
        if is_glance and self.glances():
            return BEHIND
        return self._ready.get(sql) if self._follow(self.store.view()) else None

    def make_ready(self, sql: str, ready: Ready, columns: tuple[ResultColumn, ...]) -> None:
        """Have a query that gives few rows, and was made ready for the kept reader, at hand for the next time."""
        version = self.functions.version
        if self._ready_version != version or len(self._ready) >= _READY_MAX:
            self._ready.clear()
            self._ready_version = version
        if self._reader is not None and not self.is_limited and self.authorizer is None:
            self._ready[sql] = ready, columns

    def _first_run(self, sql: str, shape: str, values: Values, parameters: Parameters) -> Result:
        if self.lift is _lift_at_first:
            from sql.parse import lift_literals

            self.lift = lift_literals
        control = _CONTROL.get(sql.strip(" \t\r\n;").upper())
        if control is not None and self.authorizer is None:
            statement = TransactionStatement(control)
            self._keep(sql, statement)
            return statement.run(self, ())
        if not values:
            result = self._literal_insert(sql)
            if result is not None:
                return result
        else:
            try:
                return self._prepared(shape, lifted=True).run(self, values)
            except SqlError as error:
                if not is_about_text(error):
                    raise
                self._plans.pop(shape, None)
        # An empty mapping may still make values up (`__missing__`).
        plan = self._prepared(sql)
        values = plan.bind(parameters) if plan.count else ()
        if values and isinstance(plan, QueryPlan):
            plan = self._typed(plan, sql, tuple(map(type, values)))
        return plan.run(self, values)

    def _literal_insert(self, sql: str) -> Result | None:
        """Run `sql` if it is an INSERT of nothing but literals; None if it is not."""
        if sql.lstrip()[:1] not in _INSERT_LETTERS:
            return None  # a process of one query need not make the patterns
        from sql.session_inserts import literal_rows

        found = literal_rows(sql)
        return None if found is None else self._insert_rows(*found)

    def _insert_rows(self, statement: str, rows: list[Values]) -> Result | None:
        plan = self._plans.get(statement)
        if plan is None:
            try:
                plan = self._prepared(statement)
            except SqlError:
                return None
        if not isinstance(plan, WriteStatement):
            return None
        return plan.run_rows(self, rows)

    def _prepared(self, sql: str, *, lifted: bool = False) -> Prepared:
        from sql.parse import parse_statement

        try:
            with planning(sql):
                statement = parse_statement(sql)
        except SqlError as error:
            if error.message == "only one statement at a time can be executed":
                raise SeveralStatementsError(error.offset) from error
            raise
        if self.authorizer is not None:
            self.authorizer.check(self, statement)
        plan = _plan_of(statement)
        plan.text = sql
        if lifted and isinstance(plan, QueryPlan):
            plan.types = None
        if len(sql) <= _TEXT_CACHED_MAX and plan.__class__ is not Prepared:
            self._keep(sql, plan)
        return plan

    def _typed(self, plan: QueryPlan, sql: str, types: tuple[type, ...]) -> Prepared:
        """The variant of a query for parameters of other types."""
        known = cast("QueryPlan | None", self._plans.get((sql, types)))
        if known is None:
            known = QueryPlan(plan.statement, types)
            self._keep((sql, types), known)
        plan.variant = known
        return known

    def _keep(self, key: Any, plan: Prepared) -> None:
        if self.authorizer is not None:
            return  # who is asked for each execution
        plans = self._plans
        if len(plans) >= _PLANS_MAX:
            for old in list(plans)[: _PLANS_MAX // 4]:
                del plans[old]
        plans[key] = plan

    # -- what plans ask of the session ------------------------------------------------------------------

    def context(self, transaction: Transaction, parameters: Values = ()) -> Context:
        """A context for one run in `transaction`."""
        return Context(
            transaction,
            parameters,
            self.schema_of(transaction),
            self.functions,
            self.cancellation,
            self,
            self.memory_limit_bytes,
        )

    def environment(
        self,
        transaction: Transaction,
        *,
        extra_scopes: Mapping[str, tuple[Table, int]] | None = None,
        parameters: Sequence[Any] | None = None,
        parameter_kinds: Sequence[int] | None = None,
    ) -> BindEnvironment:
        """What a statement is bound against in `transaction`."""
        from sql.bind import BindEnvironment

        return BindEnvironment(
            self.schema_of(transaction),
            self.functions,
            transaction,
            extra_scopes=extra_scopes,
            relations=self._relation,
            parameters=parameters,
            parameter_kinds=parameter_kinds,
            on_text=self.on_text,
        )

    def _relation(self, name: str, database: str | None = None) -> Any:
        from sql.relations import relation

        return relation(name, database or "main")

    def database_of(self, name: ObjectName) -> str:
        """The database of the table or view that `name` means; main where there is none."""
        if not self.others:
            return "main"
        schema = self.schema
        found = schema.find_table(name.name, name.schema) or schema.find_view(
            name.name, name.schema
        )
        if found is not None:
            return found.database
        wanted = (name.schema or "main").lower()
        return wanted if wanted in self.numbers else "main"

    def begin_writing(self, database: str = "main") -> Transaction:
        """A transaction for one statement outside of any that writes a database."""
        transaction = self.begin_transaction(write=database == "main")
        if database != "main":
            try:
                self.ensure_writable(transaction, database)
            except BaseException:
                transaction.rollback()
                raise
        return transaction

    def commit_alone(self, transaction: Transaction) -> None:
        """The end of a statement that was a transaction of its own."""
        if self.deferred_violations > 0:
            self.abandon(transaction)
            self.changes = 0
            raise ConstraintError("FOREIGN KEY constraint failed", kind="FOREIGN KEY")
        self.deferred_violations = 0
        self.defer_foreign_keys = False
        transaction.commit()

    def abandon(self, transaction: Transaction) -> None:
        """Undo a statement that was a transaction of its own."""
        self.deferred_violations = 0
        self.defer_foreign_keys = False
        if not self.in_transaction:
            self.unfinished = None
        transaction.rollback()

    def roll_back_all(self, transaction: Transaction) -> None:
        """OR ROLLBACK: end the transaction that a failed statement ran in."""
        if transaction is self.begun:
            self._roll_back()

    def note_open_result(self, result: Result) -> None:
        """Remember a result that reads from the open transaction."""
        self._open_results.add(result)
        self._has_open_results = True

    @property
    def counters(self) -> tuple[int, int, int]:
        """`changes`, `total_changes` and `last_insert_rowid`, to be put back after an attempt."""
        return self.changes, self.total_changes, self.last_insert_rowid

    @counters.setter
    def counters(self, values: tuple[int, int, int]) -> None:
        self.changes, self.total_changes, self.last_insert_rowid = values

    def count_changes(self, outcome: WriteOutcome) -> None:
        """Set `changes` after a statement, and add to `total_changes`."""
        self.changes = outcome.changes
        self.total_changes += outcome.total_changes

    @contextmanager
    def running(self, transaction: Transaction) -> Iterator[None]:
        """While it lasts, what the session is asked to do happens inside of `transaction`."""
        previous, self.current = self.current, transaction
        try:
            yield
        finally:
            self.current = previous


def is_about_text(error: SqlError) -> bool:
    """Whether a statement's shape does not parse or bind (any more): what is told of it is to be of the text itself."""
    return error.offset is not None or isinstance(error, (SqlSyntaxError, SqlNameError))


def _lift_at_first(sql: str) -> tuple[str, Values]:
    """Stands for `lift_literals` until a first statement needs it: raw commands never load it."""
    from sql.parse import lift_literals

    return lift_literals(sql)


def _plan_of(statement: Statement) -> Prepared:
    make: Callable[[Any], Prepared] | None = _PLANS.get(type(statement).__name__)
    return Prepared(statement) if make is None else make(statement)


_PLANS: dict[str, Callable[[Any], Prepared]] = {
    "Query": lambda statement: QueryPlan(statement, ()),
    "Insert": WriteStatement,
    "Update": WriteStatement,
    "Delete": WriteStatement,
}
