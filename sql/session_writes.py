"""Prepared INSERTs, UPDATEs and DELETEs of a session: run once, or for each of many sets of parameters.

What a statement does to rows is its plan's affair (`sql.dml`).  Here are the transaction that it runs
in, the savepoint that undoes it alone, the counters, and `executemany`, which hands a plan thousands of
sets at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from operator import itemgetter, ne
from typing import TYPE_CHECKING, Any, Protocol, cast

from btree import ConflictError, Row, Savepoint, Transaction
from sql.context import Context
from sql.errors import ConstraintError, Interrupted, MisuseError, SqlError
from sql.loading import load, planning
from sql.result import Result, WriteOutcome
from sql.run.spill import ROOM_PARTS, rows_within
from sql.session_plans import Checked, Parameters, Values
from sql.typed_rows import TypedRows

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.dml.keyed import OneRow
    from sql.parse.statements import Delete, Insert, Update
    from sql.plan import ResultColumn
    from sql.session import Session

_PLAIN = frozenset((int, str, bytes, float, type(None))).issuperset
_SETS_AT_ONCE = 4096
_ENDED: Any = None


class WritePlan(Protocol):
    """What `sql.dml.prepare_write` gives."""

    database: str
    columns: tuple[ResultColumn, ...] | None
    is_insert: bool
    single_step: bool
    sets_at_once: int

    @property
    def one(self) -> OneRow | None:
        """The way to write one row that needs no look at anything else, where there is one."""

    def is_still_valid(self, transaction: Transaction) -> bool: ...

    def run(self, ctx: Context) -> WriteOutcome: ...

    def run_many(self, ctx: Context, parameter_sets: Iterable[Values]) -> WriteOutcome: ...


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


class WriteStatement(Checked):
    """An INSERT, UPDATE or DELETE."""

    __slots__ = ("_database", "_is_bare", "_one", "_plan", "_quick_context", "is_dml")

    statement: Insert | Update | Delete

    def __init__(self, statement: Insert | Update | Delete) -> None:
        super().__init__(statement)
        self.is_dml = statement.with_ is None
        self._plan: WritePlan | None = None
        self._database = "main"  # that it wrote to lately
        self._one: Any = None  # the plan's `OneRow.run`
        # Whether that does without a context, and tells how many rows were changed.
        self._is_bare = False
        self._quick_context: Context | None = None

    def quick(self, session: Session, parameters: Any) -> list[Row] | int | None:
        transaction = session.joinable
        if (
            transaction is None
            or transaction.plain_shape is not self._shape
            or not self._is_bare
            or session.current is not None
            or self._functions.version != self._functions_version
        ):
            if (
                parameters.__class__ is not tuple
                or not self.is_dml
                or (session.begins_first and not session.in_transaction)
            ):
                return None
            return self.quick_bound(session, parameters)
        one = self._one
        try:
            outcome: WriteOutcome | None = one(transaction, parameters, None)
        except BaseException as error:
            self._failed(session, transaction, error)
            raise
        if outcome is None:
            return None
        session.changes = changes = outcome.changes
        session.total_changes += changes
        return changes if outcome.rows is None else outcome.rows

    def quick_bound(self, session: Session, values: Values) -> list[Row] | int | None:
        one = self._one
        if one is None or len(values) != self.count or session.current is not None:
            return None
        transaction = session.joinable
        is_alone = False
        if transaction is None:
            transaction = session.quick_writer(self._database)
            if transaction is None:
                return None
            is_alone = not session.in_transaction
        outcome: WriteOutcome | None = None
        try:
            if (
                transaction.plain_shape or transaction.shape
            ) is self._shape and self._functions.version == self._functions_version:
                if self._is_bare:
                    outcome = one(transaction, values, None)
                else:
                    # One context for all runs, but for one that a signal's handler or a collation begins
                    # within another.
                    context, self._quick_context = self._quick_context, None
                    if context is None:
                        context = self.context(session, transaction, values)
                    context.transaction = transaction
                    context.parameters = values
                    context.now = None
                    outcome = one(transaction, values, context)
                    context.transaction = _ENDED
                    self._quick_context = context
        except BaseException as error:
            if is_alone:
                try:
                    if isinstance(error, Exception) and not transaction.is_newest():
                        session.abandon(transaction)
                        return None
                    self._failed_alone(session, transaction, error)
                except BaseException:  # of Ctrl-C, maybe with the lock taken for that look
                    session.abandon(transaction)
                    raise
            else:
                self._failed(session, transaction, error)
            raise
        if is_alone:
            try:
                if outcome is None or (
                    # What comes to no commit has to hold of the newest one, too.
                    (not outcome.changes or session.deferred_violations)
                    and not transaction.is_newest()
                ):
                    session.abandon(transaction)
                    return None
                session.commit_alone(transaction)
            except ConflictError:
                return None
            except BaseException:  # as above
                session.abandon(transaction)
                raise
        elif outcome is None:
            return None
        session.changes = changes = outcome.changes
        session.total_changes += outcome.total_changes
        return changes if outcome.rows is None else outcome.rows

    def run(self, session: Session, values: Values) -> Result:
        database = self.database(session)
        transaction = session.joined_transaction(database)
        if transaction is not None:
            outcome = self._run_joined(session, transaction, values)
        else:
            outcome = self._run_alone(session, values, database)
        return self._result(session, outcome)

    def run_rows(self, session: Session, rows: list[Values]) -> Result | None:
        """Run once for each of `rows`, as one statement.  None, and nothing done, if it fails in a way
        that depends on the statement's form."""
        counters = session.counters
        try:
            with attempt(session, self.database(session)) as (transaction, _):
                plan = self.plan(session, transaction, rows[0])
                outcome = plan.run_many(self.context(session, transaction, rows[0]), rows)
        except SqlError as error:
            if isinstance(error, Interrupted):
                raise
            if not _is_final(error):
                session.counters = counters
                return None
            session.changes = 0
            raise
        return self._result(session, outcome)

    def run_part(
        self, session: Session, transaction: Transaction, sets: list[Values], *, is_alone: bool
    ) -> WriteOutcome:
        """Execute for each set, in an `attempt`.  Raises SqlError if one of them fails, or would by itself."""
        plan = self.plan(session, transaction, sets[0])
        session.met_immediate = session.met_deferred = False
        outcome = plan.run_many(self.context(session, transaction, sets[0]), sets)
        if _has_repaired(session, plan, is_alone=is_alone):
            raise ConstraintError("FOREIGN KEY constraint failed", kind="FOREIGN KEY")
        return outcome

    @property
    def inserts(self) -> bool:
        """Whether it is an INSERT."""
        from sql.parse.statements import Insert

        return isinstance(self.statement, Insert)

    @property
    def columns(self) -> tuple[ResultColumn, ...] | None:
        """What RETURNING gives."""
        return None if self._plan is None else self._plan.columns

    def database(self, session: Session) -> str:
        """The database of the table or view that it writes to, as far as is known: `plan` looks again."""
        if not session.others:
            return "main"
        if self._plan is not None and self._database in session.numbers:
            return self._database
        return session.database_of(self.statement.table)

    def run_many(
        self, session: Session, sets: Iterable[Parameters], *, plain: bool = False
    ) -> Result:
        """Execute for each set of parameters; the sets before one that fails stay done.

        `plain`: they are tuples of the right length, of values that need no conversion."""
        database = self.database(session)
        joined = session.joined_transaction(database)
        total = WriteOutcome(0)
        transaction = joined or session.begin_writing(database)
        try:
            self._run_sets(session, transaction, sets, total, plain=plain, is_alone=joined is None)
        except BaseException as error:
            try:
                session.count_changes(total)
                if joined is not None:
                    session.end_torn(error)
                elif (
                    session.deferred_violations > 0
                    or session.unfinished is not None
                    or not isinstance(error, Exception)
                ):
                    session.abandon(transaction)
                else:
                    transaction.commit()
            except BaseException:  # of Ctrl-C, maybe before the transaction has ended
                if joined is None:
                    session.abandon(transaction)
                raise
            raise
        if joined is None:
            try:
                session.commit_alone(transaction)
            except BaseException:  # of Ctrl-C, maybe before that call
                session.abandon(transaction)
                raise
        return self._result(session, total)

    def _run_sets(
        self,
        session: Session,
        transaction: Transaction,
        sets: Iterable[Parameters],
        total: WriteOutcome,
        *,
        plain: bool,
        is_alone: bool,
    ) -> None:
        if sets.__class__ is TypedRows:
            if sets:
                rows = cast("list[Values]", sets)
                self._run_chunk(session, transaction, rows, total, is_alone=is_alone)
            return
        source = iter(sets)
        at_once = _SETS_AT_ONCE
        while True:
            raw: list[Parameters] = []
            failure: BaseException | None = None
            try:
                raw.extend(islice(source, at_once))
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
                self._run_chunk(session, transaction, chunk, total, is_alone=is_alone)
            else:  # what could not be done with any set is an error without one, too
                with session.running(transaction):
                    self.plan(session, transaction, (None,) * self.count)
            if failure is not None:
                raise failure
            if len(chunk) < at_once:
                return
            if self._plan is not None:
                room = session.memory_limit_bytes // ROOM_PARTS
                at_once = rows_within(chunk, room, self._plan.sets_at_once)

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
        *,
        is_alone: bool,
    ) -> None:
        """`is_alone`: outside of a transaction, so that deferred foreign keys hold after each set."""
        deferred, counters = session.deferred_violations, session.counters
        with session.running(transaction):
            plan = self.plan(session, transaction, chunk[0])
            mark = _Mark(session, transaction)
            session.met_immediate = session.met_deferred = False
            try:
                outcome = plan.run_many(self.context(session, transaction, chunk[0]), chunk)
                if _has_repaired(session, plan, is_alone=is_alone):
                    raise ConstraintError("FOREIGN KEY constraint failed", kind="FOREIGN KEY")
            except BaseException as error:
                mark.undone()
                if not isinstance(error, SqlError) or isinstance(error, Interrupted):
                    raise
                # One of them fails: one by one, those before it stay.
                session.counters = counters
            else:
                _add(total, outcome)
                mark.passed()
                return
        for values in chunk:
            savepoint = transaction.savepoint() if is_alone else None
            outcome = self._run_joined(session, transaction, values)
            if savepoint is not None:
                if session.deferred_violations > deferred:
                    transaction.rollback_to(savepoint)
                    session.deferred_violations = deferred
                    raise ConstraintError("FOREIGN KEY constraint failed", kind="FOREIGN KEY")
                transaction.release(savepoint)
            _add(total, outcome)

    def _run_alone(self, session: Session, values: Values, database: str) -> WriteOutcome:
        if self._plan is None:
            load("sql.dml")  # now: while it has the writer's lock others would wait for it
        transaction = session.begin_writing(database)
        try:
            session.current = transaction
            plan = self.plan(session, transaction, values)
            try:
                outcome = plan.run(self.context(session, transaction, values))
            except BaseException as error:
                session.current = None
                self._failed_alone(session, transaction, error)
                raise
            session.current = None
            session.commit_alone(transaction)
        except BaseException:  # where it has ended already, this is harmless
            session.current = None
            session.abandon(transaction)
            raise
        return outcome

    def _failed_alone(
        self, session: Session, transaction: Transaction, error: BaseException
    ) -> None:
        """What becomes of a statement's own transaction when it fails."""
        session.changes = 0
        if _conflict(error) == "FAIL":
            session.commit_alone(transaction)
            session.count_changes(WriteOutcome(_changes(error)))
        else:
            session.abandon(transaction)

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
            outcome = plan.run(self.context(session, transaction, values))
        except BaseException as error:
            if savepoint is not None and _conflict(error) != "FAIL":
                transaction.rollback_to(savepoint)
                session.deferred_violations = deferred
            if savepoint is not None:
                transaction.release(savepoint)
            session.current = previous
            self._failed(session, transaction, error)
            raise
        finally:
            session.current = previous
        if savepoint is not None:
            transaction.release(savepoint)
        return outcome

    def _failed(self, session: Session, transaction: Transaction, error: BaseException) -> None:
        """What becomes of counters and transaction when a statement within it fails."""
        conflict = _conflict(error)
        session.changes = 0
        if conflict == "FAIL":
            session.count_changes(WriteOutcome(_changes(error)))
        if conflict == "ROLLBACK":
            session.roll_back_all(transaction)
        elif session.unfinished is not None:
            session.end_torn(error)

    def _result(self, session: Session, outcome: WriteOutcome) -> Result:
        session.changes = outcome.changes
        session.total_changes += outcome.total_changes
        assert self._plan is not None
        columns = self._plan.columns
        batches = () if columns is None or not outcome.rows else (outcome.rows,)
        return Result(columns, batches, outcome.changes, session.last_insert_rowid)

    def plan(self, session: Session, transaction: Transaction, values: Values) -> WritePlan:
        """The DML layer's plan, made anew if it is out of date."""
        plan = self._plan
        if (
            plan is None
            or not self.is_current(session, transaction)
            or not plan.is_still_valid(transaction)
        ):
            load("sql.dml")
            from sql.dml import prepare_write

            environment: BindEnvironment = session.environment(transaction, parameters=values)
            try:
                with planning(self.statement.text):
                    made: WritePlan = prepare_write(session, self.statement, environment)
            except SqlError as error:
                error.is_of_preparation = plan is None  # else it was prepared once
                raise
            plan = self._plan = made
            one = made.one
            self._one, is_bare = (None, False) if one is None else one
            self._is_bare = is_bare and self.is_dml
            self._quick_context = None
            self._schema = environment.schema
            self.note(session, transaction)
            self._database = plan.database
            if session.others:  # the name may have come to mean another table meanwhile
                session.ensure_writable(transaction, plan.database)
        self._shape = transaction.shape
        return plan


class _Mark:
    """A savepoint for what is written from now on, which is undone if that fails."""

    __slots__ = ("_before", "_deferred_violations", "_savepoint", "_session", "_transaction")

    def __init__(self, session: Session, transaction: Transaction) -> None:
        self._session = session
        self._transaction = transaction
        self._deferred_violations = session.deferred_violations
        self._savepoint = transaction.savepoint()
        self._before = session.unfinished
        session.unfinished = self

    def passed(self) -> None:
        """Forget it: it has not failed."""
        self._session.unfinished = self._before
        self._transaction.release(self._savepoint)

    def undone(self) -> bool:
        """See `Unfinished`."""
        self._transaction.rollback_to(self._savepoint)
        self._session.deferred_violations = self._deferred_violations
        self.passed()
        return True


@contextmanager
def attempt(session: Session, database: str) -> Iterator[tuple[Transaction, bool]]:
    """The transaction for what is done together: the open one, or one of its own (True), which is committed at the end.
    On an exception all of it is undone, but for the session's counters."""
    joined = session.joined_transaction(database)
    transaction = joined or session.begin_writing(database)
    before, previous = session.unfinished, session.current
    try:
        mark = _Mark(session, transaction)
        session.current = transaction
        yield transaction, joined is None
        session.current = previous
        if joined is None:
            session.commit_alone(transaction)
            session.unfinished = before
        else:
            mark.passed()
    except BaseException as error:
        session.current = previous
        if joined is None:
            session.abandon(transaction)
        elif session.unfinished is not before:
            try:
                mark.undone()
            finally:
                session.end_torn(error)
        raise


def _has_repaired(session: Session, plan: WritePlan, *, is_alone: bool) -> bool:
    """Whether a set of parameters may have left a foreign key violated that a later one repaired: each has to
    leave none behind.  UPDATE and DELETE count the immediate ones of each set by itself."""
    return (session.met_immediate and plan.is_insert) or (session.met_deferred and is_alone)


def _conflict(error: BaseException) -> str:
    return error.conflict if isinstance(error, SqlError) else "ABORT"


def _is_final(error: SqlError) -> bool:
    """Whether a statement with all rows at once would have failed in the same way."""
    return (
        isinstance(error, ConstraintError)
        and error.conflict == "ABORT"
        and error.kind
        in ("UNIQUE", "PRIMARY KEY", "ROWID", "NOT NULL", "CHECK", "DATATYPE", "MISMATCH")
    )


def _changes(error: BaseException) -> int:
    return error.changes if isinstance(error, SqlError) else 0


def _add(total: WriteOutcome, outcome: WriteOutcome) -> None:
    total.changes += outcome.changes
    total.total_changes += outcome.total_changes
    if outcome.rows:
        total.rows = [*chain(total.rows or (), outcome.rows)]
