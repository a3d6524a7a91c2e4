"""INSERT, REPLACE, UPDATE and DELETE, with upserts and RETURNING.

Source: parse.y of SQLite 3.40 (built with SQLITE_ENABLE_UPDATE_DELETE_LIMIT, as distributions do).
"""

from __future__ import annotations

from typing import Any

import sqlglot.expressions as exp

from sql.parse.queries import QueryParser
from sql.parse.statements import (
    Assignment,
    Delete,
    IndexedColumn,
    Insert,
    ObjectName,
    Statement,
    Update,
    Upsert,
)

CONFLICTS = frozenset(("ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"))


class ChangeParser(QueryParser):
    """Productions of `cmd` that write rows.  Each gets the token at which its text begins."""

    __slots__ = ()

    def change(self, with_: exp.With | None, start: int, *, in_trigger: bool = False) -> Statement:
        kind = self.kinds[self.index]
        self.index += 1
        if kind == "INSERT" or kind == "REPLACE":
            conflict = "REPLACE" if kind == "REPLACE" else self._or_conflict()
            return self._insert(with_, start, conflict, in_trigger)
        if kind == "UPDATE":
            return self._update(with_, start, in_trigger)
        return self._delete(with_, start, in_trigger)

    def _or_conflict(self) -> str | None:
        if not self.accept("OR"):
            return None
        conflict = self.accept_one_of(CONFLICTS)
        if conflict is None:
            self.unexpected()
        return conflict

    def _insert(
        self, with_: exp.With | None, start: int, conflict: str | None, in_trigger: bool
    ) -> Insert:
        self.expect("INTO")
        table, alias = self._target(in_trigger)
        columns = self.names_in_parentheses() if self.kinds[self.index] == "(" else ()
        source: exp.Expression | None = None
        upserts: tuple[Upsert, ...] = ()
        returning: tuple[exp.Expression, ...]
        if self.accept("DEFAULT"):
            self.expect("VALUES")
            returning = self._returning(in_trigger)
        else:
            if not self.starts_query(self.index):
                self.unexpected()
            source = self.query()
            upserts = self._upserts()
            returning = self._returning(in_trigger)
        return Insert(
            text=self.slice_from(start),
            table=table,
            alias=alias,
            columns=columns,
            source=source,
            or_conflict=conflict,
            upserts=upserts,
            returning=returning,
            with_=with_,
        )

    def _target(self, in_trigger: bool) -> tuple[ObjectName, str | None]:
        """The table to write, with its alias."""
        place = self.index
        table = self.object_name()
        if in_trigger and table.schema is not None:
            self.fail(
                "qualified table names are not allowed on INSERT, UPDATE, and DELETE statements "
                "within triggers",
                place,
            )
        alias = self.name() if not in_trigger and self.accept("AS") else None
        return table, alias

    def _upserts(self) -> tuple[Upsert, ...]:
        found: list[Upsert] = []
        while self.accept("ON"):
            self.expect("CONFLICT")
            if found and not found[-1].target:
                self.index -= 2
                self.unexpected()
            found.append(self._upsert())
        return tuple(found)

    def _upsert(self) -> Upsert:
        target: tuple[IndexedColumn, ...] = ()
        target_where: exp.Expression | None = None
        if self.accept("("):
            target = self.indexed_columns()
            self.expect(")")
            if self.accept("WHERE"):
                target_where = self.expression()
        self.expect("DO")
        if self.accept("NOTHING"):
            return Upsert(target, target_where)
        self.expect("UPDATE")
        self.expect("SET")
        assignments = self._assignments()
        where = self.expression() if self.accept("WHERE") else None
        return Upsert(target, target_where, assignments, where)

    def indexed_columns(self) -> tuple[IndexedColumn, ...]:
        found = [self._indexed_column()]
        while self.accept(","):
            found.append(self._indexed_column())
        return tuple(found)

    def _indexed_column(self) -> IndexedColumn:
        place = self.index
        expression = self.expression()
        end = self.ends[self.index - 1]
        collation = None
        inner = expression
        while isinstance(inner, exp.Collate):
            collation = collation or inner.expression.name
            inner = inner.this
        column = None
        if isinstance(inner, exp.Column) and inner.args.get("table") is None:
            column = inner.name
        elif isinstance(inner, exp.Literal) and inner.is_string:
            column = inner.this  # a name in string quotes
        text = self.text[self.starts[place] : end]
        descending = False
        if not self.accept("ASC"):
            descending = self.accept("DESC")
        if self.kinds[self.index] == "NULLS":
            which = self.kinds[self.index + 1]
            self.fail(f"unsupported use of NULLS {'LAST' if which == 'LAST' else 'FIRST'}")
        return IndexedColumn(
            inner if collation is not None else expression,
            column,
            text,
            collation,
            descending,
            self.starts[place],
            end,
        )

    def _returning(self, in_trigger: bool) -> tuple[exp.Expression, ...]:
        if self.kinds[self.index] != "RETURNING":
            return ()
        if in_trigger:
            self.fail("cannot use RETURNING in a trigger")
        self.index += 1
        return tuple(self.result_columns())

    def _assignments(self) -> tuple[Assignment, ...]:
        found = [self._assignment()]
        while self.accept(","):
            found.append(self._assignment())
        return tuple(found)

    def _assignment(self) -> Assignment:
        place = self.index
        if self.kinds[place] == "(":
            columns = self.names_in_parentheses()
            self.expect("=")
            value = self.expression()
            self._check_width(columns, value)
        else:
            columns = (self.name(),)
            self.expect("=")
            value = self.expression()
        return Assignment(columns, value, self.starts[place])

    def _check_width(self, columns: tuple[str, ...], value: exp.Expression) -> None:
        if isinstance(value, exp.Subquery):
            return
        count = len(value.expressions) if isinstance(value, exp.Tuple) else 1
        if count != len(columns):
            self.fail(f"{len(columns)} columns assigned {count} values", self.index - 1)

    def _update(self, with_: exp.With | None, start: int, in_trigger: bool) -> Update:
        conflict = self._or_conflict()
        table, alias = self._target(in_trigger)
        hint = self._hint(in_trigger)
        self.expect("SET")
        assignments = self._assignments()
        from_: exp.From | None = None
        joins: list[exp.Join] = []
        if self.accept("FROM"):
            from_, joins = self.from_clause()
        rest = self._where_and_what_follows("UPDATE", in_trigger)
        return Update(
            text=self.slice_from(start),
            table=table,
            alias=alias,
            indexed_by=hint,
            or_conflict=conflict,
            assignments=assignments,
            from_=from_,
            joins=tuple(joins),
            with_=with_,
            **rest,
        )

    def _delete(self, with_: exp.With | None, start: int, in_trigger: bool) -> Delete:
        self.expect("FROM")
        table, alias = self._target(in_trigger)
        hint = self._hint(in_trigger)
        rest = self._where_and_what_follows("DELETE", in_trigger)
        return Delete(
            text=self.slice_from(start),
            table=table,
            alias=alias,
            indexed_by=hint,
            with_=with_,
            **rest,
        )

    def _hint(self, in_trigger: bool) -> str | bool | None:
        if in_trigger and self.kinds[self.index] in ("INDEXED", "NOT"):
            clause = "NOT INDEXED" if self.kinds[self.index] == "NOT" else "INDEXED BY"
            self.fail(
                f"the {clause} clause is not allowed on UPDATE or DELETE statements within triggers"
            )
        return self.index_hint()

    def _where_and_what_follows(self, verb: str, in_trigger: bool) -> dict[str, Any]:
        """WHERE, RETURNING, ORDER BY, LIMIT and OFFSET of an UPDATE or DELETE, as far as they are there."""
        rest: dict[str, Any] = {}
        if self.accept("WHERE"):
            rest["where"] = self.expression()
        rest["returning"] = self._returning(in_trigger)
        if not in_trigger:
            rest |= self.order_and_limit()
            if "order" in rest and "limit" not in rest and self.kinds[self.index] in ("", ";"):
                self.fail(f"ORDER BY without LIMIT on {verb}", self.index - 1)
        return rest
