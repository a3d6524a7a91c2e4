"""Aggregates over everything, where there is no GROUP BY: each batch is reduced by builtins.

for b1_2, b1_4 in by_column(t5, check, (2, 4)):
    v = [c1_2 for c1_2, c1_4 in zip(b1_2, b1_4) if c1_4 < 500]
    s[0] = sum(v, s[0])
    s[1] += len(v)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sql.compile.aggregates import AggregateCompiler, Field, with_argument
from sql.compile.by_column import as_it_lies
from sql.compile.clauses import split_clauses
from sql.compile.module import Lines
from sql.compile.scalar import is_simple
from sql.run import grouping

if TYPE_CHECKING:
    from sql.compile.by_column import ColumnScan
    from sql.compile.join import Join


class TotalsCompiler(AggregateCompiler):
    """Makes the function that reduces all of a SELECT's rows to one."""

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
            of_bare, done = self.bare_updates(codes, count, bare)
            body.extend(of_bare)
            if bare:
                body.add("if first:")
                body.add("    first = False")
                for place, item in enumerate(bare):
                    body.add(f"    s[{count + place}] = {item}")
            body.extend(self.updates(done=done))
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
                body.add(with_argument(line, f"s[{place}]", "x"))

    def _bulk_by_column(self, body: Lines, header: str, scan: ColumnScan) -> None:
        """The same of columns.  Where several lists of values are wanted of the rows that meet some
        conditions, the conditions are looked at once and the columns cut to those rows."""
        if header == scan.header:
            scan = as_it_lies(self.compiler, scan, self._gone_through_twice(scan))
            header = scan.header
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
            scan = replace(scan, filters=[], lists=kept)

        def values(field: Field) -> str:
            argument = field.argument or "1"
            listed = self._whole_list(field, scan)
            if listed:
                return listed
            conditions = self._conditions(field, argument)
            argument = "x" if "(x := " in conditions else argument
            loop = scan.loop(argument, conditions, *scan.clauses[1:])
            return f"[{' '.join([argument, loop, *scan.clauses[1:]])}{conditions}]"

        self._reduce(body, values)
        body.depth = 0

    def _whole_list(self, field: Field, scan: ColumnScan) -> str:
        """The list of a column that is all of a field's values; "" if none is."""
        if not scan.is_whole or field.guard or field.skip_null or field.nan:
            return ""
        if not field.argument:
            return next(iter(scan.lists.values()))
        return scan.list_of(field.argument)

    def _gone_through_twice(self, scan: ColumnScan) -> set[str]:
        """The lists of a scan that several fields go through."""
        once: set[str] = set()
        twice: set[str] = set()
        for field in self.fields:
            listed = self._whole_list(field, scan)
            if not listed:
                used = scan.variables(f"{field.argument} {field.guard}")
                lists = [scan.lists[name] for name in used]
            elif any(re.search(r"\bv\b", line.replace("len(v)", "")) for line in field.bulk or ()):
                lists = [listed]
            else:
                continue  # it is counted
            twice |= once & {*lists}
            once |= {*lists}
        return twice

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
            # The row of a query around this one looks the same.
            column = re.fullmatch(r"([ri]\d+)\[(\d+)\]", argument)
            if column is not None and source.startswith(f"for {column[1]} in "):
                getter = self.module.constants.name(itemgetter(int(column[2])), "column")
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
                body.add(with_argument(line, f"s[{place}]", "x"))
        body.depth = 0
