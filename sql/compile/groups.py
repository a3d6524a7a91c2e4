"""GROUP BY as code: a dict of states by key.

A state is a list of fields (see `aggregates`), or, where it is a single sum or count, the number itself.
Past the memory limit rows of new groups go to disk, and are grouped by a function of their own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sql.compile.accesses import variables_in
from sql.compile.aggregates import NUMBER, AggregateCode, AggregateCompiler
from sql.compile.by_column import as_it_lies
from sql.compile.dense import dense_groups, in_dict_or_lists
from sql.compile.module import Lines
from sql.compile.scalar import is_simple
from sql.expressions import BLOB, TEXT
from sql.plan import Select
from sql.run import grouping
from sql.run.partitions import FIRST_ROOM, overfull

if TYPE_CHECKING:
    from sql.compile.join import Join


class _Parts(NamedTuple):
    """What the grouping of rows is made of: sources, and what is known of them."""

    key: str  # a row's key, under the collations
    width: int  # how many expressions it has
    is_plain: bool  # they stand for themselves: none is folded by a collation
    bare: int  # how many columns are passed on that are in no key and no aggregate
    initial: str  # the fields of a new state
    step: Lines  # what a row does to a state
    single: bool  # a state is one number, and no list


class GroupCompiler(AggregateCompiler):
    """Makes the function that groups one SELECT's rows."""

    def grouped(
        self, loops: Lines, depth: int, joined: Join, having: str = "", *, in_order: bool = True
    ) -> Lines:
        """The body of a function that gives the groups' tuples, for GROUP BY.

        `loops` are the loop headers; rows are taken in `depth` levels deep.  `having`: a condition on the tuples,
        of which none is made, or sorted, of a group that does not meet it.  `in_order`: whether they are sorted; where
        ORDER BY picks the first few of them by something else, it need not be by their keys."""
        codes = self.layout()
        parts = self._parts(codes)
        header, scan = joined.header, joined.scan
        if scan is not None and header == scan.header:
            # Of the keys their bounds are asked for, too.
            header = as_it_lies(self.compiler, scan, {scan.list_of(parts.key)}).header
        body = Lines()
        counts = self._counts(parts, joined)
        counter = self.module.function(Counter) if counts else ""
        body.add(f"groups = {counter or 'dict'}()")
        target = ""
        if header:
            target, batches = header[:-1].split(" in ", 1)
            body.add(f"room, source = {FIRST_ROOM}, iter({batches})")
            loops.lines[0] = f"{target} in source:"
        dense = None
        if parts.is_plain and header:
            dense = dense_groups(self, joined, parts.key, bare=parts.single)
        by_dict = self._by_dict(parts, loops, depth, joined, counts=counts)
        kept, result = self._results(parts, codes, having, in_order=in_order)
        if not header:
            body.extend(by_dict)
            body.add("check()")
            body.add(f"return {kept}")
            return body
        by_dict.add("    if len(groups) > room:")
        if dense is not None:
            by_dict.add(f"        lists = {dense.lists} if listed else None")
            by_dict.add("        if lists: break")
        by_dict.add(f"        room, spill = {self._call(overfull, 'groups', 'ctx')}")
        by_dict.add("        if spill: break")
        by_dict.add(f"else: return {kept}")
        if dense is None:
            body.extend(by_dict)
        else:
            of_lists = self._of_lists(codes, having)
            function = self.module.function
            first = loops.lines[0]
            body.extend(in_dict_or_lists(dense, first, by_dict, of_lists, counter, function))
        # Not a Counter any more, which has no unknown keys.
        groups = "dict(groups)" if counts else "groups"
        rest = f"{target} in source {joined.clauses}"
        self._add_spilling(body, parts, loops, rest, groups, result, having)
        return body

    def one_by_one(self, loops: Lines, depth: int, joined: Join, having: str) -> Lines:
        """The body of a generator of batches of the groups' tuples, of rows that come group by group.

        With each batch of rows all groups but the latest are complete: the dict has them in the order in which they came."""
        codes = self.layout()
        parts = self._parts(codes)
        counts = self._counts(parts, joined)
        kept, _ = self._results(parts, codes, having, in_order=False)
        body = Lines()
        body.add(f"groups = {self.module.function(Counter) if counts else 'dict'}()")
        body.extend(self._by_dict(parts, loops, depth, joined, counts=counts))
        if joined.header:
            body.add("    if len(groups) > 1:")
            body.add("        latest, state = groups.popitem()")
            body.add(f"        yield {kept}")
            body.add("        groups.clear()")
            body.add("        groups[latest] = state")
        body.add(f"yield {kept}")
        return body

    def _counts(self, parts: _Parts, joined: Join) -> bool:
        """Whether groups are counted, and nothing else, by a Counter."""
        return parts.single and self.fields[0].update == "S += 1" and bool(joined.header)

    def _parts(self, codes: list[AggregateCode]) -> _Parts:
        """The sources that the grouping of rows is made of."""
        block = self.block
        assert block.keys is not None
        originals = [self.scalar.value(key.expression) for key in block.keys]
        folded = []
        for key, source in zip(block.keys, originals, strict=True):
            fold = self.scalar.folding(key.collation)
            if fold is None or not self.scalar.kinds(key.expression) & TEXT:
                folded.append(source)
            else:
                folded.append(f"{self.module.function(fold)}({source})")
        is_plain = folded == originals
        bare = [self.scalar.value(item) for item in block.bare]
        extra = bare if is_plain else [*originals, *bare]
        single = is_plain and not bare and self._is_number()
        step = Lines()
        if not single:
            at = len(self.fields) + (0 if is_plain else len(originals))
            of_bare, done = self.bare_updates(codes, at, bare)
            step.extend(of_bare)
            step.extend(self.updates(done=done))
        return _Parts(
            key=folded[0] if len(folded) == 1 else f"({', '.join(folded)})",
            width=len(folded),
            is_plain=is_plain,
            bare=len(bare),
            initial=", ".join([*[field.start for field in self.fields], *extra]),
            step=step,
            single=single,
        )

    def _by_dict(
        self, parts: _Parts, loops: Lines, depth: int, joined: Join, *, counts: bool
    ) -> Lines:
        """The loops that take rows into the dict; `counts`: it is a Counter, which takes a batch's keys."""
        by_dict = Lines()
        if counts:
            scan = joined.scan
            keys_listed = self.compiler.unpacked(f"[{parts.key} {joined.clauses}]")
            if scan is not None and scan.is_whole:
                keys_listed = scan.list_of(parts.key) or keys_listed
            by_dict.add(loops.lines[0])
            by_dict.add(f"    groups.update({keys_listed})")
            return by_dict
        taken = Lines()
        taken.extend(loops)
        taken.depth = depth
        if parts.single:
            by_dict.add("known = groups.get")
        self._take_in(taken, parts, "")
        by_dict.lines += self.compiler.unpacked("\n".join(taken.lines)).split("\n")
        return by_dict

    def _results(
        self, parts: _Parts, codes: list[AggregateCode], having: str, *, in_order: bool
    ) -> tuple[str, str]:
        """The list of the groups' tuples that meet `having`, and that of all of them."""
        values = self.values(codes, "s" if parts.single else "s[{}]")
        first = len(self.fields)
        if parts.is_plain:
            keys = ["g"] if parts.width == 1 else [f"g[{place}]" for place in range(parts.width)]
        else:
            keys = [f"s[{first + place}]" for place in range(parts.width)]
            first += parts.width
        passed = [f"s[{first + place}]" for place in range(parts.bare)]
        items = [*keys, *values, *passed]
        row = f"({''.join(f'{item}, ' for item in items)})"
        rows = "list(groups.items())"
        if row != "(g, s, )":
            rows = f"[{row} for g, s in groups.items()]"
        alone = str(parts.is_plain and parts.width == 1)
        result = kept = rows
        if in_order:
            result = kept = self._call(grouping.in_key_order, "groups", rows, alone)
        if having:
            kept = self._having(having, "g, s", "groups.items()", items)
            if in_order:
                kept = self._call(grouping.in_order_of_columns, kept, str(len(keys)))
        return kept, result

    def _add_spilling(
        self,
        body: Lines,
        parts: _Parts,
        loops: Lines,
        rest: str,
        groups: str,
        result: str,
        having: str,
    ) -> None:
        """What is done past the memory limit: the rest of the rows, then what went to disk, by a function.

        `rest` are the clauses that give the rows which are left; `groups` and `result` the groups so far, and their tuples."""
        used = [parts.key, parts.initial, *parts.step.lines, *self._added()]
        variables = self._loop_variables(loops, used)
        body.add("def take_in(rows, groups, missing):")
        body.depth = 1
        body.add(f"for {variables or '_'} in rows:")
        body.depth = 2
        self._take_in(body, parts, f"missing(g, ({variables}))")
        body.depth = 0
        body.add(f"def finish(groups): return {result}")
        simple = str(self._simple_keys())
        arguments = [groups, "spill", f"(({variables}) {rest})", "take_in", "finish", simple, "ctx"]
        spilled = self._call(grouping.spilled_groups, *arguments)
        if having:
            group = f"g{self.block.aggregate_source}"
            body.add(f"found = {spilled}")  # what it is made of may hold `:=`
            spilled = f"({group} for {group} in found if {having})"
        body.add(f"return {spilled}")

    def _of_lists(self, codes: list[AggregateCode], having: str) -> str:
        """The groups' rows, where groups are in lists."""
        items = ["g", *self.values(codes, "n{}")]
        names = ", ".join(["g", *[f"n{place}" for place in range(len(self.fields))]])
        if items == names.split(", ") and not having:
            return "list(lists.groups())"
        if having:
            return self._having(having, names, "lists.groups()", items)
        return f"[({''.join(f'{item}, ' for item in items)}) for {names} in lists.groups()]"

    def _having(self, having: str, names: str, groups: str, items: Sequence[str]) -> str:
        """The list of the groups' tuples of those that meet the condition, which speaks of their items."""
        slots = _slots(self.block)
        bound = list(items)
        loops = ""
        for slot in sorted({*map(int, slots.findall(having))}):
            if not is_simple(items[slot]) and ":=" not in items[slot]:
                bound[slot] = f"y{slot}"  # such a loop is an assignment
                loops += f" for y{slot} in ({items[slot]},)"
        condition = slots.sub(lambda slot: f"({bound[int(slot[1])]})", having)
        row = f"({''.join(f'{item}, ' for item in bound)})"
        return f"[{row} for {names} in {groups}{loops} if {condition}]"

    def takes_having(self, having: str) -> bool:
        """Whether a condition on the groups' tuples can be put on what they are made of."""
        if not having or not self.block.keys:
            return False
        group = f"g{self.block.aggregate_source}"
        slots = _slots(self.block).findall(having)
        return len(slots) == len(re.findall(rf"\b{group}\b", having)) and self._is_plain()

    def _is_plain(self) -> bool:
        """Whether keys stand for themselves: none is folded by a collation."""
        assert self.block.keys is not None
        return all(
            self.scalar.folding(key.collation) is None
            or not self.scalar.kinds(key.expression) & TEXT
            for key in self.block.keys
        )

    def _take_in(self, body: Lines, parts: _Parts, missing: str) -> None:
        """Statements that take one row into its group.

        `missing`: a call for rows of unknown groups, where the function of that name is not None."""
        key = parts.key
        if missing or not is_simple(key):
            body.add(f"g = {key}")
            key = "g"
        if parts.single:
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
            known, fresh = f"s = groups[{key}]", f"s = groups[{key}] = [{parts.initial}]"
        body.add(f"try: {known}")
        if missing:
            body.add("except KeyError:")
            body.add("    if missing is not None:")
            body.add(f"        {missing}")
            body.add("        continue")
            body.add(f"    {fresh}")
        else:
            body.add(f"except KeyError: {fresh}")
        if not parts.single:
            body.extend(parts.step)

    def _added(self) -> list[str]:
        """What a row adds to a state that is one number."""
        field = self.fields[0] if self.fields else None
        if field is None or not self._is_number():
            return []
        return ["1" if field.update == "S += 1" else field.argument]

    def _loop_variables(self, loops: Lines, used: list[str]) -> str:
        """The variables that the loops bind and the sources use, as a tuple's elements."""
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


def _slots(block: Select) -> re.Pattern[str]:
    return re.compile(rf"\bg{block.aggregate_source}\[(\d+)\]")
