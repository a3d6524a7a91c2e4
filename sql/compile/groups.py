"""Grouping as code: GROUP BY by a dict of states, and aggregates over everything in bulk.

A group's state is a list of fields; each aggregate owns one or two.  Where the kinds of its argument are
known, it is updated by bare Python (`s[1] += r1[3]`); DISTINCT collects into a dict, ORDER BY into a
list, and the rest steps an `Accumulator`.  Without GROUP BY each batch is reduced by builtins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sql.compile.module import Lines
from sql.plan import AggregateCall, Select
from sql.run import grouping

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler

NULL, INTEGER, REAL, TEXT, BLOB = 1, 2, 4, 8, 16
NUMBER = INTEGER | REAL


@dataclass(slots=True)
class AggregateCode:
    """How one aggregate is kept in a state `s`: fields, updates per row, and its final value.

    `bulk` are the statements that take in a batch whose argument values are the list `v`."""

    fields: list[str]
    update: Callable[[str], list[str]]  # source of the argument -> statements
    value: str
    bulk: list[str] | None = None
    nullable: bool = False  # the updates are for values that are not NULL only
    arguments: list[str] = field(default_factory=list)


class GroupCompiler:
    """Makes the functions that group one SELECT's rows."""

    def __init__(self, compiler: BlockCompiler, block: Select) -> None:
        self.compiler = compiler
        self.module = compiler.module
        self.scalar = compiler.scalar
        self.block = block

    def _call(self, function: Callable[..., Any], *arguments: str) -> str:
        return f"{self.module.function(function)}({', '.join(arguments)})"

    # -- aggregates ------------------------------------------------------------------------------

    def aggregate(self, call: AggregateCall, at: int) -> AggregateCode:
        """Code for the aggregate whose first field is `s[at]`."""
        arguments = [self.scalar.argument(item) for item in call.arguments]
        if call.order:
            return self._ordered(call, arguments, at)
        if call.distinct and not (call.name in ("min", "max") and call.function.builtin):
            return self._distinct(call, arguments, at)
        if call.function.builtin and len(call.arguments) <= 1:
            code = self._inline(call, arguments, at)
            if code is not None:
                return code
        return self._stepped(call, arguments, at)

    def _inline(self, call: AggregateCall, arguments: list[str], at: int) -> AggregateCode | None:
        s, t = f"s[{at}]", f"s[{at + 1}]"
        if call.name == "count":
            if not arguments:
                return AggregateCode(["0"], lambda _: [f"{s} += 1"], s, [f"{s} += len(v)"])
            nullable = self.scalar.nullable(call.arguments[0])
            return AggregateCode(
                ["0"], lambda _: [f"{s} += 1"], s, [f"{s} += len(v)"], nullable, arguments
            )
        if not arguments:
            return None
        kinds = self.scalar.kinds(call.arguments[0])
        nullable = bool(kinds & NULL)
        bare = kinds & ~NULL
        if call.name in ("sum", "total", "avg") and bare and not bare & ~NUMBER:
            value = {
                "sum": self._call(grouping.sum_of, s, t),
                "total": f"float({s})",
                "avg": f"({s} / {t} if {t} else None)",
            }[call.name]
            return AggregateCode(
                ["0", "0"],
                lambda x: [f"{s} += {x}", f"{t} += 1"],
                value,
                [f"{s} = sum(v, {s})", f"{t} += len(v)"],
                nullable,
                arguments,
            )
        homogeneous = bare and (not bare & ~NUMBER or bare in (TEXT, BLOB))
        if call.name in ("min", "max") and homogeneous and call.collation.upper() == "BINARY":
            sign = "<" if call.name == "min" else ">"
            return AggregateCode(
                ["None"],
                lambda x: [f"if {s} is None or {x} {sign} {s}: {s} = {x}"],
                s,
                [
                    f"if v: s_ = {call.name}(v)",
                    f"if v and ({s} is None or s_ {sign} {s}): {s} = s_",
                ],
                nullable,
                arguments,
            )
        return None

    def _make(self, call: AggregateCall) -> str:
        """Source of a fresh accumulator."""
        if call.name in ("min", "max") and call.collation.upper() != "BINARY":
            fold = self.module.constants.name(self.scalar.folding(call.collation), "fold")
            return self._call(grouping.Extreme, str(call.name == "max"), fold)
        return f"{self.module.constants.name(call.function.make, f'make_{call.name}_')}()"

    def _stepped(self, call: AggregateCall, arguments: list[str], at: int) -> AggregateCode:
        s = f"s[{at}]"
        step = f"{s}.step"
        bulk = None
        if len(arguments) == 1:
            bulk = [f"for x in v: {step}(x)"]
        return AggregateCode(
            [self._make(call)],
            lambda x: [f"{step}({x})"],
            f"{s}.finish()",
            bulk,
            False,
            arguments,
        )

    def _distinct(self, call: AggregateCall, arguments: list[str], at: int) -> AggregateCode:
        s = f"s[{at}]"
        fold = self.scalar.folding(call.collation)
        make = self._make(call) if call.name != "count" else "None"
        value = self._call(grouping.distinct_value, s, repr(call.name), make)
        if fold is None:
            return AggregateCode(
                ["{}"],
                lambda x: [f"{s}.setdefault({x}, {x})"],
                value,
                [f"for x in v: {s}.setdefault(x, x)"],
                self.scalar.nullable(call.arguments[0]),
                arguments,
            )
        folding = self.module.constants.name(fold, "fold")
        return AggregateCode(
            ["{}"],
            lambda x: [f"{s}.setdefault({folding}({x}), {x})"],
            value,
            None,
            self.scalar.nullable(call.arguments[0]),
            arguments,
        )

    def _ordered(self, call: AggregateCall, arguments: list[str], at: int) -> AggregateCode:
        s = f"s[{at}]"
        keys = [self.compiler.sort_key_source(key) for key in call.order]
        entry = f"(({', '.join([*arguments, ''])}), {', '.join(keys)})"
        directions = tuple(key.descending for key in call.order)
        value = self._call(grouping.ordered_value, s, repr(directions), self._make(call))
        return AggregateCode(
            ["[]"], lambda x: [f"{s}.append({entry})"], value, None, False, arguments
        )

    # -- the groups ------------------------------------------------------------------------------

    def layout(self) -> tuple[list[AggregateCode], int]:
        """Code of all aggregates, fields one behind the other; the number of fields."""
        codes = []
        at = 0
        for call in self.block.aggregates:
            code = self.aggregate(call, at)
            codes.append(code)
            at += len(code.fields)
        return codes, at

    def updates(self, codes: list[AggregateCode]) -> Lines:
        """Statements that take one row into the state `s`."""
        body = Lines()
        for call, code in zip(self.block.aggregates, codes, strict=True):
            guards = [] if call.where is None else [self.scalar.true(call.where)]
            argument = ", ".join(code.arguments)
            if code.nullable:
                if not argument.replace("[", "").replace("]", "").isidentifier():
                    guards.append(f"(x := {argument}) is not None")
                    argument = "x"
                else:
                    guards.append(f"{argument} is not None")
            elif (len(code.arguments) == 1 and len(code.update("y")) > 1 and "(" in argument) or (
                len(code.arguments) == 1 and any(line.count("Q") > 1 for line in code.update("Q"))
            ):
                body.add(f"x = {argument}")
                argument = "x"
            if guards:
                body.add(f"if {' and '.join(guards)}:")
                body.depth = 1
            for line in code.update(argument):
                body.add(line)
            body.depth = 0
        return body

    def grouped(self, loops: Lines, depth: int) -> Lines:
        """The body of a function that gives the groups' tuples, for GROUP BY.

        `loops` are the loop headers; rows are taken in `depth` levels deep."""
        block = self.block
        assert block.keys is not None
        codes, fields = self.layout()
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
        initial = ", ".join([*[name for code in codes for name in code.fields], *extra])
        body = Lines()
        body.add("groups = {}")
        body.add("get = groups.get")
        body.extend(loops)
        body.depth = depth
        body.add(f"g = {key_source}")
        body.add("s = get(g)")
        body.add(f"if s is None: s = groups[g] = [{initial}]")
        body.extend(self._bare_updates(codes, fields + (0 if plain else len(originals)), bare))
        body.extend(self.updates(codes))
        body.depth = 0
        body.add("check()")
        values = [code.value for code in codes]
        first = fields
        if plain:
            keys = ["g"] if len(folded) == 1 else [f"g[{place}]" for place in range(len(folded))]
        else:
            keys = [f"s[{first + place}]" for place in range(len(originals))]
            first += len(originals)
        passed = [f"s[{first + place}]" for place in range(len(bare))]
        row = f"({''.join(f'{item}, ' for item in [*keys, *values, *passed])})"
        sortable = self._sorted_items(len(folded))
        body.add(f"return [{row} for g, s in {sortable}]")
        return body

    def _sorted_items(self, count: int) -> str:
        """The groups in order of their keys, as SQLite's sorter gives them."""
        assert self.block.keys is not None
        kinds = [self.scalar.kinds(key.expression) for key in self.block.keys]
        simple = all(bare in (TEXT, BLOB) or (bare and not bare & ~NUMBER) for bare in kinds)
        return self._call(grouping.sorted_groups, "groups", str(simple))

    def _bare_updates(self, codes: list[AggregateCode], at: int, bare: list[str]) -> Lines:
        """Bare columns come from the row of min() or max(), if there is one of them."""
        body = Lines()
        block = self.block
        if block.bare_from is None or not bare:
            return body
        call = block.aggregates[block.bare_from]
        argument = self.scalar.value(call.arguments[0])
        slot = sum(len(code.fields) for code in codes[: block.bare_from])
        where = "" if call.where is None else f"{self.scalar.true(call.where)} and "
        fold = self.module.constants.name(self.scalar.folding(call.collation), "fold")
        test = self._call(grouping.beats, argument, f"s[{slot}]", str(call.name == "max"), fold)
        body.add(f"if {where}{test}:")
        for place, source in enumerate(bare):
            body.add(f"    s[{at + place}] = {source}")
        return body

    def everything(self, header: str, clauses: str, *, simple_row: str | None) -> Lines:
        """The body for no GROUP BY: one state for all rows; gives a list of one tuple.

        `simple_row`: the only row variable, where the rows come from one relation's batches."""
        block = self.block
        codes, fields = self.layout()
        bare = [self.scalar.value(item) for item in block.bare]
        initial = ", ".join(
            [*[name for code in codes for name in code.fields], *["None"] * len(bare)]
        )
        body = Lines()
        body.add(f"s = [{initial}]")
        bulk = not bare and all(code.bulk is not None for code in codes)
        if bulk:
            self._bulk(body, codes, header, clauses, simple_row)
        else:
            if bare:
                body.add("first = True")
            source = clauses
            if header:
                body.add(header)
                body.depth = 1
            self._loops(body, source)
            if bare:
                if block.bare_from is not None:
                    body.extend(self._bare_updates(codes, fields, bare))
                body.add("if first:")
                body.add("    first = False")
                for place, item in enumerate(bare):
                    body.add(f"    s[{fields + place}] = {item}")
            body.extend(self.updates(codes))
            body.depth = 0
        values = [code.value for code in codes]
        passed = [f"s[{fields + place}]" for place in range(len(bare))]
        body.add(f"return [({''.join(f'{item}, ' for item in [*values, *passed])})]")
        return body

    def _loops(self, body: Lines, clauses: str) -> None:
        """Clauses as nested statements."""
        for clause in split_clauses(clauses):
            body.add(f"{clause}:")
            body.depth += 1

    def _bulk(
        self,
        body: Lines,
        codes: list[AggregateCode],
        header: str,
        clauses: str,
        simple_row: str | None,
    ) -> None:
        """Per batch one list of values per aggregate, reduced by builtins."""
        calls = self.block.aggregates
        if header:
            body.add(header)
            body.depth = 1
        several = len(codes) > 1
        source = clauses
        if several:
            if simple_row is not None:
                loop, *conditions = split_clauses(clauses)
                if conditions:
                    body.add(f"b = [{simple_row} {clauses}]")
                    source = f"for {simple_row} in b"
                else:
                    source = loop
            else:
                # Several values per joined row: gathered once, then taken column by column.
                return self._bulk_columns(body, codes, clauses)
        for call, code in zip(calls, codes, strict=True):
            assert code.bulk is not None
            self._values(body, call, code, source)
            for line in code.bulk:
                body.add(line)
        body.depth = 0
        return None

    def _values(self, body: Lines, call: AggregateCall, code: AggregateCode, source: str) -> None:
        argument = ", ".join(code.arguments) or "1"
        conditions = "" if call.where is None else f" if {self.scalar.true(call.where)}"
        if not code.arguments and not conditions and len(split_clauses(source)) == 1:
            listed = source.split(" in ", 1)[1]
            if listed.isidentifier():
                body.add(f"v = {listed}")
                return
        if code.nullable:
            if argument.replace("[", "").replace("]", "").isidentifier():
                conditions += f" if {argument} is not None"
            else:
                conditions += f" if (x := {argument}) is not None"
                argument = "x"
        body.add(f"v = [{argument} {source}{conditions}]")

    def _bulk_columns(self, body: Lines, codes: list[AggregateCode], clauses: str) -> None:
        calls = self.block.aggregates
        columns: list[str] = []
        for call, code in zip(calls, codes, strict=True):
            columns.append(", ".join(code.arguments) or "1")
            if call.where is not None:
                columns[-1] = f"({columns[-1]} if {self.scalar.true(call.where)} else absent)"
        absent = self.module.constants.name(grouping.ABSENT, "absent")
        columns = [column.replace(" else absent)", f" else {absent})") for column in columns]
        body.add(f"b = [({''.join(f'{column}, ' for column in columns)}) {clauses}]")
        for place, (call, code) in enumerate(zip(calls, codes, strict=True)):
            conditions = ""
            if call.where is not None:
                conditions += f" if x[{place}] is not {absent}"
            if code.nullable:
                conditions += f" if x[{place}] is not None"
            body.add(f"v = [x[{place}] for x in b{conditions}]")
            assert code.bulk is not None
            for line in code.bulk:
                body.add(line)
        body.depth = 0


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
