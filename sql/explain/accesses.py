"""How a relation's rows are reached, in words: `Search t by index i_ab (a = 5 and b > ?1)`.

Two dialects of the same facts: ours for the tree, with the ranges' values; SQLite's for
EXPLAIN QUERY PLAN (https://www.sqlite.org/eqp.html), whose readers know `SEARCH t USING INDEX i (a=?)`.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from sql.explain.expressions import ExpressionWriter
from sql.expressions import ROWID, ColumnRef, InList, InSubquery, Literal
from sql.plan import (
    DerivedRelation,
    Relation,
    RowRelation,
    TableRelation,
    WorkRelation,
)
from sql.plan.operators import (
    PRESENT,
    ROWID_PART,
    Access,
    Bound,
    Equality,
    HashLookup,
    KeyPart,
    KeyRange,
    RowidLookup,
    RowidRange,
    RowidUnion,
    RowsScan,
    TableScan,
)
from sql.schema import Table


def shown_name(relation: Relation) -> str:
    """`t`, or `t as x` where an alias hides it."""
    match relation:
        case TableRelation():
            name = relation.table.name
            if relation.alias.lower() == name.lower():
                return name
            return f"{name} as {relation.alias}"
        case RowRelation():
            name = relation.provider.table.name
            if relation.alias and relation.alias.lower() != name.lower():
                return f"{name} as {relation.alias}"
            return str(name)
        case DerivedRelation() | WorkRelation():
            return relation.alias or "subquery"
        case _:
            assert_never(relation)


def parts_of(union: RowidUnion) -> list[Access]:
    """The accesses of a union, none of them covering: they give rowids only."""
    return [
        replace(part, covering=False) if isinstance(part, KeyRange) else part
        for part in union.parts
    ]


def rowid_name(table: Table) -> str:
    return "rowid" if table.rowid_alias is None else table.columns[table.rowid_alias].name


class AccessWriter:
    """Writes accesses, the values of their ranges by `writer`."""

    def __init__(self, writer: ExpressionWriter) -> None:
        self.writer = writer

    # -- our words -------------------------------------------------------------------------------

    def title(self, relation: Relation, access: Access) -> str:
        """One line for an access."""
        name = shown_name(relation)
        match access:
            case TableScan():
                return f"Scan {name}{_backwards(access.reverse)}"
            case RowidLookup() | RowidRange():
                assert isinstance(relation, TableRelation)
                conditions = self._rowid(relation.table, access)
                if not conditions:
                    return f"Scan {name}{_backwards(access.reverse)}"
                kind = "rowid" if relation.table.rowid_alias is None else "primary key"
                return f"Search {name} by {kind} ({conditions}){_backwards(access.reverse)}"
            case KeyRange():
                assert isinstance(relation, TableRelation)
                kind = self._path(access)
                conditions = self._range(relation.table, access)
                verb = f"Search {name} by {kind} ({conditions})"
                if not conditions:
                    verb = f"Scan {name} by {kind}"
                    if access.path.clustered:
                        verb = f"Scan {name}"
                return verb + _backwards(access.reverse)
            case RowidUnion():
                return f"Search {name} by any of {len(access.parts)} ranges"
            case HashLookup():
                if not access.keys:
                    return f"Loop over {name}, kept"
                pairs = [
                    f"{self.writer.text(key, 6)} = {self.writer.text(probe, 6)}"
                    for key, probe in zip(access.keys, access.probes, strict=True)
                ]
                return f"Hash lookup of {name} ({' and '.join(pairs)})"
            case RowsScan():
                return self._rows(relation, name)
            case _:
                assert_never(access)

    def _rows(self, relation: Relation, name: str) -> str:
        if isinstance(relation, DerivedRelation):
            return f"Subquery {relation.alias}" if relation.alias else "Subquery"
        if isinstance(relation, WorkRelation):
            return f"Latest rows of {name}"
        if isinstance(relation, RowRelation) and relation.arguments:
            return f"Scan {name} ({self.writer.listed(relation.arguments)})"
        return f"Scan {name}"

    def _path(self, access: KeyRange) -> str:
        if access.path.clustered:
            return "primary key"
        return f"{'covering ' if access.covering else ''}index {access.path.name}"

    def _part(self, table: Table, part: KeyPart) -> str:
        if part.column is not None:
            return rowid_name(table) if part.column == ROWID else table.columns[part.column].name
        if part.expression is None:
            return "expression"
        return self._unqualified(part)

    def _unqualified(self, part: KeyPart) -> str:
        assert part.expression is not None
        qualified, self.writer.qualified = self.writer.qualified, False
        text = self.writer.text(part.expression)
        self.writer.qualified = qualified
        return text

    def _rowid(self, table: Table, access: RowidLookup | RowidRange) -> str:
        name = rowid_name(table)
        if isinstance(access, RowidLookup):
            return self._equality(name, access.equality)
        return " and ".join(self._bounds(name, access.low, access.high))

    def _range(self, table: Table, access: KeyRange) -> str:
        parts = access.path.parts
        conditions = [
            self._equality(self._part(table, part), equality)
            for part, equality in zip(parts, access.equal, strict=False)
        ]
        if access.low is not None or access.high is not None or access.prefix is not None:
            name = self._part(table, access.path.part(len(access.equal)))
            conditions += self._bounds(name, access.low, access.high)
            if access.prefix is not None:
                conditions.append(f"{name} starts with {self.writer.text(access.prefix)}")
        return " and ".join(conditions)

    def _equality(self, name: str, equality: Equality) -> str:
        value = equality.value
        if isinstance(value, InList):
            shown = value.items if len(value.items) <= 8 else value.items[:6]
            more = "" if len(shown) == len(value.items) else f", ... {len(value.items)} values"
            return f"{name} in ({self.writer.listed(shown)}{more})"
        if isinstance(value, InSubquery):
            return f"{name} in {self.writer.subquery(value)}"
        if equality.null_safe and value == Literal(None):
            return f"{name} is null"
        return f"{name} {'is' if equality.null_safe else '='} {self.writer.text(value, 6)}"

    def _bounds(self, name: str, low: Bound | None, high: Bound | None) -> list[str]:
        conditions = []
        if low is PRESENT:
            conditions.append(f"{name} is not null")
        elif low is not None:
            sign = ">=" if low.inclusive else ">"
            conditions.append(f"{name} {sign} {self.writer.text(low.expression, 6)}")
        if high is not None:
            sign = "<=" if high.inclusive else "<"
            conditions.append(f"{name} {sign} {self.writer.text(high.expression, 6)}")
        return conditions

    # -- SQLite's words --------------------------------------------------------------------------

    def detail(self, relation: Relation, access: Access) -> str:
        """The line of EXPLAIN QUERY PLAN."""
        name = _query_plan_name(relation)
        match access:
            case TableScan():
                return f"SCAN {name}"
            case RowidLookup():
                return f"SEARCH {name} USING INTEGER PRIMARY KEY (rowid=?)"
            case RowidRange():
                conditions = _marks("rowid", access.low, access.high)
                if not conditions:
                    return f"SCAN {name}"
                return f"SEARCH {name} USING INTEGER PRIMARY KEY ({' AND '.join(conditions)})"
            case KeyRange():
                assert isinstance(relation, TableRelation)
                return self._key_detail(name, relation.table, access)
            case RowidUnion():
                return "MULTI-INDEX OR"
            case HashLookup():
                if not access.keys:
                    return f"SCAN {name}"
                keys = " AND ".join(f"{_bare_name(key)}=?" for key in access.keys)
                return f"SEARCH {name} USING AUTOMATIC COVERING INDEX ({keys})"
            case RowsScan():
                if isinstance(relation, RowRelation):
                    return f"SCAN {name} VIRTUAL TABLE INDEX 0:"
                return f"SCAN {name}"
            case _:
                assert_never(access)

    def _key_detail(self, name: str, table: Table, access: KeyRange) -> str:
        parts = access.path.parts
        names = [
            "<expr>" if part.column is None else self._part(table, part)
            for part in [*parts, ROWID_PART]
        ]  # fmt: skip
        conditions = [f"{part}=?" for part, _ in zip(names, access.equal, strict=False)]
        if access.low is not None or access.high is not None or access.prefix is not None:
            following = names[len(access.equal)]
            conditions += _marks(following, access.low, access.high)
            if access.prefix is not None:
                conditions += [f"{following}>?", f"{following}<?"]
        if access.path.clustered:
            if not conditions:
                return f"SCAN {name}"
            return f"SEARCH {name} USING PRIMARY KEY ({' AND '.join(conditions)})"
        index = f"USING {'COVERING ' if access.covering else ''}INDEX {access.path.name}"
        if not conditions:
            return f"SCAN {name} {index}"
        return f"SEARCH {name} {index} ({' AND '.join(conditions)})"


def _query_plan_name(relation: Relation) -> str:
    match relation:
        case TableRelation():
            return relation.alias or relation.table.name
        case RowRelation():
            return relation.alias or str(relation.provider.table.name)
        case _:
            return relation.alias or "(subquery)"


def _bare_name(key: object) -> str:
    return key.name if isinstance(key, ColumnRef) else "<expr>"


def _backwards(reverse: bool) -> str:
    return " backwards" if reverse else ""


def _marks(name: str, low: Bound | None, high: Bound | None) -> list[str]:
    """SQLite shows neither values nor whether a bound is inclusive."""
    marks = []
    if low is not None:
        marks.append(f"{name}>?")
    if high is not None:
        marks.append(f"{name}<?")
    return marks
