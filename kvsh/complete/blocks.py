"""Query blocks: the sources, common table expressions and result columns that names refer to."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvsh.complete.catalog import ColumnInfo, Relation, SchemaNames
from kvsh.complete.tokens import QUOTED, STRING, WORD, Token
from kvsh.complete.words import RESERVED, TABLE_FUNCTIONS


@dataclass(slots=True)
class Source:
    """A relation in FROM (or the target of INSERT, UPDATE, DELETE)."""

    name: str
    alias: str | None = None
    block: Block | None = None  # of a derived table
    database: str | None = None

    @property
    def label(self) -> str:
        """The name by which its columns are qualified."""
        return self.alias or self.name


@dataclass(slots=True)
class Cte:
    name: str
    columns: list[str] = field(default_factory=list)
    block: Block | None = None


@dataclass(slots=True)
class Item:
    """One result column: its tokens at the SELECT's own depth (parentheses left out)."""

    tokens: list[Token]

    @property
    def star_of(self) -> str | None:
        """ "" for `*`, the qualifier for `t.*`, None for anything else."""
        texts = [token.text for token in self.tokens]
        if texts == ["*"]:
            return ""
        if len(texts) == 3 and texts[1:] == [".", "*"]:
            return self.tokens[0].name
        return None

    @property
    def name(self) -> str:
        """The alias, or the column's own name, or ""."""
        if not self.tokens:
            return ""
        last = self.tokens[-1]
        if last.kind in (QUOTED, STRING) or (last.kind == WORD and last.upper not in RESERVED):
            return last.name
        return ""

    @property
    def has_alias(self) -> bool:
        return len(self.tokens) > 1 and bool(self.name) and self.tokens[-2].text != "."


@dataclass(slots=True)
class Block:
    """One SELECT, INSERT, UPDATE or DELETE, with what its names may refer to."""

    parent: Block | None = None
    statement: str = ""
    sources: list[Source] = field(default_factory=list)
    ctes: dict[str, Cte] = field(default_factory=dict)  # by lower-case name
    items: list[Item] = field(default_factory=list)
    compound_of: Block | None = None  # the first SELECT of a UNION names its columns


def resolve(source: Source, block: Block, schema: SchemaNames, depth: int = 0) -> Relation | None:
    """The relation that a source stands for: a derived table, a CTE, a table function, a table."""
    if depth > 20:
        return None
    if source.block is not None:
        columns = outputs(source.block, schema, depth + 1)
        return Relation(source.label, columns, kind="derived")
    cte = block.ctes.get(source.name.lower())
    if cte is not None and source.database is None:
        return cte_relation(cte, schema, depth + 1)
    relation = schema.relation(source.name, source.database)
    if relation is None and source.name.lower() in TABLE_FUNCTIONS:
        names = TABLE_FUNCTIONS[source.name.lower()][1]
        return Relation(source.name, tuple(map(ColumnInfo, names)), kind="function")
    return relation


def cte_relation(cte: Cte, schema: SchemaNames, depth: int = 0) -> Relation:
    """A common table expression as a relation; its column list, else its query, names the columns."""
    columns: tuple[ColumnInfo, ...] = tuple(map(ColumnInfo, cte.columns))
    if not columns and cte.block is not None and depth <= 20:
        columns = outputs(cte.block, schema, depth + 1)
    return Relation(cte.name, columns, kind="cte")


def outputs(block: Block, schema: SchemaNames, depth: int = 0) -> tuple[ColumnInfo, ...]:
    """The result columns of a block, stars expanded, nameless ones left out."""
    columns: list[ColumnInfo] = []
    for item in block.items:
        star = item.star_of
        if star is None:
            if item.name:
                columns.append(ColumnInfo(item.name, _type_of(item, block, schema, depth)))
            continue
        for source in block.sources:
            if star and source.label.lower() != star.lower():
                continue
            relation = resolve(source, block, schema, depth + 1)
            columns.extend(relation.columns if relation else ())
    return tuple(columns)


def _type_of(item: Item, block: Block, schema: SchemaNames, depth: int) -> str:
    """The declared type of a plain column reference, else ""."""
    if len(item.tokens) != 1:
        return ""
    wanted = item.name.lower()
    for source in block.sources:
        relation = resolve(source, block, schema, depth + 1)
        for column in relation.columns if relation else ():
            if column.name.lower() == wanted:
                return column.type
    return ""
