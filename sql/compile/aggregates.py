"""Aggregate functions as code: the fields of a state, what a row does to them, and the final values.

A state is a list of *fields*, each with a start, an update per row and perhaps a guard.  Where the kinds of
an argument are known a field is updated by bare Python (`s[1] += r1[3]`); DISTINCT collects into a dict,
ORDER BY into a list, and the rest steps an `Accumulator`.  Aggregates share fields: count(*), sum(x) and
avg(x) of a column without NULLs keep one count and one sum.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from sql.compile.module import Lines
from sql.compile.scalar import is_simple
from sql.expressions import BLOB, INTEGER, NULL, REAL, TEXT, Literal
from sql.plan import AggregateCall, Select
from sql.run import grouping

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler

NUMBER = INTEGER | REAL


class Field(Struct, frozen=True):
    """One slot of a state.  `update` and `bulk` say `S` for the slot, `x` for the argument's value and
    `v` for the list of a batch's values; `guard` is the condition under which a row counts.

    `skip_null`: rows whose argument is NULL do not count.  `bulk` is None where there is no bulk form."""

    start: str
    update: str
    argument: str = ""
    guard: str = ""
    skip_null: bool = False
    nan: bool = False  # NULL is NaN here
    bulk: tuple[str, ...] | None = None
    fresh: bool = False  # the first row makes it another object than its start
    beats: str = ""  # of min() and max(): whether `x`, which is no NULL, takes the place of `S`


class AggregateCode(Struct):
    """Fields of one aggregate, by place in the state, and its final value (`S0`, `S1` stand for them)."""

    places: list[int]
    value: str


class AggregateCompiler:
    """Makes the code of one SELECT's aggregates; subclasses make the functions around it."""

    def __init__(self, compiler: BlockCompiler, block: Select) -> None:
        self.compiler = compiler
        self.module = compiler.module
        self.scalar = compiler.scalar
        self.block = block
        self.fields: list[Field] = []

    def _call(self, function: Callable[..., Any], *arguments: str) -> str:
        return f"{self.module.function(function)}({', '.join(arguments)})"

    def layout(self) -> list[AggregateCode]:
        """Code of all aggregates; fills `fields`."""
        return [self._aggregate(call) for call in self.block.aggregates]

    def _use(self, fields: list[Field], value: str) -> AggregateCode:
        places = []
        for field in fields:
            if field.start.endswith(("0", "None")) and field in self.fields:
                places.append(self.fields.index(field))
            else:
                places.append(len(self.fields))
                self.fields.append(field)
        return AggregateCode(places, value)

    def _aggregate(self, call: AggregateCall) -> AggregateCode:
        arguments = self.scalar.arguments(call.function, call.arguments)
        guard = "" if call.where is None else self.scalar.true(call.where)
        extreme = call.name in ("min", "max") and call.function.builtin
        if call.order:
            return self._ordered(call, arguments, guard)
        if call.distinct and not extreme:
            return self._distinct(call, arguments, guard)
        if call.function.builtin:
            code = self._inline(call, arguments, guard)
            if code is not None:
                return code
        return self._stepped(call, arguments, guard)

    def _inline(
        self, call: AggregateCall, arguments: list[str], guard: str
    ) -> AggregateCode | None:
        if call.name == "count":
            return self._use([self._count(call, arguments, guard)], "S0")
        kinds = self.scalar.kinds(call.arguments[0])
        skip, bare = bool(kinds & NULL), kinds & ~NULL
        if call.name == "group_concat":
            return self._concatenated(call, arguments, guard, kinds)
        numbers = bool(bare) and not bare & ~NUMBER
        if call.name in ("sum", "total", "avg") and numbers:
            bare_number = self.scalar.bare(call.arguments[0])
            source, nan = bare_number or arguments[0], bare_number is not None
            total = Field(
                "0", "S += x", source, guard, skip, nan, ("S = sum(v, S)",), fresh=bare == REAL
            )
            if call.name == "total":
                return self._use([total], self._call(grouping.total_of, "S0"))
            unchecked = call.function.name == "unchecked_sum"
            sum_of = grouping.unchecked_sum_of if unchecked else grouping.sum_of
            if call.name == "sum" and self.block.keys and not skip and not guard:
                value = self._call(sum_of, "S0", "1")
                return self._use([total], "(S0 if S0 == S0 else None)" if kinds == REAL else value)
            count = Field("0", "S += 1", source, guard, True, nan, bulk=("S += len(v)",))
            if not skip:
                count = self._count(call, arguments, guard)
            if call.name == "sum":
                return self._use([total, count], self._call(sum_of, "S0", "S1"))
            return self._use([total, count], self._call(grouping.average_of, "S0", "S1"))
        homogeneous = numbers or bare in (TEXT, BLOB)
        if call.name in ("min", "max") and homogeneous and call.collation.upper() == "BINARY":
            sign = "<" if call.name == "min" else ">"
            bulk = (
                f"if v: s_ = {call.name}(v)",
                f"if v and (S is None or s_ {sign} S): S = s_",
            )
            beats = f"S is None or x {sign} S"
            field = Field(
                "None",
                f"if {beats}: S = x",
                arguments[0],
                guard,
                skip,
                bulk=bulk,
                fresh=True,
                beats=beats,
            )
            return self._use([field], "S0")
        return None

    def _count(self, call: AggregateCall, arguments: list[str], guard: str) -> Field:
        if arguments and self.scalar.nullable(call.arguments[0]):
            return Field("0", "S += 1", arguments[0], guard, True, bulk=("S += len(v)",))
        return Field("0", "S += 1", "", guard, False, bulk=("S += len(v)",))

    def _concatenated(
        self, call: AggregateCall, arguments: list[str], guard: str, kinds: int
    ) -> AggregateCode | None:
        separator = ","
        if len(arguments) > 1:
            given = call.arguments[1]
            if not isinstance(given, Literal) or not isinstance(given.value, str):
                return None
            separator = given.value
        field = Field(
            "[]", "S.append(x)", arguments[0], guard, bool(kinds & NULL), bulk=("S += v",)
        )
        texts = str(not kinds & ~(TEXT | NULL))
        joined = self._call(grouping.joined, "S0", self.module.constants.name(separator), texts)
        return self._use([field], joined)

    def _make(self, call: AggregateCall) -> str:
        """Source of a fresh accumulator."""
        if call.name in ("min", "max") and call.collation.upper() != "BINARY":
            fold = self.module.constants.name(self.scalar.folding(call.collation), "fold")
            return self._call(grouping.Extreme, str(call.name == "max"), fold)
        return f"{self.module.constants.name(call.function.make, f'make_{call.name}_')}()"

    def _stepped(self, call: AggregateCall, arguments: list[str], guard: str) -> AggregateCode:
        bulk = ("step_ = S.step", "for x in v: step_(x)") if len(arguments) == 1 else None
        argument = arguments[0] if len(arguments) == 1 else ""
        given = "x" if len(arguments) == 1 else ", ".join(arguments)
        field = Field(self._make(call), f"S.step({given})", argument, guard, bulk=bulk)
        return self._use([field], "S0.finish()")

    def _distinct(self, call: AggregateCall, arguments: list[str], guard: str) -> AggregateCode:
        fold = self.scalar.folding(call.collation)
        make = self._make(call) if call.name != "count" else "None"
        value = self._call(grouping.distinct_value, "S0", repr(call.name), make)
        skip = self.scalar.nullable(call.arguments[0])
        if fold is None and call.name == "count":
            field = Field("set()", "S.add(x)", arguments[0], guard, skip, bulk=("S.update(v)",))
        elif fold is None:
            bulk = ("S.update(dict.fromkeys(v))",)
            field = Field("{}", "S.setdefault(x)", arguments[0], guard, skip, bulk=bulk)
        else:
            folding = self.module.constants.name(fold, "fold")
            value = self._call(grouping.distinct_value, "S0.values()", repr(call.name), make)
            update = f"S.setdefault({folding}(x), x)"
            field = Field("{}", update, arguments[0], guard, skip)
        return self._use([field], value)

    def _ordered(self, call: AggregateCall, arguments: list[str], guard: str) -> AggregateCode:
        keys = [self.compiler.projection.sort_key_source(key) for key in call.order]
        entry = f"(({', '.join([*arguments, ''])}), {', '.join(keys)})"
        directions = tuple(key.descending for key in call.order)
        value = self._call(grouping.ordered_value, "S0", repr(directions), self._make(call))
        return self._use([Field("[]", f"S.append({entry})", "", guard)], value)

    def updates(self, slot: str = "s[{}]", done: int | None = None) -> Lines:
        """Statements that take one row into the state `s`, or another one; `slot` gives the field of a place.

        `done`: the place of the field that `bare_updates` takes care of."""
        body = Lines()
        latest = None
        for place, field in enumerate(self.fields):
            if place == done:
                continue
            conditions = [field.guard] if field.guard else []
            argument = field.argument
            simple = is_simple(argument)
            if field.nan:
                conditions.append(f"(x := {argument}) == x")
                name = "x"
            elif field.skip_null:
                conditions.append(f"{argument if simple else f'(x := {argument})'} is not None")
                name = argument if simple else "x"
            elif argument and not simple and (_uses(field.update) > 1 or ":=" in argument):
                body.depth, latest = 0, None
                body.add(f"x = {argument}")
                name = "x"
            else:
                name = argument
            statement = with_argument(field.update, slot.format(place), name)
            condition = " and ".join(conditions)
            if condition and condition != latest:
                body.depth = 0
                body.add(f"if {condition}:")
            body.depth = 1 if condition else 0
            latest = condition
            body.add(statement)
        body.depth = 0
        return body

    def values(self, codes: list[AggregateCode], state: str) -> list[str]:
        """The aggregates' final values; `state` gives the field of a place."""
        made = []
        for code in codes:
            value = code.value
            for number, place in enumerate(code.places):
                value = value.replace(f"S{number}", state.format(place))
            made.append(value)
        return made

    def bare_updates(
        self, codes: list[AggregateCode], at: int, bare: list[str]
    ) -> tuple[Lines, int | None]:
        """Bare columns come from the row of min() or max(), if there is one of them: statements, and the place of its
        field where they set this, too.

        NULL is found as long as nothing else is: till then each row takes the place of the one before."""
        body = Lines()
        block = self.block
        if block.bare_from is None or not bare:
            return body, None
        call = block.aggregates[block.bare_from]
        argument = self.scalar.value(call.arguments[0])
        place = codes[block.bare_from].places[0]
        field, slot = self.fields[place], f"s[{place}]"
        where = "" if call.where is None else f"{self.scalar.true(call.where)} and "
        if field.beats:
            value = argument
            if not is_simple(argument):
                value = "x"
                body.add(f"x = {argument}")
            better = with_argument(field.beats, slot, value)
            if field.skip_null:
                better = f"{slot} is None or {value} is not None and ({better})"
            body.add(f"if {where}({better}):")
            body.add(f"    {slot} = {value}")
        else:
            fold = self.module.constants.name(self.scalar.folding(call.collation), "fold")
            test = self._call(grouping.beats, argument, slot, str(call.name == "max"), fold)
            body.add(f"if {where}{test}:")
        for number, source in enumerate(bare):
            body.add(f"    s[{at + number}] = {source}")
        return body, place if field.beats else None


_NAMES = re.compile(r"\b[Sx]\b")


def _uses(template: str) -> int:
    return _NAMES.findall(template).count("x")


def with_argument(template: str, slot: str, argument: str) -> str:
    """The template with its slot and its argument filled in."""
    return _NAMES.sub(lambda match: slot if match[0] == "S" else argument, template)
