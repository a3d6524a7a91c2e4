"""A row that is written and the programs that it starts, as functions: the short way of triggers and of ON DELETE.

A trigger that notes a time, writes a line of a log or keeps a counter does to one row what `keyed` and `insert_one` have
functions for; so does the deletion of the few children that an index finds.  Such programs are made ready with the
statement that starts them:

    BEFORE programs that do no more than refuse rows  ->  the row is written, and told  ->  actions of foreign keys
                                                                                        ->  AFTER programs

Each function notes what it writes.  Where one of them gives None, for a closer look, or an error comes up, all of it is taken
back, and the statement takes the general way, which finds the same again, and what comes of it: so nothing
here has to know what SQLite says of errors, RAISE and conflicts.

A program's functions have the values of NEW and OLD as their parameters (`programs.value_number`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlglot.expressions as exp

from sql.compile import RowCode
from sql.dml.keyed import NONE, ONE, OneRow, bind_program_rows
from sql.dml.programs import Program, ProgramContext, StatementState
from sql.dml.undo import Undo
from sql.errors import Interrupted, SqlError
from sql.parse.statements import Query
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.dml.foreign_key_actions import Children
    from sql.dml.programs import Row
    from sql.dml.target import Target, WritePlan

Run = Callable[["Transaction", "Row", Any], "WriteOutcome | None"]

Running = tuple[Program, ...]

DEPTH_MAX = 8
"""Programs that start one another: beyond, the general way is taken."""

_ENDED: Any = None
_STATELESS: Any = None


class RowProgram(NamedTuple):
    """A program's functions: WHEN, and its statements in their order."""

    when: Run | None
    statements: Sequence[Run]


class RowPrograms(NamedTuple):
    """The programs that one kind of write to a table's rows starts.

    `before` only refuse rows; `actions` are those of foreign keys, of the constraints `acting`."""

    before: Sequence[RowProgram]
    after: Sequence[RowProgram]
    acting: frozenset[int] = frozenset()

    @staticmethod
    def of(
        target: Target,
        env: BindEnvironment,
        event: str,
        or_conflict: str | None = None,
    ) -> RowPrograms | None:
        """Those of a statement that is bound in `env`; None if one of the triggers has more to it than functions about a
        row can do.  An action that has is left out."""
        running = env.running
        if running is None or target.table.database != "main" or len(running) > DEPTH_MAX:
            return None
        triggers = target.triggers
        actions, acting = [], set()
        if event == "DELETE" and target.foreign_keys is not None:
            for children in target.foreign_keys.parents:
                action = _action(children, env, running)
                if action is not None:
                    actions.append(action)
                    acting.add(id(children))
        before = _functions(triggers.before, env, running, or_conflict, refuses=True)
        after = _functions(triggers.after, env, running, or_conflict)
        if before is None or after is None:
            return None
        return RowPrograms(before, [*actions, *after], frozenset(acting))

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.before or self.after)

    def before_lines(self, code: RowCode, values: str) -> list[str]:
        """Python that leaves a row to the general way if one of the programs before it may refuse it; `values` is the
        source of those of NEW and OLD."""
        lines = [f"values_ = {values}"] if self.before else []
        for program in self.before:
            runs = [f"{code.name(run, 'before')}(txn, values_, ctx)" for run in program.statements]
            asked = " or ".join([f"{run} is None" for run in runs]) or "False"
            if program.when is not None:
                asked = f"{code.name(program.when, 'when')}(txn, values_, ctx) is not {code.name(NONE, 'none')} and ({asked})"
            lines.append(f"if {asked}: return None")
        return lines

    def run(self, txn: Transaction, told: Any, ctx: Any) -> int:
        """Run those behind a row that was written, or behind several; how many rows they changed, -1 if that takes a closer
        look."""
        if told.__class__ is list:
            changed = 0
            for one in told:
                count = self.run(txn, one, ctx)
                if count < 0:
                    return -1
                changed += count
            return changed
        key, old, new, _ = told
        if new is None:
            values = (*old, key)
        elif old is None:
            values = (*new, key)
        else:
            values = (*new, key, *old, key)
        changed = 0
        for when, statements in self.after:
            if when is not None:
                outcome = when(txn, values, ctx)
                if outcome is None:
                    return -1
                if outcome is NONE:
                    continue
            for run in statements:
                outcome = run(txn, values, ctx)
                if outcome is None:
                    return -1
                changed += outcome.total_changes
        return changed


def _functions(
    programs: Iterable[Program],
    env: BindEnvironment,
    running: Running,
    or_conflict: str | None,
    *,
    refuses: bool = False,
) -> list[RowProgram] | None:
    """Those of some triggers; `refuses`: they may do no more than look at the row."""
    found = []
    for program in programs:
        if program in running:
            if program.session.recursive_triggers:
                return None
            continue
        made = _function(program, env, running, or_conflict, refuses=refuses)
        if made is None:
            return None
        found.append(made)
    return found


def _action(children: Children, env: BindEnvironment, running: Running) -> RowProgram | None:
    """What ON DELETE does; None if it is nothing, or more than functions about a row can do."""
    program = children.program_on_delete()
    if program is None or program.table.tree_id in {item.table.tree_id for item in running}:
        return None
    return _function(program, env, running, None)


def _function(
    program: Program,
    env: BindEnvironment,
    running: Running,
    or_conflict: str | None,
    *,
    refuses: bool = False,
) -> RowProgram | None:
    if not program.is_pure:
        return None
    try:
        inner = program.environment(env.transaction)
        inner.running = (*running, program)
        when = None
        if program.when is not None:
            when = _look(inner, program.when)
            if when is None:
                return None
        runs = []
        for statement in program.statements:
            if isinstance(statement, Query):
                run = _query(inner, statement)
            else:
                run = None if refuses else _write(program, statement, inner, or_conflict)
            if run is None:
                return None
            runs.append(run)
    except SqlError:  # which a run finds, if there is any
        return None
    return RowProgram(when, runs)


def _write(
    program: Program, statement: Any, env: BindEnvironment, or_conflict: str | None
) -> Run | None:
    plan: WritePlan = program.prepared(statement, env, or_conflict)
    if plan.database != "main":
        return None
    one = plan.within_program
    return None if one is None else one.run


def _query(env: BindEnvironment, statement: Query) -> Run | None:
    """A SELECT without FROM: what it computes may be RAISE()."""
    tree = statement.tree
    allowed = {"expressions", "where", "kind"}
    if not isinstance(tree, exp.Select):
        return None
    if any(value for name, value in tree.args.items() if name not in allowed):
        return None
    where = tree.args.get("where")
    return _look(env, where and where.this, [_bare(item) for item in tree.expressions])


def _bare(item: exp.Expression) -> exp.Expression:
    return item.this if isinstance(item, exp.Alias) else item


def _look(
    env: BindEnvironment,
    condition: exp.Expression | None,
    outputs: Sequence[exp.Expression] = (),
) -> Run | None:
    """A function that computes the outputs, if a condition over NEW and OLD holds, and changes nothing: NONE; without
    outputs ONE where the condition holds."""
    code = RowCode(env)
    bind_program_rows(code, env)
    lines = []
    if condition is not None:
        lines.append(
            f"if not ({code.row().condition(condition.copy())}): return {code.name(NONE, 'none')}"
        )
    if outputs:
        lines.append(code.row().values([item.copy() for item in outputs]))
    lines.append(f"return {code.name(NONE, 'none') if outputs else code.name(ONE, 'one')}")
    function, _ = code.function(lines)
    return function if code.is_plain else None


def _outcome(told: Any, changed: int) -> WriteOutcome:
    """That of rows which were told of, and started programs that changed as many others."""
    if told.__class__ is list:
        return WriteOutcome(len(told), len(told) + changed)
    return WriteOutcome(1, 1 + changed, told[3])


class Starting:
    """Writes one row and runs the programs that it starts."""

    def __init__(self, write: OneRow, programs: RowPrograms) -> None:
        self._write = write.run
        self._programs = programs
        self._context: ProgramContext | None = None

    @property
    def one(self) -> OneRow:
        """The function of a statement of its own."""
        return OneRow(self.run)

    @property
    def within_program(self) -> OneRow:
        """That of a program's statement, whose outermost one takes back what this has written."""
        return OneRow(self._run_within)

    def _run_within(self, txn: Transaction, values: Row, ctx: Any) -> WriteOutcome | None:
        told: Any = self._write(txn, values, ctx)
        if told is None or told.__class__ is WriteOutcome:
            return told
        changed = self._programs.run(txn, told, ctx)
        if changed < 0:
            return None
        return _outcome(told, changed)

    def run(self, txn: Transaction, values: Row, ctx: Any) -> WriteOutcome | None:
        """None, with nothing written, where anything needs a closer look."""
        # One context for all runs, but for one that a signal's handler begins within another.
        inner, self._context = self._context, None
        if inner is None:
            inner = ProgramContext(ctx, (), _STATELESS)
            inner.state = StatementState(Undo(inner))
        inner.transaction, inner.now = txn, None
        session, undo = inner.session, inner.state.undo
        last_rowid = session.last_insert_rowid
        outcome = None
        try:
            told: Any = self._write(txn, values, inner)
            if told is None or told.__class__ is WriteOutcome:
                outcome = told
            else:
                own_rowid = session.last_insert_rowid
                changed = self._programs.run(txn, told, inner)
                if changed >= 0:
                    session.last_insert_rowid = own_rowid
                    outcome = _outcome(told, changed)
        except Interrupted:
            raise
        except SqlError:  # which the general way finds again
            pass
        finally:
            if outcome is None:
                before, session.unfinished = session.unfinished, undo
                undo.before = None if before is undo else before
                undo.take_back()
                session.unfinished = undo.before
                session.last_insert_rowid = last_rowid
            undo.renew()
            inner.transaction = _ENDED
            self._context = inner
        return outcome
