"""GROUP BY as code: a dict of states by key.

A state is a list of fields (see `aggregates`), or, where it is a single sum or count, the number itself.
Past the memory limit rows of new groups go to disk, and are grouped by a function of their own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sql.compile.accesses import variables_in
from sql.compile.aggregates import NUMBER, AggregateCode, AggregateCompiler
from sql.compile.dense import dense_groups, in_dict_or_lists
from sql.compile.module import Lines
from sql.compile.scalar import is_simple
from sql.expressions import BLOB, TEXT
from sql.plan import Select
from sql.run import grouping
from sql.run.partitions import FIRST_ROOM, overfull

if TYPE_CHECKING:
    from sql.compile.blocks import Join


class GroupCompiler(AggregateCompiler):
    """Makes the function that groups one SELECT's rows."""

    def grouped(
        self, loops: Lines, depth: int, joined: Join, having: str = "", *, in_order: bool = True
    ) -> Lines:
        """The body of a function that gives the groups' tuples, for GROUP BY.

        `loops` are the loop headers; rows are taken in `depth` levels deep.  `having`: a condition on the tuples,
        of which none is made, or sorted, of a group that does not meet it.  `in_order`: whether they are sorted; where
        ORDER BY picks the first few of them by something else, it need not be by their keys."""
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
            step.extend(self.bare_updates(codes, at, bare))
            step.extend(self.updates())
        body = Lines()
        counts = single and self.fields[0].update == "S += 1" and bool(header)
        counter = self.module.function(Counter) if counts else ""
        body.add(f"groups = {counter or 'dict'}()")
        if header:
            target, batches = header[:-1].split(" in ", 1)
            body.add(f"room, source = {FIRST_ROOM}, iter({batches})")
            loops.lines[0] = f"{target} in source:"
        dense = dense_groups(self, joined, key_source, bare=single) if plain and header else None
        by_dict = Lines()
        if counts:
            keys_listed = self.compiler.unpacked(f"[{key_source} {clauses}]")
            if scan is not None and scan.is_whole:
                keys_listed = scan.list_of(key_source) or keys_listed
            by_dict.add(loops.lines[0])
            by_dict.add(f"    groups.update({keys_listed})")
        else:
            taken = Lines()
            taken.extend(loops)
            taken.depth = depth
            if single:
                by_dict.add("known = groups.get")
            self._take_in(taken, key_source, initial, step, single, "")
            by_dict.lines += self.compiler.unpacked("\n".join(taken.lines)).split("\n")
        values = self.values(codes, "s" if single else "s[{}]")
        first = len(self.fields)
        if plain:
            keys = ["g"] if len(folded) == 1 else [f"g[{place}]" for place in range(len(folded))]
        else:
            keys = [f"s[{first + place}]" for place in range(len(originals))]
            first += len(originals)
        passed = [f"s[{first + place}]" for place in range(len(bare))]
        items = [*keys, *values, *passed]
        row = f"({''.join(f'{item}, ' for item in items)})"
        rows = "list(groups.items())"
        if row != "(g, s, )":
            rows = f"[{row} for g, s in groups.items()]"
        alone = plain and len(folded) == 1
        simple = str(self._simple_keys())
        result = kept = rows
        if in_order:
            result = kept = self._call(grouping.in_key_order, "groups", rows, str(alone), simple)
        if having:
            kept = self._having(having, "g, s", "groups.items()", items)
            if in_order:
                kept = self._call(grouping.in_order_of_columns, kept, str(len(keys)), simple)
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
            header = loops.lines[0]
            body.extend(in_dict_or_lists(dense, header, by_dict, of_lists, counter, function))
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
        spilled = self._call(grouping.spilled_groups, *arguments)
        if having:
            group = f"g{self.block.aggregate_source}"
            body.add(f"found = {spilled}")  # what it is made of may hold `:=`
            spilled = f"({group} for {group} in found if {having})"
        body.add(f"return {spilled}")
        return body

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
