"""Grouping as code: GROUP BY by a dict of states, and aggregates over everything in bulk.

A group's state is a list of *fields*, each with a start, an update per row and perhaps a guard.  Where
the kinds of an argument are known a field is updated by bare Python (`s[1] += r1[3]`); DISTINCT collects
into a dict, ORDER BY into a list, and the rest steps an `Accumulator`.  Aggregates share fields: count(*),
sum(x) and avg(x) of a column without NULLs keep one count and one sum.  A state of a single sum or count is
no list but the number itself.  Without GROUP BY each batch is reduced by builtins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from sql.compile.module import Lines
from sql.compile.scalar import is_simple
from sql.expressions import Literal
from sql.plan import AggregateCall, Select
from sql.run import grouping
from sql.run.partitions import FIRST_ROOM, overfull

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler, Join
    from sql.compile.by_column import ColumnScan

NULL, INTEGER, REAL, TEXT, BLOB = 1, 2, 4, 8, 16
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


class AggregateCode(Struct):
    """Fields of one aggregate, by place in the state, and its final value (`S0`, `S1` stand for them)."""

    places: list[int]
    value: str


class GroupCompiler:
    """Makes the functions that group one SELECT's rows."""

    def __init__(self, compiler: BlockCompiler, block: Select) -> None:
        self.compiler = compiler
        self.module = compiler.module
        self.scalar = compiler.scalar
        self.block = block
        self.fields: list[Field] = []

    def _call(self, function: Callable[..., Any], *arguments: str) -> str:
        return f"{self.module.function(function)}({', '.join(arguments)})"

    # -- aggregates ------------------------------------------------------------------------------

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
            total = Field("0", "S += x", source, guard, skip, nan, bulk=("S = sum(v, S)",))
            if call.name == "total":
                return self._use([total], self._call(grouping.total_of, "S0"))
            if call.name == "sum" and self.block.keys and not skip and not guard:
                value = self._call(grouping.sum_of, "S0", "1")
                return self._use([total], "(S0 if S0 == S0 else None)" if kinds == REAL else value)
            count = Field("0", "S += 1", source, guard, True, nan, bulk=("S += len(v)",))
            if not skip:
                count = self._count(call, arguments, guard)
            if call.name == "sum":
                return self._use([total, count], self._call(grouping.sum_of, "S0", "S1"))
            return self._use([total, count], self._call(grouping.average_of, "S0", "S1"))
        homogeneous = numbers or bare in (TEXT, BLOB)
        if call.name in ("min", "max") and homogeneous and call.collation.upper() == "BINARY":
            sign = "<" if call.name == "min" else ">"
            bulk = (
                f"if v: s_ = {call.name}(v)",
                f"if v and (S is None or s_ {sign} S): S = s_",
            )
            update = f"if S is None or x {sign} S: S = x"
            field = Field("None", update, arguments[0], guard, skip, bulk=bulk)
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

    # -- the groups ------------------------------------------------------------------------------

    def updates(self) -> Lines:
        """Statements that take one row into the state `s`."""
        body = Lines()
        latest = None
        for place, field in enumerate(self.fields):
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
            statement = _with_argument(field.update, f"s[{place}]", name)
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

    def grouped(self, loops: Lines, depth: int, joined: Join) -> Lines:
        """The body of a function that gives the groups' tuples, for GROUP BY.

        `loops` are the loop headers; rows are taken in `depth` levels deep."""
        block, clauses, header, scan = self.block, joined.clauses, joined.header, joined.scan
        assert block.keys is not None
        codes = self.layout()
        originals = [self.scalar.value(key.expression) for key in block.keys]
        folded = []
        plain = True
        for key, source in zip(block.keys, originals, strict=True):
            fold = self.scalar.folding(key.collation)
            if fold is None or not self.scalar.kinds(key.expression) & TEXT:
                folded.append(source)
            else:
                plain = False
                folded.append(f"{self.module.function(fold)}({source})")
        key_source = folded[0] if len(folded) == 1 else f"({', '.join(folded)})"
        bare = [self.scalar.value(item) for item in block.bare]
        extra = bare if plain else [*originals, *bare]
        initial = ", ".join([*[field.start for field in self.fields], *extra])
        single = plain and not bare and self._is_number()
        step = Lines()
        if not single:
            at = len(self.fields) + (0 if plain else len(originals))
            step.extend(self._bare_updates(codes, at, bare))
            step.extend(self.updates())
        body = Lines()
        counts = single and self.fields[0].update == "S += 1" and bool(header)
        body.add(f"groups = {self._call(Counter)}" if counts else "groups = {}")
        if header:
            target, batches = header[:-1].split(" in ", 1)
            body.add(f"room, source = {FIRST_ROOM}, iter({batches})")
            loops.lines[0] = f"{target} in source:"
        if counts:
            keys_listed = self.compiler.unpacked(f"[{key_source} {clauses}]")
            if scan is not None and scan.is_whole:
                keys_listed = scan.list_of(key_source) or keys_listed
            body.add(loops.lines[0])
            body.add(f"    groups.update({keys_listed})")
        else:
            taken = Lines()
            taken.extend(loops)
            taken.depth = depth
            if single:
                body.add("known = groups.get")
            self._take_in(taken, key_source, initial, step, single, "")
            body.lines += self.compiler.unpacked("\n".join(taken.lines)).split("\n")
        values = self.values(codes, "s" if single else "s[{}]")
        first = len(self.fields)
        if plain:
            keys = ["g"] if len(folded) == 1 else [f"g[{place}]" for place in range(len(folded))]
        else:
            keys = [f"s[{first + place}]" for place in range(len(originals))]
            first += len(originals)
        passed = [f"s[{first + place}]" for place in range(len(bare))]
        row = f"({''.join(f'{item}, ' for item in [*keys, *values, *passed])})"
        rows = "list(groups.items())"
        if row != "(g, s, )":
            rows = f"[{row} for g, s in groups.items()]"
        alone = plain and len(folded) == 1
        simple = str(self._simple_keys())
        result = self._call(grouping.in_key_order, "groups", rows, str(alone), simple)
        if not header:
            body.add("check()")
            body.add(f"return {result}")
            return body
        over = self._call(overfull, "groups", "ctx")
        body.add("    if len(groups) > room:")
        body.add(f"        room, spill = {over}")
        body.add("        if spill: break")
        body.add(f"else: return {result}")
        # Past the memory limit: the rest of the rows, then what went to disk, by a function.
        variables = self._loop_variables(loops, [key_source, initial, *step.lines, *self._added()])
        body.add("def take_in(rows, groups, missing):")
        body.depth = 1
        body.add(f"for {variables or '_'} in rows:")
        body.depth = 2
        self._take_in(body, key_source, initial, step, single, f"missing(g, ({variables}))")
        body.depth = 0
        body.add(f"def finish(groups): return {result}")
        rest = f"(({variables}) {target} in source {clauses})"
        # Not a Counter any more, which has no unknown keys.
        arguments = [
            "dict(groups)" if counts else "groups",
            "spill",
            rest,
            "take_in",
            "finish",
            simple,
            "ctx",
        ]
        body.add(f"return {self._call(grouping.spilled_groups, *arguments)}")
        return body

    def _take_in(
        self, body: Lines, key: str, initial: str, step: Lines, single: bool, missing: str
    ) -> None:
        """Statements that take one row into its group.

        `missing`: a call for rows of unknown groups, where the function of that name is not None."""
        if missing or not is_simple(key):
            body.add(f"g = {key}")
            key = "g"
        if single:
            added = self._added()[0]
            if not is_simple(added):
                body.add(f"x = {added}")
                added = "x"
            if not missing:
                # As quick as an exception for keys that are known, and far quicker for those that are not.
                body.add(f"groups[{key}] = known({key}, 0) + {added}")
                return
            known, fresh = f"groups[{key}] += {added}", f"groups[{key}] = {added}"
        else:
            known, fresh = f"s = groups[{key}]", f"s = groups[{key}] = [{initial}]"
        body.add(f"try: {known}")
        if missing:
            body.add("except KeyError:")
            body.add("    if missing is not None:")
            body.add(f"        {missing}")
            body.add("        continue")
            body.add(f"    {fresh}")
        else:
            body.add(f"except KeyError: {fresh}")
        if not single:
            body.extend(step)

    def _added(self) -> list[str]:
        """What a row adds to a state that is one number."""
        field = self.fields[0] if self.fields else None
        if field is None or not self._is_number():
            return []
        return ["1" if field.update == "S += 1" else field.argument]

    def _loop_variables(self, loops: Lines, used: list[str]) -> str:
        """The variables that the loops bind and the sources use, as a tuple's elements."""
        from sql.compile.levels import variables_in

        bound = {
            name
            for line in loops.lines
            if line.lstrip().startswith("for ")
            for name in variables_in(line.split(" in ", 1)[0])
        }
        return "".join(f"{name}, " for name in variables_in("\n".join(used)) if name in bound)

    def _is_number(self) -> bool:
        """Whether the whole state is one number that every row adds to."""
        if len(self.fields) != 1:
            return False
        field = self.fields[0]
        return field.update in ("S += 1", "S += x") and not field.guard and not field.skip_null

    def _simple_keys(self) -> bool:
        """Whether all groups' keys compare with each other as they are."""
        assert self.block.keys is not None
        kinds = [self.scalar.kinds(key.expression) for key in self.block.keys]
        return all(bare in (TEXT, BLOB) or (bare and not bare & ~NUMBER) for bare in kinds)

    def _bare_updates(self, codes: list[AggregateCode], at: int, bare: list[str]) -> Lines:
        """Bare columns come from the row of min() or max(), if there is one of them."""
        body = Lines()
        block = self.block
        if block.bare_from is None or not bare:
            return body
        call = block.aggregates[block.bare_from]
        argument = self.scalar.value(call.arguments[0])
        slot = codes[block.bare_from].places[0]
        where = "" if call.where is None else f"{self.scalar.true(call.where)} and "
        fold = self.module.constants.name(self.scalar.folding(call.collation), "fold")
        test = self._call(grouping.beats, argument, f"s[{slot}]", str(call.name == "max"), fold)
        body.add(f"if {where}{test}:")
        for place, source in enumerate(bare):
            body.add(f"    s[{at + place}] = {source}")
        return body

    # -- everything in one group -----------------------------------------------------------------

    def everything(self, joined: Join) -> Lines:
        """The body for no GROUP BY: one state for all rows; gives a list of one tuple."""
        block, header, clauses = self.block, joined.header, joined.clauses
        codes = self.layout()
        count = len(self.fields)
        bare = [self.scalar.value(item) for item in block.bare]
        initial = ", ".join([*[field.start for field in self.fields], *["None"] * len(bare)])
        body = Lines()
        body.add(f"s = [{initial}]")
        if not bare and all(field.bulk is not None for field in self.fields):
            self._share_lists()
            if joined.scan is None:
                self._bulk(body, header, clauses, joined.row)
            else:
                self._bulk_by_column(body, header, joined.scan)
        else:
            if bare:
                body.add("first = True")
            if header:
                body.add(header)
                body.depth = 1
            for clause in split_clauses(clauses):
                body.add(f"{clause}:")
                body.depth += 1
            if bare:
                if block.bare_from is not None:
                    body.extend(self._bare_updates(codes, count, bare))
                body.add("if first:")
                body.add("    first = False")
                for place, item in enumerate(bare):
                    body.add(f"    s[{count + place}] = {item}")
            body.extend(self.updates())
            body.depth = 0
        passed = [f"s[{count + place}]" for place in range(len(bare))]
        row = "".join(f"{item}, " for item in [*self.values(codes, "s[{}]"), *passed])
        body.add(f"return [({row})]")
        return body

    def _bulk(self, body: Lines, header: str, clauses: str, simple_row: str | None) -> None:
        """Per batch one list of values per argument, reduced by builtins."""
        if header:
            body.add(header)
            body.depth = 1
        source, rows = clauses, None
        lists = {(field.argument, field.guard, field.skip_null) for field in self.fields}
        if simple_row is not None:
            loop, *conditions = split_clauses(clauses)
            iterable = loop.split(" in ", 1)[1]
            if not conditions and (iterable.isidentifier() or len(lists) == 1):
                source, rows = loop, iterable
            elif not conditions:
                body.add(f"b = {iterable}")
                source, rows = f"for {simple_row} in b", "b"
            elif len(lists) > 1:
                body.add(f"b = [{simple_row} {clauses}]")
                source, rows = f"for {simple_row} in b", "b"
        elif len(lists) > 1:
            # Several values per joined row: gathered once, then taken column by column.
            self._bulk_columns(body, clauses)
            return
        self._reduce(body, lambda field: self.compiler.unpacked(self._values(field, source, rows)))
        body.depth = 0

    def _reduce(self, body: Lines, values: Callable[[Field], str]) -> None:
        """Statements that reduce a batch's lists of values, those of equal fields being made once."""
        done = None
        for place in sorted(range(len(self.fields)), key=self._list_of):
            field = self.fields[place]
            wanted = self._list_of(place)
            if wanted != done:
                body.add(f"v = {values(field)}")
                done = wanted
            assert field.bulk is not None
            for line in field.bulk:
                body.add(_with_argument(line, f"s[{place}]", "x"))

    def _bulk_by_column(self, body: Lines, header: str, scan: ColumnScan) -> None:
        """The same of columns.  Where several lists of values are wanted of the rows that meet some
        conditions, the conditions are looked at once and the columns cut to those rows."""
        body.add(header)
        body.depth = 1
        lists = {self._list_of(place) for place in range(len(self.fields))}
        if not scan.is_whole and len(lists) > 1:
            conditions = scan.conditions()
            body.add(f"m = [{conditions} {scan.loop(conditions)}]")
            used = scan.variables(" ".join(f"{argument} {guard}" for argument, guard, _ in lists))
            kept = {name: scan.lists[name] for name in used or list(scan.lists)[:1]}
            for listed in kept.values():
                body.add(f"{listed} = list({self._call(compress, listed, 'm')})")
            scan = replace(scan, clauses=scan.clauses[:1], lists=kept)

        def values(field: Field) -> str:
            argument = field.argument or "1"
            bare = not field.guard and not field.skip_null
            if scan.is_whole and bare and not field.nan:
                listed = (
                    scan.list_of(argument) if field.argument else next(iter(scan.lists.values()))
                )
                if listed:
                    return listed
            conditions = self._conditions(field, argument)
            argument = "x" if "(x := " in conditions else argument
            loop = scan.loop(argument, conditions, *scan.clauses[1:])
            return f"[{' '.join([argument, loop, *scan.clauses[1:]])}{conditions}]"

        self._reduce(body, values)
        body.depth = 0

    def _share_lists(self) -> None:
        """A count of rows counts a list that is made anyway."""
        for place, field in enumerate(self.fields):
            if field.argument or field.skip_null:
                continue
            for other in self.fields:
                if other.argument and other.guard == field.guard and not other.skip_null:
                    self.fields[place] = replace(field, argument=other.argument)
                    break

    def _list_of(self, place: int) -> tuple[str, str, bool]:
        field = self.fields[place]
        return field.argument, field.guard, field.skip_null

    def _values(self, field: Field, source: str, rows: str | None) -> str:
        """The list of a batch's values; `rows` is a list of the very rows of `source`."""
        argument = field.argument or "1"
        if not field.guard and not field.skip_null and rows is not None:
            if not field.argument:
                return rows
            column = re.fullmatch(r"[ri]\d+\[(\d+)\]", argument)
            if column is not None:
                getter = self.module.constants.name(itemgetter(int(column[1])), "column")
                return f"list(map({getter}, {rows}))"
        conditions = self._conditions(field, argument)
        argument = "x" if "(x := " in conditions else argument
        return f"[{argument} {source}{conditions}]"

    def _conditions(self, field: Field, argument: str) -> str:
        """The clauses that keep rows from a field; they may name the argument's value `x`."""
        conditions = f" if {field.guard}" if field.guard else ""
        if field.nan:
            return f"{conditions} if (x := {argument}) == x"
        if field.skip_null and is_simple(argument):
            return f"{conditions} if {argument} is not None"
        if field.skip_null:
            return f"{conditions} if (x := {argument}) is not None"
        return conditions

    def _bulk_columns(self, body: Lines, clauses: str) -> None:
        absent = self.module.constants.name(grouping.ABSENT, "absent")
        columns: list[str] = []
        for field in self.fields:
            value = field.argument or "1"
            columns.append(f"({value} if {field.guard} else {absent})" if field.guard else value)
        spelled = list(dict.fromkeys(columns))
        body.add(f"b = [({''.join(f'{column}, ' for column in spelled)}) {clauses}]")
        for place, (field, column) in enumerate(zip(self.fields, columns, strict=True)):
            at = spelled.index(column)
            conditions = f" if x[{at}] is not {absent}" if field.guard else ""
            if field.nan:
                conditions += f" if x[{at}] == x[{at}]"
            elif field.skip_null:
                conditions += f" if x[{at}] is not None"
            if not field.argument and not field.guard:
                body.add("v = b")
            else:
                body.add(f"v = [x[{at}] for x in b{conditions}]")
            assert field.bulk is not None
            for line in field.bulk:
                body.add(_with_argument(line, f"s[{place}]", "x"))
        body.depth = 0


_NAMES = re.compile(r"\b[Sx]\b")


def _uses(template: str) -> int:
    return _NAMES.findall(template).count("x")


def _with_argument(template: str, slot: str, argument: str) -> str:
    """The template with its slot and its argument filled in."""
    return _NAMES.sub(lambda match: slot if match[0] == "S" else argument, template)


def split_clauses(source: str) -> list[str]:
    """A comprehension's clauses one by one; brackets and quotes are respected."""
    parts: list[str] = []
    depth = 0
    quote = ""
    start = 0
    at = 0
    while at < len(source):
        char = source[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif depth == 0 and at > start and char == " ":
            rest = source[at + 1 :]
            if rest.startswith(("for ", "if ")):
                parts.append(source[start:at])
                start = at + 1
        at += 1
    parts.append(source[start:])
    return parts
