"""Runs of a script's statements, executed without the layers between (see `session_forms` for how they are read).

Two ways lead to the same outcome, that of one statement after the other:

together   the values of each form's statements in bulk, all of them as one transaction or within the open one.
           What no statement can tell from another order is the order between tables.  Should one
           fail, nothing has been done.
in turn    each by its plan, as the transaction that it would have been, up to one that fails.

Statements of one form go together.  So do those of several forms where that may be one commit, and each form has a
table of its own, without triggers or foreign keys.  All else goes in turn, as does what failed together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from btree import CollectorPaused, Row, StoreError
from sql.errors import Interrupted, SqlError
from sql.result import Result
from sql.session import is_about_text
from sql.session_forms import (
    REACH_MAX,
    REACH_MIN,
    FixedForm,
    Form,
    Run,
    ShapeForm,
    read_run,
    without_comments,
)
from sql.session_inserts import InsertForm, insert_form
from sql.session_plans import Prepared, QueryPlan
from sql.session_writes import WritePlan, WriteStatement, attempt

if TYPE_CHECKING:
    from sql.plan import ResultColumn
    from sql.session import Session


_FORMS_MAX = 16
_SHAPE_MAX = 1 << 12  # characters
_FEW = 8
_GROWTH = 4
_ASKS_BEFORE = re.compile("changes|last_insert_rowid", re.IGNORECASE)
"""What depends on the statement before, which has to be over."""

_CLAUSE = re.compile(r"\bOR\b|\bCONFLICT\b", re.IGNORECASE)
"""What lets an INSERT do without a row."""

_MORE = re.compile(r"\b(?:SELECT|IN)\b", re.IGNORECASE)
"""What a change may ask of other tables by."""


class Show(Protocol):
    """What takes the rows of queries.  `joins`: those of several that have the same columns may come together."""

    joins: bool

    def __call__(self, columns: tuple[ResultColumn, ...], batches: Iterator[list[Row]]) -> None: ...


class Ran(NamedTuple):
    """The place behind the statements that have run.  The last of them, with this text, from `start` on, may have
    failed."""

    end: int
    error: SqlError | StoreError | None = None
    start: int = 0
    text: str = ""


class Runs:
    """The forms of the statements that a script ran lately, and what runs more of these forms."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._forms: list[Form] = []
        self._reach = REACH_MIN
        self.openings: tuple[str, ...] = ()
        """What statements of these forms begin with."""

    def learn(self, sql: str) -> None:
        """Remember the form of a statement that has just run, if it has one."""
        sql = sql.strip()
        if not sql.endswith(";"):
            return
        for form in self._forms:
            if form.take(sql[:-1]) is not None:
                return
        found = self._form(sql)
        if found is not None:
            self._keep([found, *[form for form in self._forms if form.key != found.key]])

    def _form(self, sql: str) -> Form | None:
        if sql[0] in "iIrR":
            for text in (sql, without_comments(sql)) if "--" in sql else (sql,):
                form = insert_form(text)
                if form is not None and form.take_certain(text[:-1]) is not None:
                    return form
        if len(sql) > _SHAPE_MAX or "?" in sql or _ASKS_BEFORE.search(sql):
            return None
        shape, values = self._session.lift(sql)
        if self._session.known_plan(shape) is None:
            return None
        return ShapeForm(shape) if values else FixedForm(shape)

    def _keep(self, forms: list[Form]) -> None:
        self._forms = forms[:_FORMS_MAX]
        self.openings = tuple([form.opening for form in self._forms])

    def execute(
        self, text: str, start: int = 0, *, joins: bool, show: Show | None = None
    ) -> Ran | None:
        """Run the statements of known forms from `start` on, as far as they go within some reach.  None if there are
        none, or the next has to be run by itself.

        `joins`: those of several forms may be one commit.  `show` is given what queries give; without it
        these are not run.  Raises what has nothing to do with a single statement: BusyError, KeyboardInterrupt."""
        while True:
            reach = self._reach
            with CollectorPaused():
                run = read_run(text, start, self._forms, reach)
                plans = None if run is None else self._plans(run.forms)
                if run is not None and plans is not None:
                    ran = self._ran(run, plans, joins=joins, show=show)
                    if ran is not None:
                        self._reach = min(max(_GROWTH * (ran.end - start), REACH_MIN), REACH_MAX)
                        return ran
            if reach == REACH_MIN:
                return None
            self._reach = max(reach // _GROWTH, REACH_MIN)

    def _plans(self, forms: Sequence[Form]) -> list[Prepared] | None:
        plans: list[Prepared] = []
        for form in forms:
            plan = self._session.known_plan(form.key)
            if plan is None and isinstance(form, InsertForm):
                with suppress(SqlError):  # it is told of the statement as it stands
                    plan = self._session.prepare(form.key)
            if plan is None:
                self._keep([other for other in self._forms if other is not form])
                return None
            plans.append(plan)
        return plans

    def _ran(
        self, run: Run, plans: list[Prepared], *, joins: bool, show: Show | None
    ) -> Ran | None:
        """None if the statements have to be tried with fewer of them, or by themselves."""
        changes = [
            plan for plan in plans if isinstance(plan, WriteStatement) and plan.columns is None
        ]
        if len(changes) == len(plans) and (len(plans) == 1 or (joins and len(run.order) >= _FEW)):
            try:
                self._together(run, changes)
            except _InTurn:
                pass
            except Interrupted:
                raise
            except SqlError:
                if self._reach > REACH_MIN:
                    return None
            else:
                return Ran(run.end)
        if show is None and len(changes) < len(plans):
            return None
        if self._session.timeout is not None:
            return None
        ran = None
        if len(plans) == 1 and isinstance(plans[0], QueryPlan) and show and show.joins:
            ran = _queried(self._session, run, plans[0], show)
        return ran or _in_turn(self._session, run, plans, show)

    def _together(self, run: Run, statements: list[WriteStatement]) -> None:
        """Execute all as one.  Raises SqlError with nothing done, _InTurn if the order has to be theirs."""
        session = self._session
        databases = {statement.database(session) for statement in statements}
        if len(databases) > 1:
            raise _InTurn
        counters = session.counters
        # By their last statements: so the last row that is inserted is that of the last INSERT.
        order = list(dict.fromkeys(reversed(run.order)))[::-1]
        last = run.last_sets()
        try:
            with attempt(session, databases.pop()) as (transaction, is_alone):
                if len(statements) > 1:
                    _need_no_order(
                        [
                            statement.plan(session, transaction, sets[0])
                            for statement, sets in zip(statements, run.sets, strict=True)
                        ],
                        run.forms,
                    )
                for place in order:
                    statement, sets = statements[place], run.sets[place]
                    # Whether a row of its own is inserted for each set of values, or none of this is done.
                    is_whole = statement.inserts and not _CLAUSE.search(run.forms[place].key)
                    is_split = place == order[-1] and not is_whole
                    for part in filter(None, (sets[:-last], sets[-last:]) if is_split else (sets,)):
                        outcome = statement.run_part(session, transaction, part, is_alone=is_alone)
                        session.count_changes(outcome)
                        if (
                            statement.inserts
                            and (is_whole or len(order) > 1)
                            and outcome.changes != len(part)
                        ):
                            raise _InTurn  # which row was the last that went in?
                    if is_whole:
                        session.changes = last
        except BaseException:
            session.counters = counters
            raise


class _InTurn(SqlError):
    """Statements have to be run in their order."""

    def __init__(self) -> None:
        super().__init__("")


def _need_no_order(plans: list[WritePlan], forms: Sequence[Form]) -> None:
    """Raise _InTurn unless each plan concerns a table of its own, and nothing else."""
    trees: set[int] = set()
    for plan, form in zip(plans, forms, strict=True):
        target = getattr(plan, "target", None)  # a stored table
        if target is None or not target.plain or target.table.autoincrement or plan.columns:
            raise _InTurn
        if not isinstance(form, InsertForm) and _MORE.search(form.key):
            raise _InTurn
        trees.add(target.table.tree_id)
    if len(trees) < len(plans):
        raise _InTurn


def _queried(session: Session, run: Run, plan: QueryPlan, show: Show) -> Ran | None:
    """Run queries of one form under one snapshot, as if they had been very quick."""
    rows, done, error = plan.run_each(session, run.sets[0])
    if done:
        show(plan.columns, iter([rows]))
    if error is not None:
        start, text = run.statement(done)
        return Ran(start + len(text), error, start, text)
    return Ran(run.end_of(done)) if done else None


def _in_turn(session: Session, run: Run, plans: list[Prepared], show: Show | None) -> Ran | None:
    """Run one after the other, as `Session.execute` does with a plan that it has found."""
    sets = list(map(iter, run.sets))
    has_several = [run.has_several(place) for place in range(len(plans))]
    cancellation = session.cancellation
    done = 0
    try:
        for place in run.order:
            plan = plans[place]
            cancellation.requested = False
            if cancellation.progress is not None:
                cancellation.check()
            if has_several[place]:
                result = session.execute(run.statement(done)[1])
            else:
                values = next(sets[place])
                found = plan.quick_bound(session, values)
                if found is None:
                    result = plan.run(session, values)
                elif isinstance(found, int):
                    done += 1
                    continue
                else:
                    result = Result(plan.columns, [found] if found else [])
            try:
                if result.columns is not None:
                    assert show is not None
                    show(result.columns, result.batches())
            finally:
                result.close()
            done += 1
    except (SqlError, StoreError) as error:
        if isinstance(error, SqlError) and is_about_text(
            error
        ):  # it is told of the statement itself
            return Ran(run.end_of(done)) if done else None
        start, text = run.statement(done)
        return Ran(start + len(text), error, start, text)
    return Ran(run.end)
