"""Prepared statements of a session: what its plan cache holds, and how each kind is run.

A plan is made from a statement's text, or from its shape with the literals lifted out, and is used
again as long as what it was compiled against holds: the catalog's state, the registry of functions, and
the kinds of value that the tables have ever held.  A read transaction on the very commit of the latest
check needs no check at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import is_
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from btree import CATALOG_TREE_ID, Row, StoreError, Transaction
from sql.context import Context
from sql.errors import Interrupted, SqlError
from sql.loading import load, planning
from sql.parameters import bound_values
from sql.plain import fits_types
from sql.result import OwningResult, Result
from sql.session_transactions import BEHIND

if TYPE_CHECKING:
    from sql.expressions import SqlValue
    from sql.functions import FunctionRegistry
    from sql.parse.statements import Query, Statement
    from sql.plan import ResultColumn
    from sql.run.short import Ready, Short
    from sql.schema import ObservedSchema, Schema
    from sql.session import Session

Values = tuple["SqlValue", ...]
Parameters = Sequence[Any] | Mapping[str, Any]

_ROWS_GATHERED = 16384
_FEW_ROWS = 1000
"""Rows of a query that are given back at once by the short way, without a look whether to stop."""
_FITTING_MAX = 6
"""Plans of a query for other numbers of rows that are kept."""
_REPLANS_MAX = 64
"""How often a query is planned anew for another number of rows; later it does with the plans that are kept."""
_SHORT_RUNS = 3
"""How often a short query is run before its code is made: code is quicker than what is made ready anew each time."""
_NO_TRANSACTION: Any = None
_NEVER = -2  # a commit number that no transaction has (a pair's is -1)


class _Made(NamedTuple):
    """A plan of a query that is kept for other numbers of rows: `QueryPlan`'s attributes of the same names."""

    compiled: Any
    short: Short | None
    short_runs: int
    coded: bool
    gives_list: bool


class Prepared:
    """A statement that was parsed.  `names` are its parameters' names, None for `?`; `text` is what it is
    known by in the plan cache."""

    __slots__ = ("count", "names", "statement", "text")

    text: str

    is_dml = False
    """Whether the statement's first word is INSERT, REPLACE, UPDATE or DELETE."""
    is_query = False
    """Whether it is a SELECT or VALUES, perhaps behind a WITH."""

    @property
    def columns(self) -> tuple[ResultColumn, ...] | None:
        """Those of the rows of the latest run, if such a statement gives any."""
        return None

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.names = statement.parameter_names
        self.count = len(statement.parameter_names)

    def run(self, session: Session, values: Values) -> Result:
        """Execute with `values` for the parameters."""
        from sql.session_statements import execute_statement

        return execute_statement(session, self.statement, values)

    def quick(self, session: Session, parameters: Any) -> list[Row] | int | None:
        """Execute what is no more than a look at a row, or a change of one: the rows of a query, the number
        of rows that were changed, -1 for what changes none.  None, with nothing done, where somebody has to look closer.

        `parameters` are what a program gave, of whatever class and however many.  It is all that stands between a program
        and the tree, most of the time: so whatever is not as it was at the latest `run` is left to the next."""
        return None

    def quick_bound(self, session: Session, values: Values) -> list[Row] | int | None:
        """`quick` with values of SQL, as many as there may be."""
        return self.quick(session, values)

    def bind(self, parameters: Parameters) -> Values:
        """The parameters' values in their order.  Raises MisuseError for a wrong number of them."""
        return bound_values(self.names, parameters)


class TransactionStatement(Prepared):
    """BEGIN, COMMIT, ROLLBACK: what the session does then.

    They come with every transaction, so they are kept as plans are."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[Any], None]) -> None:
        self.names, self.count = (), 0
        self._action = action

    def run(self, session: Session, values: Values) -> Result:
        self._action(session)
        return Result()

    def quick(self, session: Session, parameters: Any) -> list[Row] | int | None:
        if parameters:
            return None
        action = self._action
        action(session)
        return -1


def catalog_states(transaction: Transaction) -> list[object]:
    """The same objects at two moments mean that the catalogs of all databases are as they were."""
    parts: dict[int, Transaction] | None = getattr(transaction, "parts", None)
    if parts is None:
        return [transaction.tree(CATALOG_TREE_ID).state]
    return [part.tree(CATALOG_TREE_ID).state for part in parts.values()]


class Checked(Prepared):
    """A plan that depends on the catalog, the functions and the tables' kinds."""

    __slots__ = (
        "_commit_number",
        "_functions",
        "_functions_version",
        "_schema",
        "_shape",
        "_states",
    )

    _schema: Schema
    _functions: FunctionRegistry  # the session's

    def __init__(self, statement: Statement) -> None:
        super().__init__(statement)
        self._commit_number = _NEVER
        self._functions_version = -1
        self._shape: object = None  # of the latest check that found all in order
        self._states: list[object] = []  # of the databases' catalogs, and their stores'

    def is_current(self, session: Session, transaction: Transaction) -> bool:
        """Whether catalog and functions are those of the latest preparation."""
        if transaction.shape is self._shape:
            return self._functions_version == session.functions.version
        if self._functions_version != session.functions.version:
            return False
        states = catalog_states(transaction)
        return len(states) == len(self._states) and all(map(is_, states, self._states))

    def note(self, session: Session, transaction: Transaction) -> None:
        self._states = catalog_states(transaction)
        self._functions = session.functions
        self._functions_version = session.functions.version

    def context(self, session: Session, transaction: Transaction, values: Values) -> Context:
        """What one run in `transaction` sees."""
        return Context(
            transaction,
            values,
            self._schema,
            session.functions,
            session.cancellation,
            session,
            session.memory_limit_bytes,
        )


class QueryPlan(Checked):
    """A SELECT or VALUES.  `types` are the parameters' Python types that it was compiled for."""

    __slots__ = (
        "_coded",
        "_compiled",
        "_fits",
        "_fitted",
        "_fitting",
        "_gives_list",
        "_observed",
        "_quick_context",
        "_reader",
        "_replans",
        "_short",
        "_short_runs",
        "keeps_planner",
        "types",
        "variant",
    )

    _observed: ObservedSchema

    statement: Query
    is_query = True

    def __init__(self, statement: Query, types: tuple[type, ...] | None) -> None:
        super().__init__(statement)
        self.types = types
        self.variant: QueryPlan | None = None  # the latest for parameters of other types
        self.keeps_planner = False  # EXPLAIN draws it
        self._compiled: Any = None
        self._fits = fits_types(types or ())  # of parameters as a program gives them
        self._short: Short | None = None  # all that the query is
        self._short_runs = 0  # one more than it may do as such; 0 where there is code
        self._coded = False  # whether it has turned out to need code
        self._reader = 0  # the id of the kept one that it read from
        self._gives_list = False  # whether the latest run gave all rows at once, and few
        self._quick_context: Context | None = None
        self._fitted: Values = ()  # the latest that the plan was seen to fit
        self._fitting: list[_Made] = []  # plans for other numbers of rows
        self._replans = 0

    def quick(self, session: Session, parameters: Any) -> list[Row] | int | None:
        transaction = session.begun
        plan = self.variant if self.count else self
        if transaction is None:
            if plan is None or not plan._fits(parameters):
                return None
            short = plan._short
            ready = session.ready(self.text, is_glance=short is not None and short.direct)
            if short is not None and ready is BEHIND:
                if (rows := short.glance(session.store, plan._shape, parameters)) is not None:
                    return rows
                ready = session.ready(self.text)
            return None if ready is None else ready[0](parameters)
        if plan is None or session.current is not None:
            return None
        short, fits = plan._short, plan._fits
        if (
            short is None
            or not fits(parameters)
            or transaction.plain_shape is not plan._shape
            or plan._functions.version != plan._functions_version
        ):
            return None
        return short.rows(transaction, parameters)

    def quick_bound(self, session: Session, values: Values) -> list[Row] | int | None:
        plan = self.variant if self.count else self
        if plan is None:
            return None
        short = plan._short
        if short is None and not plan._gives_list:
            return None
        if tuple(map(type, values)) != (plan.types or ()):
            return None
        joined = session.current or session.begun
        transaction = joined or session.quick_reader()
        if (
            transaction is None
            or (transaction.plain_shape or transaction.shape) is not plan._shape
            or plan._functions.version != plan._functions_version
        ):
            return None
        if joined is None and not session.others and session.keeps(transaction):
            # Not at the first time: where a commit follows each query, that would be work for nothing.
            if plan._reader == id(transaction):
                ready = (
                    plan._ready(session, transaction) if short is None else short.ready(transaction)
                )
                session.make_ready(self.text, ready, plan._compiled.columns)
            plan._reader = id(transaction)
        if short is not None:
            rows = short.rows(transaction, values)
            if rows is not None or not plan._gives_list:
                return rows
        return plan._quick_rows(session, transaction, values)

    def _ready(self, session: Session, transaction: Transaction) -> Ready:
        """`_quick_rows`, ready for a reader that is kept (`sql.short`)."""
        types = self.types or ()

        def rows(values: Values) -> list[Row] | None:
            if not self._gives_list or tuple(map(type, values)) != types:
                return None
            return self._quick_rows(session, transaction, values)

        return rows

    def _quick_rows(
        self, session: Session, transaction: Transaction, values: Values
    ) -> list[Row] | None:
        """`quick` by the query's code."""
        if transaction.writable or session.is_limited:
            return None
        number = transaction.commit_number
        if number != self._commit_number:
            # The trees have grown, or not much; and what was ready before a transaction is asked for again after
            # its rollback, while the code may be for the catalog of that transaction.
            if (
                number < 0
                or not self.is_current(session, transaction)
                or not self._compiled.is_still_valid(transaction)
            ):
                return None
            self._commit_number = number
        compiled = self._compiled
        if (compiled.is_dear or self._replans) and values != self._fitted:
            if not compiled.fits(transaction, values):
                return None
            self._fitted = values
        session.cancellation.requested = False
        context, self._quick_context = self._quick_context, None
        if context is None:
            context = self.context(session, transaction, values)
        context.transaction, context.parameters, context.now = transaction, values, None
        context.memory_limit_bytes = session.memory_limit_bytes
        reads, session.reads = session.reads, True
        started = perf_counter()
        try:
            batches = compiled.run(context)
        except BaseException:
            if session.keeps(transaction):
                session.drop_reader()
            raise
        finally:
            session.reads = reads
        if perf_counter() - started > compiled.long_s:
            compiled.took_long(transaction, values)
        context.transaction = _NO_TRANSACTION
        if batches.__class__ is not list:  # no row has been made yet
            self._gives_list = False
            return None
        self._quick_context = context
        if len(batches) == 1:
            rows: list[Row] = batches[0]
            return rows
        return [row for batch in batches for row in batch]

    def run(self, session: Session, values: Values) -> Result:
        transaction = session.reading_transaction()
        own = None
        if transaction is None:
            own = transaction = session.lent_reader()
        reads, session.reads = session.reads, True
        try:
            if (
                transaction.commit_number != self._commit_number
                or transaction.writable
                or session.functions.version != self._functions_version
            ):
                self._check(session, transaction, values)
            if (self._compiled.is_dear or self._replans) and values != self._fitted:
                self._fit(session, transaction, values)
            rows = self._short_rows(session, transaction, values) if self._short_runs else None
            compiled = self._compiled
            if rows is None:
                started = perf_counter()
                batches = compiled.run(self.context(session, transaction, values))
                is_list = batches.__class__ is list
                if not is_list:
                    if own is not None and session.keeps(own):
                        session.give_reader_away()
                    # The first batch is computed at once: errors show up in `execute`, as in SQLite.
                    batches = _begun(batches)
                if perf_counter() - started > compiled.long_s:
                    compiled.took_long(transaction, values)
                if not is_list:
                    return self._streaming(session, batches, own)
            else:
                batches = [rows] if rows else []
        except BaseException:
            if own is not None:
                if session.keeps(own):
                    session.give_reader_away()
                own.rollback()
            raise
        finally:
            session.reads = reads
        if own is not None and not session.keeps(own):
            own.rollback()
        if rows is None:
            self._gives_list = sum(map(len, batches)) <= _FEW_ROWS
        return Result(compiled.columns, batches)

    def _short_rows(
        self, session: Session, transaction: Transaction, values: Values
    ) -> list[Row] | None:
        """The rows of a short query that has no code yet; None once it has, which is when it turns out to be
        needed, or to pay: a program asks most of its queries once or twice."""
        assert self._short is not None
        if self._short_runs > 1:
            if not self._short.direct:
                self._short_runs -= 1
            rows = self._short.rows(transaction, values)
            if rows is not None:
                return rows
        self._make_code(session, transaction, values)
        return None

    def _make_code(self, session: Session, transaction: Transaction, values: Values) -> None:
        """The code of what has been a short query until now.  It is planned once more: a planner that is kept
        would keep its transaction's version of all trees."""
        if self._short_runs:
            self._coded = True
            self._plan_anew(session, transaction, values)

    @property
    def columns(self) -> tuple[ResultColumn, ...]:
        """The columns of the latest run, a quick one of its variant included."""
        plan = self if self.variant is None else self.variant
        columns: tuple[ResultColumn, ...] = plan._compiled.columns
        return columns

    def run_each(
        self, session: Session, sets: Sequence[Values]
    ) -> tuple[list[Any], int, Interrupted | None]:
        """Run with one set of values after another, in one snapshot: all rows, how many sets were done, and
        what interrupted them.  Ends before a run that fails, and before one whose rows are still to come."""
        rows: list[Any] = []
        done = 0
        joined = session.reading_transaction()
        transaction = joined or session.begin_transaction(write=False)
        try:
            self._check(session, transaction, sets[0])
            ready = None if self._short is None else self._short.ready(transaction)
            context: Context | None = None
            for values in sets:
                found = None if ready is None else ready(values)
                if found is not None:
                    rows += found
                else:
                    if (self._compiled.is_dear or self._replans) and values != self._fitted:
                        self._fit(session, transaction, values)
                    self._make_code(session, transaction, values)
                    if context is None:
                        context = self.context(session, transaction, values)
                    context.parameters = values
                    context.now = None
                    batches = self._compiled.run(context)
                    if batches.__class__ is not list:
                        break
                    for batch in batches:
                        rows += batch
                done += 1
                if len(rows) > _ROWS_GATHERED:
                    break
        except Interrupted as error:
            return rows, done, error
        except (SqlError, StoreError):
            pass  # the one that fails is run by itself next, and tells why
        finally:
            if joined is None:
                transaction.rollback()
        return rows, done, None

    def _streaming(self, session: Session, batches: Any, own: Transaction | None) -> Result:
        if not batches:
            if own is not None:
                own.rollback()
            return Result(self._compiled.columns, [])
        if own is not None:
            owning = OwningResult(self._compiled.columns, batches, own)
            session.note_streaming(owning)
            return owning
        result = Result(self._compiled.columns, batches)
        session.note_open_result(result)
        return result

    def compiled(self, session: Session, transaction: Transaction, values: Values) -> Any:
        """The CompiledQuery, made anew if it is out of date."""
        self._check(session, transaction, values)
        self._make_code(session, transaction, values)
        return self._compiled

    def _check(self, session: Session, transaction: Transaction, values: Values) -> None:
        if not self.is_current(session, transaction):
            schema = session.schema_of(transaction)
            self._fitting = []
            if (
                self._compiled is None
                or self._functions_version != session.functions.version
                or not self._observed.answers_alike(schema)
                or not self._compiled.is_still_valid(transaction)
            ):
                self._compile(session, transaction, values)
            self._schema = schema
            self._quick_context = None
            self.note(session, transaction)
        elif not self._compiled.is_still_valid(transaction):
            self._compile(session, transaction, values)
        self._shape = transaction.shape
        number = transaction.commit_number
        self._commit_number = _NEVER if transaction.writable or number < 0 else number

    def _fit(self, session: Session, transaction: Transaction, values: Values) -> None:
        """Have a plan that is made for about as many rows as these values find."""
        if not self._compiled.fits(transaction, values):
            fitting = self._fitting
            made = _Made(
                self._compiled, self._short, self._short_runs, self._coded, self._gives_list
            )
            for at, other in enumerate(fitting):
                compiled = other.compiled
                if compiled.fits(transaction, values) and compiled.is_still_valid(transaction):
                    fitting[at] = made
                    self._compiled, self._short = compiled, other.short
                    self._short_runs, self._coded = other.short_runs, other.coded
                    self._gives_list = other.gives_list
                    break
            else:
                if self._replans == _REPLANS_MAX:
                    return
                self._replans += 1
                if len(fitting) == _FITTING_MAX:
                    del fitting[0]
                fitting.append(made)
                self._coded = False
                self._plan_anew(session, transaction, values)
        self._fitted = values

    def _plan_anew(self, session: Session, transaction: Transaction, values: Values) -> None:
        self._compiled = self._shape = None
        self._states = []
        self._commit_number = _NEVER
        fitting = self._fitting
        self._check(session, transaction, values)
        self._fitting = fitting

    def _compile(self, session: Session, transaction: Transaction, values: Values) -> None:
        load("sql.compile.query")
        from sql.compile.query import plan_select
        from sql.parse.grammar import raise_recursion_limit
        from sql.plan.walk import forget_blocks
        from sql.schema import ObservedSchema
        from sql.short import short_query

        self._compiled = self._short = self._quick_context = None
        self._shape, self._states = None, []  # should this fail, it is current nowhere
        self._commit_number = _NEVER
        self._gives_list = False
        types = self.types or tuple(map(type, values))  # a lifted shape says its values' types
        environment = session.environment(
            transaction, parameters=values, parameter_kinds=_kinds(types)
        )
        self._observed = environment.schema = ObservedSchema(environment.schema)
        if session.authorizer is not None:
            environment.hidden = frozenset(session.authorizer.hidden)
        try:
            with planning(self.statement.text):
                query = plan_select(self.statement.tree, environment)
                self._short = short_query(
                    query.block, query.planner, types, session.functions.collations
                )
                self._short_runs = 0 if self._coded or self._short is None else _SHORT_RUNS + 1
                if not self._short_runs:
                    query.generate()
        except RecursionError as error:
            # A chain of views or CTEs is seen to be deep only here.
            if not raise_recursion_limit():
                raise SqlError("the statement is nested too deeply") from error
            return self._compile(session, transaction, values)
        finally:
            forget_blocks()
        query.note_assumed()
        self._compiled, self._fitted = query, values
        if not self.keeps_planner:
            # It holds the transaction, and with it a version of all trees.
            self._compiled.planner = None


def _begun(batches: Iterable[list[Any]]) -> Iterator[list[Any]] | None:
    """The batches, of which the first is made; None if there are none."""
    source = iter(batches)
    first = next(source, None)
    return None if first is None else _resumed(first, source)


def _resumed(first: list[Any], rest: Iterator[list[Any]]) -> Iterator[list[Any]]:
    try:
        yield first
        yield from rest
    finally:
        close = getattr(rest, "close", None)
        if close is not None:
            close()


_KIND_OF_TYPE: dict[type, int] = {type(None): 1, int: 2, float: 4, str: 8, bytes: 16}


def _kinds(types: Sequence[type]) -> list[int]:
    return [_KIND_OF_TYPE[kind] for kind in types]
