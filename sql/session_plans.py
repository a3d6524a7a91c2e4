"""Prepared statements of a session: what its plan cache holds, and how each kind is run.

A plan is made from a statement's text, or from its shape with the literals lifted out, and is used
again as long as what it was compiled against holds: the catalog's state, the registry of functions, and
the kinds of value that the tables have ever held.  A read transaction on the very commit of the latest
check needs no check at all.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter, ne
from typing import TYPE_CHECKING, Any, Protocol, cast

from btree import CATALOG_TREE_ID, Savepoint, Transaction
from sql.context import Context
from sql.errors import ConstraintError, Interrupted, MisuseError, SqlError
from sql.result import Result, WriteOutcome

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.expressions import SqlValue
    from sql.parse.statements import Delete, Insert, Query, Statement, Update
    from sql.plan import ResultColumn
    from sql.schema import ObservedSchema, Schema
    from sql.session import Session

Values = tuple["SqlValue", ...]
Parameters = Sequence[Any] | Mapping[str, Any]

_PLAIN = frozenset((int, str, bytes, float, type(None))).issuperset
_SETS_AT_ONCE = 4096
_NEVER = -2  # a commit number that no transaction has (a pair's is -1)
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1


class WritePlan(Protocol):
    """What `sql.dml.prepare_write` gives."""

    temporary: bool
    columns: tuple[ResultColumn, ...] | None
    is_insert: bool
    single_step: bool

    def is_still_valid(self, transaction: Transaction) -> bool: ...

    def run(self, ctx: Context) -> WriteOutcome: ...

    def run_many(self, ctx: Context, parameter_sets: Iterable[Values]) -> WriteOutcome: ...


class Prepared:
    """A statement that was parsed.  `names` are its parameters' names, None for `?`."""

    __slots__ = ("count", "names", "statement")

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.names = statement.parameter_names
        self.count = len(statement.parameter_names)

    def run(self, session: Session, values: Values) -> Result:
        """Execute with `values` for the parameters."""
        from sql.session_statements import execute_statement

        return execute_statement(session, self.statement, values)

    def bind(self, parameters: Parameters) -> Values:
        """The parameters' values in their order.  Raises MisuseError for a wrong number of them."""
        kind = parameters.__class__
        if kind is not tuple and kind is not list and isinstance(parameters, Mapping):
            values = tuple([_named(name, parameters) for name in self.names])
        else:
            if len(parameters) != self.count:
                raise MisuseError(
                    f"Incorrect number of bindings supplied. The current statement uses "
                    f"{self.count}, and there are {len(parameters)} supplied."
                )
            values = tuple(parameters)
        if _PLAIN(map(type, values)):
            for value in values:
                if value.__class__ is int:
                    if not _INT_MIN <= value <= _INT_MAX:
                        break
                elif value != value:  # NaN
                    break
            else:
                return values
        return tuple(map(bound, values))


def _named(name: str | None, parameters: Mapping[str, Any]) -> Any:
    if name is None:
        raise MisuseError(
            "Binding has no name, but you supplied a dictionary (which has only names)."
        )
    try:
        return parameters[name[1:]]
    except KeyError as error:
        raise MisuseError(
            f"You did not supply a value for binding parameter :{name[1:]}."
        ) from error


def _is_plain(column: list[Any]) -> bool:
    """Whether all values are SQL's as they are: of the five types, no NaN, no integer beyond 64 bits."""
    types = set(map(type, column))
    if not _PLAIN(types):
        return False
    if int in types:
        numbers = column if len(types) == 1 else [value for value in column if type(value) is int]
        try:
            array("q", numbers)
        except OverflowError:
            return False
    if float in types:
        numbers = column if len(types) == 1 else [value for value in column if type(value) is float]
        total = sum(numbers)
        # A NaN makes the sum one; so do infinities of both signs, which are looked at one by one.
        return bool(total == total) or not any(map(ne, numbers, numbers))
    return True


def bound(value: Any) -> SqlValue:
    """A Python value as SQL's: NaN is NULL, bool an integer, any buffer a blob."""
    if value is None or type(value) is str or type(value) is bytes:
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise MisuseError("integer out of the range of 64 bits")
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise MisuseError(f"type {type(value).__name__!r} can't be bound to a parameter")


class _Checked(Prepared):
    """A plan that depends on the catalog, the functions and the tables' kinds."""

    __slots__ = ("_commit_number", "_functions_version", "_schema", "_state", "_temporary_state")

    _schema: Schema

    def __init__(self, statement: Statement) -> None:
        super().__init__(statement)
        self._commit_number = _NEVER
        self._functions_version = -1
        self._state: object = None
        self._temporary_state: object = None

    def _is_current(self, session: Session, transaction: Transaction) -> bool:
        """Whether catalog and functions are those of the latest preparation."""
        temporary = getattr(transaction, "temporary", None)
        return (
            self._state is transaction.tree(CATALOG_TREE_ID).state
            and self._functions_version == session.functions.version
            and (
                temporary is None or self._temporary_state is temporary.tree(CATALOG_TREE_ID).state
            )
        )

    def _note(self, session: Session, transaction: Transaction) -> None:
        temporary = getattr(transaction, "temporary", None)
        self._state = transaction.tree(CATALOG_TREE_ID).state
        self._temporary_state = None if temporary is None else temporary.tree(CATALOG_TREE_ID).state
        self._functions_version = session.functions.version


class QueryPlan(_Checked):
    """A SELECT or VALUES.  `types` are the parameters' Python types that it was compiled for."""

    __slots__ = ("_compiled", "_observed", "keeps_planner", "types")

    _observed: ObservedSchema

    statement: Query

    def __init__(self, statement: Query, types: tuple[type, ...] | None) -> None:
        super().__init__(statement)
        self.types = types
        self.keeps_planner = False  # EXPLAIN draws it
        self._compiled: Any = None

    def run(self, session: Session, values: Values) -> Result:
        transaction = session.reading_transaction()
        own = None
        if transaction is None:
            own = transaction = session.lent_reader()
        try:
            if (
                transaction.commit_number != self._commit_number
                or transaction.writable
                or session.functions.version != self._functions_version
            ):
                self._check(session, transaction, values)
            compiled = self._compiled
            context = Context(
                transaction,
                values,
                self._schema,
                session.functions,
                session.cancellation,
                session,
                session.memory_limit_bytes,
            )
            batches = compiled.run(context)
            if batches.__class__ is not list:
                if own is not None and session.keeps(own):
                    session.give_reader_away()
                return self._streaming(session, batches, own)
        except BaseException:
            if own is not None:
                if session.keeps(own):
                    session.give_reader_away()
                own.rollback()
            raise
        if own is not None and not session.keeps(own):
            own.rollback()
        return Result(compiled.columns, batches)

    def _streaming(self, session: Session, batches: Any, own: Transaction | None) -> Result:
        # The first batch is computed at once: errors show up in `execute`, as in SQLite.
        source = iter(batches)
        first = next(source, None)
        if first is None:
            if own is not None:
                own.rollback()
            return Result(self._compiled.columns, [])
        result = Result(self._compiled.columns, _resumed(first, source), transaction=own)
        if own is None:
            session.note_open_result(result)
        return result

    def compiled(self, session: Session, transaction: Transaction, values: Values) -> Any:
        """The CompiledQuery, made anew if it is out of date."""
        self._check(session, transaction, values)
        return self._compiled

    def _check(self, session: Session, transaction: Transaction, values: Values) -> None:
        if not self._is_current(session, transaction):
            schema = session.schema_of(transaction)
            if (
                self._compiled is None
                or self._functions_version != session.functions.version
                or not self._observed.answers_alike(schema)
                or not self._compiled.is_still_valid(transaction)
            ):
                self._compile(session, transaction, values)
            self._schema = schema
            self._note(session, transaction)
        elif not self._compiled.is_still_valid(transaction):
            self._compile(session, transaction, values)
        number = transaction.commit_number
        self._commit_number = _NEVER if transaction.writable or number < 0 else number

    def _compile(self, session: Session, transaction: Transaction, values: Values) -> None:
        from sql.compile import prepare_select
        from sql.schema import ObservedSchema

        self._compiled = None
        environment = session.environment(
            transaction,
            parameters=values,
            # A lifted shape says its values' types.
            parameter_kinds=_kinds(self.types or tuple(map(type, values))),
        )
        self._observed = environment.schema = ObservedSchema(environment.schema)
        # Binding may change the tree: only a copy is given away.
        self._compiled = prepare_select(
            self.statement.tree.copy(), environment, text=self.statement.text
        )
        if not self.keeps_planner:
            # It holds the transaction, and with it a version of all trees.
            self._compiled.planner = None


def _resumed(first: list[Any], rest: Iterator[list[Any]]) -> Iterator[list[Any]]:
    try:
        yield first
        yield from rest
    finally:
        close = getattr(rest, "close", None)
        if close is not None:
            close()


class WriteStatement(_Checked):
    """An INSERT, UPDATE or DELETE."""

    __slots__ = ("_plan",)

    statement: Insert | Update | Delete

    def __init__(self, statement: Insert | Update | Delete) -> None:
        super().__init__(statement)
        self._plan: WritePlan | None = None

    def run(self, session: Session, values: Values) -> Result:
        temporary = session.has_temporary_objects and session.is_temporary(self.statement.table)
        transaction = session.joined_transaction(temporary=temporary)
        if transaction is not None:
            outcome = self._run_joined(session, transaction, values)
        else:
            outcome = self._run_alone(session, values, temporary=temporary)
        return self._result(session, outcome)

    def run_rows(self, session: Session, rows: list[Values], *, raises: bool) -> Result | None:
        """Run once for each of `rows`, as one statement.  None, and nothing done, if it fails in a way
        that depends on the statement's form, or without `raises` in any way."""
        temporary = session.has_temporary_objects and session.is_temporary(self.statement.table)
        joined = session.joined_transaction(temporary=temporary)
        transaction = joined or session.begin_writing(temporary=temporary)
        deferred, counters = session.deferred_violations, session.counters
        previous, session.current = session.current, transaction
        savepoint = transaction.savepoint()
        try:
            plan = self.plan(session, transaction, rows[0])
            outcome = plan.run_many(self._context(session, transaction, rows[0]), rows)
            session.current = previous
            if joined is None:
                session.commit_alone(transaction)
        except BaseException as error:
            session.current = previous
            if joined is None:
                session.abandon(transaction)
            else:
                transaction.rollback_to(savepoint)
                transaction.release(savepoint)
                session.deferred_violations = deferred
            if not isinstance(error, SqlError) or isinstance(error, Interrupted):
                raise
            if not raises or not _is_final(error):
                session.counters = counters
                return None
            session.changes = 0
            raise
        if joined is not None:
            transaction.release(savepoint)
        return self._result(session, outcome)

    def run_many(
        self, session: Session, sets: Iterable[Parameters], *, plain: bool = False
    ) -> Result:
        """Execute for each set of parameters; the sets before one that fails stay done.

        `plain`: they are tuples of the right length, of values that need no conversion."""
        temporary = session.has_temporary_objects and session.is_temporary(self.statement.table)
        joined = session.joined_transaction(temporary=temporary)
        transaction = joined or session.begin_writing(temporary=temporary)
        total = WriteOutcome(0)
        try:
            self._run_sets(session, transaction, sets, total, plain=plain)
        except BaseException as error:
            session.count_changes(total)
            if joined is None:
                is_undone = session.deferred_violations > 0 or _conflict(error) == "ROLLBACK"
                if is_undone or not isinstance(error, Exception):
                    session.abandon(transaction)
                else:
                    transaction.commit()
            raise
        if joined is None:
            session.commit_alone(transaction)
        return self._result(session, total)

    def _run_sets(
        self,
        session: Session,
        transaction: Transaction,
        sets: Iterable[Parameters],
        total: WriteOutcome,
        *,
        plain: bool,
    ) -> None:
        source = iter(sets)
        while True:
            raw: list[Parameters] = []
            failure: BaseException | None = None
            try:
                raw.extend(islice(source, _SETS_AT_ONCE))
            except BaseException as error:  # raised below, after the sets before it
                failure = error
            chunk = cast("list[Values]", raw) if plain else self._bound_as_they_are(raw)
            if chunk is None:
                chunk = []
                try:
                    chunk.extend(map(self.bind, raw))
                except MisuseError as error:
                    failure = error
            if chunk:
                self._run_chunk(session, transaction, chunk, total)
            if failure is not None:
                raise failure
            if len(chunk) < _SETS_AT_ONCE:
                return

    def _bound_as_they_are(self, sets: list[Parameters]) -> list[Values] | None:
        """The sets themselves if all are tuples of values that need no conversion; else None."""
        if set(map(type, sets)) != {tuple} or set(map(len, sets)) != {self.count}:
            return None
        for place in range(self.count):
            if not _is_plain(list(map(itemgetter(place), cast("list[Values]", sets)))):
                return None
        return cast("list[Values]", sets)

    def _run_chunk(
        self,
        session: Session,
        transaction: Transaction,
        chunk: list[Values],
        total: WriteOutcome,
    ) -> None:
        deferred, counters = session.deferred_violations, session.counters
        with session.running(transaction):
            plan = self.plan(session, transaction, chunk[0])
            savepoint = transaction.savepoint()
            try:
                outcome = plan.run_many(self._context(session, transaction, chunk[0]), chunk)
            except ConstraintError:
                # One of them fails: one by one, those before it stay.
                transaction.rollback_to(savepoint)
                transaction.release(savepoint)
                session.deferred_violations = deferred
                session.counters = counters
            except BaseException:
                transaction.rollback_to(savepoint)
                transaction.release(savepoint)
                session.deferred_violations = deferred
                raise
            else:
                transaction.release(savepoint)
                _add(total, outcome)
                return
        for values in chunk:
            _add(total, self._run_joined(session, transaction, values))

    def _run_alone(self, session: Session, values: Values, *, temporary: bool) -> WriteOutcome:
        transaction = session.begin_writing(temporary=temporary)
        session.current = transaction
        try:
            plan = self.plan(session, transaction, values)
        except BaseException:
            session.current = None
            session.abandon(transaction)
            raise
        try:
            outcome = plan.run(self._context(session, transaction, values))
        except BaseException as error:
            session.current = None
            session.changes = 0
            if _conflict(error) == "FAIL" and session.deferred_violations <= 0:
                session.count_changes(WriteOutcome(_changes(error)))
                transaction.commit()
            else:
                session.abandon(transaction)
            raise
        session.current = None
        session.commit_alone(transaction)
        return outcome

    def _run_joined(
        self, session: Session, transaction: Transaction, values: Values
    ) -> WriteOutcome:
        deferred = session.deferred_violations
        savepoint: Savepoint | None = None
        previous, session.current = session.current, transaction
        try:
            plan = self.plan(session, transaction, values)
        except BaseException:
            session.current = previous
            raise
        try:
            if not plan.single_step:
                savepoint = transaction.savepoint()
            outcome = plan.run(self._context(session, transaction, values))
        except BaseException as error:
            conflict = _conflict(error)
            session.changes = 0
            if conflict == "FAIL":
                session.count_changes(WriteOutcome(_changes(error)))
            elif savepoint is not None:
                transaction.rollback_to(savepoint)
                session.deferred_violations = deferred
            if savepoint is not None:
                transaction.release(savepoint)
            if conflict == "ROLLBACK":
                session.roll_back_all(transaction)
            raise
        finally:
            session.current = previous
        if savepoint is not None:
            transaction.release(savepoint)
        return outcome

    def _context(self, session: Session, transaction: Transaction, values: Values) -> Context:
        return Context(
            transaction,
            values,
            self._schema,
            session.functions,
            session.cancellation,
            session,
            session.memory_limit_bytes,
        )

    def _result(self, session: Session, outcome: WriteOutcome) -> Result:
        session.count_changes(outcome)
        assert self._plan is not None
        columns = self._plan.columns
        return Result(
            columns,
            () if columns is None or not outcome.rows else [outcome.rows],
            rowcount=outcome.changes,
            lastrowid=session.last_insert_rowid,
        )

    def plan(self, session: Session, transaction: Transaction, values: Values) -> WritePlan:
        """The DML layer's plan, made anew if it is out of date."""
        plan = self._plan
        if (
            plan is None
            or not self._is_current(session, transaction)
            or not plan.is_still_valid(transaction)
        ):
            from sql.dml import prepare_write

            environment: BindEnvironment = session.environment(transaction, parameters=values)
            made: WritePlan = prepare_write(session, transaction, self.statement, environment)
            plan = self._plan = made
            self._schema = environment.schema
            self._note(session, transaction)
        return plan


def _conflict(error: BaseException) -> str:
    return error.conflict if isinstance(error, SqlError) else "ABORT"


def _is_final(error: SqlError) -> bool:
    """Whether a statement with all rows at once would have failed in the same way."""
    return (
        isinstance(error, ConstraintError)
        and error.conflict == "ABORT"
        and error.kind in ("UNIQUE", "PRIMARY KEY", "NOT NULL", "CHECK", "DATATYPE")
    )


def _changes(error: BaseException) -> int:
    return error.changes if isinstance(error, SqlError) else 0


def _add(total: WriteOutcome, outcome: WriteOutcome) -> None:
    total.changes += outcome.changes
    total.total_changes += outcome.total_changes
    if outcome.rows:
        total.rows = [*chain(total.rows or (), outcome.rows)]


_KIND_OF_TYPE: dict[type, int] = {type(None): 1, int: 2, float: 4, str: 8, bytes: 16}


def _kinds(types: Sequence[type]) -> list[int]:
    return [_KIND_OF_TYPE[kind] for kind in types]
