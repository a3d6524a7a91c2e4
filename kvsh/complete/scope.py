"""Where in a half-typed statement the cursor stands: clause, nesting, and the sources in scope.

One pass over the tokens with a stack of frames, one frame for each open parenthesis.  A frame knows its
clause (`WHERE`, `INSERT COLUMNS`, ...) and its block: the SELECT (or INSERT, UPDATE, DELETE) that
names are looked up in.  Blocks link to the block around them, so that a correlated subquery sees the outer
names.  The pass goes on past the cursor to the statement's end, since `SELECT | FROM t` must know `t`.

    SELECT a.name, (SELECT max(total) FROM invoice i WHERE i.id = |) FROM artist a
    frames:  [statement: SELECT] -> [query: WHERE]      block: {i} -> parent {a}

Nothing here fails on nonsense: unknown words are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kvsh.complete.blocks import Block, Cte, Item, Source
from kvsh.complete.tokens import OPERATOR, QUOTED, STRING, WORD, Token
from kvsh.complete.words import RESERVED, word_set

_NESTING_MAX = 100  # frames; deeper parentheses are looked at no further

_QUERY_STARTS = frozenset(("SELECT", "WITH", "VALUES"))
_JOIN_WORDS = word_set("LEFT RIGHT FULL INNER OUTER CROSS NATURAL")
_NOT_ALIASES = (
    RESERVED
    | _JOIN_WORDS
    | word_set("WINDOW LIMIT OFFSET INDEXED ON USING WHERE SET DESC ASC DO BEGIN WITH")
)
_PLAIN_CLAUSES = {
    "WHERE": "WHERE",
    "HAVING": "HAVING",
    "GROUP": "GROUP BY",
    "ORDER": "ORDER BY",
    "LIMIT": "LIMIT",
    "OFFSET": "LIMIT",
    "SET": "SET",
    "RETURNING": "RETURNING",
    "WINDOW": "WINDOW",
    "PARTITION": "PARTITION BY",
}
_COMPOUNDS = frozenset(("UNION", "EXCEPT", "INTERSECT"))


@dataclass(slots=True)
class Frame:
    """One level of parentheses."""

    opener: str  # statement, query, call, group, row, columns, using, window, join, cte columns
    clause: str
    block: Block
    base: Block  # the block whose target RETURNING and ON CONFLICT speak of
    call: str = ""
    arguments: int = 0  # commas seen
    cases: int = 0  # CASE ... END still open
    want_source: bool = False
    may_alias: bool = False
    cte: Cte | None = None
    relation: str = ""  # whose columns a column list is of
    definition: list[str] = field(default_factory=list)  # columns named in CREATE TABLE (...)
    listed: list[str] = field(default_factory=list)  # names already in a column list
    start: int = 0


@dataclass(slots=True)
class Situation:
    """The place of the cursor.  `previous` is the token before the word being typed."""

    frame: Frame
    before: list[Token]
    word: Token | None  # being typed: it ends at the cursor
    cursor: int

    @property
    def previous(self) -> Token | None:
        return self.before[-1] if self.before else None

    def back(self, steps: int) -> str:
        """Upper-case text of the token `steps` before the word being typed (1 is the nearest), or ""."""
        return self.before[-steps].upper if len(self.before) >= steps else ""

    @property
    def clause(self) -> str:
        return self.frame.clause

    @property
    def block(self) -> Block:
        return self.frame.block


def situate(tokens: list[Token], cursor: int) -> Situation:
    """The situation at `cursor` in the statement whose tokens (comments left out) these are."""
    position = 0
    while position < len(tokens) and tokens[position].end < cursor:
        position += 1
    word = None
    if position < len(tokens):
        token = tokens[position]
        touches = token.start < cursor <= token.end
        if touches and (
            token.kind == WORD or (token.kind in (QUOTED, STRING) and _is_inside(token, cursor))
        ):
            word = token
        elif token.end == cursor and token.start < cursor:
            position += 1
    walk = _Walk(tokens)
    frame = walk.run(position)
    if word is not None and word.end > cursor:
        word = Token(word.kind, word.text[: cursor - word.start], word.start, cursor)
    return Situation(frame, tokens[:position], word, cursor)


def _is_inside(token: Token, cursor: int) -> bool:
    return cursor < token.end or not token.closed


class _Walk:
    """The pass over the tokens; `run` returns a copy of the frame as it was at the cursor."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        block = Block()
        self.stack = [Frame("statement", "", block, block)]

    def run(self, cursor_position: int) -> Frame:
        at_cursor: Frame | None = None
        for position, token in enumerate(self.tokens):
            if position == cursor_position:
                at_cursor = self._snapshot()
            self._step(position, token)
        return at_cursor or self._snapshot()

    def _snapshot(self) -> Frame:
        top = self.stack[-1]
        return Frame(
            opener=top.opener,
            clause=top.clause,
            block=top.block,
            base=top.base,
            call=top.call,
            arguments=top.arguments,
            cases=top.cases,
            want_source=top.want_source,
            may_alias=top.may_alias,
            cte=top.cte,
            relation=top.relation,
            definition=list(self._definition()),
            listed=top.listed,  # shared, so that names after the cursor count too
            start=top.start,
        )

    def _definition(self) -> list[str]:
        for frame in reversed(self.stack):
            if frame.clause == "DEFINITION":
                return frame.definition
        return []

    # -- one token ---------------------------------------------------------------------------------

    def _step(self, position: int, token: Token) -> None:
        frame = self.stack[-1]
        if token.kind == OPERATOR:
            if token.text == "(":
                self._open(position, frame)
                return
            if token.text == ")":
                self._close()
                return
            self._punctuation(frame, token, position)
        elif token.kind == WORD and self._keyword(frame, token, position):
            return
        elif token.kind in (WORD, QUOTED, STRING):
            self._name(frame, token, position)
        if frame.clause == "SELECT" and not (token.text == "," and token.kind == OPERATOR):
            if not frame.block.items:
                frame.block.items.append(Item([]))
            frame.block.items[-1].tokens.append(token)

    def _punctuation(self, frame: Frame, token: Token, position: int) -> None:
        if token.text == ",":
            frame.arguments += 1
            if frame.clause in ("FROM", "JOIN", "ON", "USING"):
                frame.clause, frame.want_source, frame.may_alias = "FROM", True, False
            elif frame.clause == "SELECT":
                frame.block.items.append(Item([]))
            elif frame.clause == "WITH":
                frame.cte = None
            elif frame.opener == "definition":
                frame.clause, frame.relation = "DEFINITION", ""
        elif (
            token.text == "."
            and frame.may_alias
            and frame.block.sources
            and self._back(position, 1).lower() == frame.block.sources[-1].name.lower()
        ):
            # schema-qualified: the name that follows is the relation's
            frame.block.sources.pop()
            frame.want_source, frame.may_alias = True, False

    def _back(self, position: int, steps: int) -> str:
        return self.tokens[position - steps].upper if position >= steps else ""

    def _name(self, frame: Frame, token: Token, position: int) -> None:
        clause = frame.clause
        if frame.want_source:
            source = Source(token.name)
            if self._back(position, 1) == "." and position >= 2:
                source.database = self.tokens[position - 2].name
            frame.block.sources.append(source)
            frame.want_source, frame.may_alias = False, True
            if clause in ("INTO", "UPDATE"):
                frame.base = frame.block
        elif frame.may_alias and token.upper not in _NOT_ALIASES:
            if clause in ("FROM", "JOIN", "UPDATE", "INTO") and frame.block.sources:
                frame.block.sources[-1].alias = token.name
            frame.may_alias = False
        elif clause == "WITH" and frame.cte is None:
            frame.cte = Cte(token.name)
            frame.block.ctes[token.name.lower()] = frame.cte
        elif frame.opener == "cte columns" and frame.cte is not None:
            frame.cte.columns.append(token.name)
        elif frame.opener in ("columns", "using"):
            frame.listed.append(token.name.lower())
        elif clause == "DEFINITION" and self._back(position, 1) in ("(", ","):
            if token.upper not in RESERVED:
                frame.definition.append(token.name)
        elif (
            clause in ("INDEX ON", "TRIGGER ON", "REFERENCES", "ALTER TABLE") and not frame.relation
        ):
            frame.relation = token.name
            if clause != "REFERENCES":
                frame.block.sources.append(Source(token.name))

    def _keyword(self, frame: Frame, token: Token, position: int) -> bool:
        """Whether the word was a keyword here and has done its work."""
        upper = token.upper
        previous = self._back(position, 1)
        if (previous == "." and self.tokens[position - 1].end == token.start) or (
            position + 1 < len(self.tokens) and self.tokens[position + 1].text == "."
        ):
            return False  # part of a qualified name; `a. FROM` is one still to be completed
        if upper == "CASE":
            frame.cases += 1
            return False
        if upper == "END" and frame.cases:
            frame.cases -= 1
            return False
        if frame.opener in ("columns", "using", "cte columns", "window columns"):
            return False
        if upper in _PLAIN_CLAUSES and frame.clause not in ("DEFINITION", "REFERENCES", "PRAGMA"):
            return self._plain_clause(frame, upper)
        method = _KEYWORD_STEPS.get(upper)
        return method(self, frame, upper, position) if method is not None else False

    def _plain_clause(self, frame: Frame, upper: str) -> bool:
        if upper in ("SET", "RETURNING") and frame.base.statement == "INSERT":
            frame.block = frame.base  # DO UPDATE SET speaks of the target
        if upper == "LIMIT" or upper == "OFFSET" or frame.opener != "call":
            frame.clause = _PLAIN_CLAUSES[upper]
            frame.may_alias = frame.want_source = False
            return True
        if upper == "ORDER":  # group_concat(x ORDER BY y)
            frame.clause = "ORDER BY"
            return True
        return False

    # -- keywords, each with a step of its own -----------------------------------------------------

    def _select(self, frame: Frame, _upper: str, _position: int) -> bool:
        block = frame.block
        if block.statement and block.statement != "WITH":
            is_compound = frame.clause == "COMPOUND"
            frame.block = Block(
                parent=block.parent,
                ctes=dict(block.ctes),
                compound_of=(block.compound_of or block) if is_compound else None,
            )
        frame.block.statement = "SELECT"
        frame.clause = "SELECT"
        frame.want_source = frame.may_alias = False
        return True

    def _dml(self, frame: Frame, upper: str, position: int) -> bool:
        previous = self._back(position, 1)
        if previous in ("ON", "DO", "FOR", "AFTER", "BEFORE", "OF") or frame.clause in (
            "DEFINITION",
            "REFERENCES",
            "TRIGGER ON",
        ):
            return previous != "OF"
        if upper == "REPLACE" and position > 0 and previous not in ("", "EXPLAIN", "PLAN"):
            return previous == "OR"
        if frame.block.statement and frame.block.statement != "WITH":
            return False
        frame.block.statement = "INSERT" if upper == "REPLACE" else upper
        frame.base = frame.block
        frame.clause = upper
        frame.want_source = upper == "UPDATE"
        return True

    def _or(self, frame: Frame, _upper: str, _position: int) -> bool:
        if frame.clause in ("UPDATE", "INSERT"):
            frame.want_source = False
            return True
        return False

    def _resolution(self, frame: Frame, upper: str, position: int) -> bool:
        """`OR ROLLBACK | ABORT | FAIL | IGNORE` of INSERT and UPDATE."""
        if self._back(position, 1) == "OR":
            frame.want_source = frame.clause == "UPDATE"
            return True
        return False

    def _from(self, frame: Frame, _upper: str, position: int) -> bool:
        if self._back(position, 1) == "DISTINCT" and self._back(position, 2) in ("IS", "NOT"):
            return False
        frame.clause, frame.want_source, frame.may_alias = "FROM", True, False
        return True

    def _join(self, frame: Frame, _upper: str, _position: int) -> bool:
        frame.clause, frame.want_source, frame.may_alias = "JOIN", True, False
        return True

    def _join_word(self, frame: Frame, _upper: str, _position: int) -> bool:
        if frame.clause in ("FROM", "JOIN", "ON", "USING"):
            frame.clause, frame.may_alias = "FROM", False
            return True
        return False

    def _into(self, frame: Frame, _upper: str, _position: int) -> bool:
        frame.clause, frame.want_source = "INTO", True
        return True

    def _on(self, frame: Frame, _upper: str, position: int) -> bool:
        clause = frame.clause
        if clause in ("FROM", "JOIN"):
            following = self._upper_at(position + 1)
            frame.clause = "CONFLICT" if following == "CONFLICT" else "ON"
        elif frame.base.statement == "INSERT":
            frame.clause, frame.block = "CONFLICT", frame.base
        elif clause == "CREATE INDEX":
            frame.clause, frame.relation = "INDEX ON", ""
        elif clause == "CREATE TRIGGER":
            frame.clause, frame.relation = "TRIGGER ON", ""
        frame.may_alias = frame.want_source = False
        return True

    def _upper_at(self, position: int) -> str:
        return self.tokens[position].upper if position < len(self.tokens) else ""

    def _using(self, frame: Frame, _upper: str, _position: int) -> bool:
        frame.clause, frame.may_alias = "USING", False
        return True

    def _values(self, frame: Frame, _upper: str, position: int) -> bool:
        if self._back(position, 1) == "DEFAULT":
            return True
        frame.clause, frame.may_alias = "VALUES", False
        frame.block.statement = frame.block.statement or "VALUES"
        return True

    def _compound(self, frame: Frame, _upper: str, _position: int) -> bool:
        frame.clause, frame.may_alias, frame.want_source = "COMPOUND", False, False
        return True

    def _with(self, frame: Frame, _upper: str, position: int) -> bool:
        if (
            frame.clause in ("", "EXPLAIN", "INTO", "CREATE VIEW AS", "COMPOUND")
            or position == frame.start
        ):
            frame.clause, frame.cte = "WITH", None
            if not frame.block.statement:
                frame.block.statement = "WITH"
            return True
        return False

    def _as(self, frame: Frame, _upper: str, _position: int) -> bool:
        if frame.clause == "CREATE VIEW":
            frame.clause = "CREATE VIEW AS"
            return True
        if frame.clause == "CREATE TABLE":
            frame.clause = "CREATE VIEW AS"
            return True
        return frame.clause == "WITH" or frame.may_alias

    def _statement_word(self, frame: Frame, upper: str, position: int) -> bool:
        if frame.clause == "EXPLAIN" and upper == "ANALYZE":
            return True
        if position == frame.start or frame.clause == "EXPLAIN":
            frame.clause = upper
            return True
        return False

    def _object(self, frame: Frame, upper: str, _position: int) -> bool:
        """TABLE, INDEX, VIEW, TRIGGER after CREATE, DROP, ALTER."""
        verb = frame.clause.split(" ")[0]
        if verb in ("CREATE", "DROP", "ALTER"):
            frame.clause = f"{verb} {upper}"
            return True
        return False

    def _references(self, frame: Frame, _upper: str, _position: int) -> bool:
        if frame.clause in ("DEFINITION", "REFERENCES", "ALTER TABLE"):
            frame.clause, frame.relation = "REFERENCES", ""
            return True
        return False

    def _trigger_body(self, frame: Frame, _upper: str, position: int) -> bool:
        if position == frame.start:
            frame.clause = "BEGIN"
            return True
        if frame.clause in ("TRIGGER ON", "WHERE"):
            relation = frame.relation
            frame.clause = ""
            block = Block()
            if relation:
                block.ctes = dict(frame.block.ctes)
                outer = Block(sources=[Source(relation, "NEW"), Source(relation, "OLD")])
                block.parent = outer
            frame.block = frame.base = block
            return True
        return False

    # -- parentheses -------------------------------------------------------------------------------

    def _open(self, position: int, frame: Frame) -> None:
        if len(self.stack) > _NESTING_MAX:
            return
        self.stack.append(self._opened(position, frame))
        self.stack[-1].start = position + 1

    def _opened(self, position: int, frame: Frame) -> Frame:
        previous, following = self._back(position, 1), self._upper_at(position + 1)
        clause, block = frame.clause, frame.block
        before = self.tokens[position - 1] if position else None
        if clause == "WITH":
            if frame.cte is not None and previous not in ("AS", "MATERIALIZED"):
                return Frame("cte columns", "CTE COLUMNS", block, block, cte=frame.cte)
            body = Block(ctes=dict(block.ctes))
            if frame.cte is not None:
                frame.cte.block = body
            return Frame("query", "", body, body)
        if following in _QUERY_STARTS or (
            following == "" and clause in ("FROM", "JOIN") and frame.want_source
        ):
            is_derived = clause in ("FROM", "JOIN") and frame.want_source
            inner = Block(parent=None if is_derived else block, ctes=dict(block.ctes))
            if is_derived:
                block.sources.append(Source("", block=inner))
                frame.want_source, frame.may_alias = False, True
            return Frame("query", "", inner, inner)
        if clause in ("FROM", "JOIN"):
            if frame.want_source:
                frame.want_source, frame.may_alias = False, True
                return Frame("join", "FROM", block, frame.base, want_source=True)
            return Frame("call", "EXPRESSION", block, frame.base, call=previous)
        special = self._special_list(frame, previous)
        if special is not None:
            return special
        if before is not None and before.kind in (WORD, QUOTED) and previous not in _NOT_CALLS:
            return Frame("call", "EXPRESSION", block, frame.base, call=before.name)
        inherited = clause if clause not in ("SELECT", "SET", "") else "EXPRESSION"
        return Frame("group", inherited, block, frame.base, relation=frame.relation)

    def _special_list(self, frame: Frame, previous: str) -> Frame | None:
        clause, block = frame.clause, frame.block
        if clause == "INTO":
            target = block.sources[-1].name if block.sources else ""
            frame.may_alias = False
            return Frame("columns", "INSERT COLUMNS", block, frame.base, relation=target)
        if clause == "VALUES":
            return Frame("row", "VALUES", block, frame.base)
        if clause == "USING":
            return Frame("using", "USING COLUMNS", block, frame.base)
        if clause == "CONFLICT":
            target = block.sources[0].name if block.sources else ""
            return Frame("columns", "CONFLICT COLUMNS", block, frame.base, relation=target)
        if clause == "CREATE TABLE":
            return Frame("definition", "DEFINITION", block, frame.base)
        if clause == "INDEX ON":
            return Frame("columns", "INDEX COLUMNS", block, frame.base, relation=frame.relation)
        if clause == "REFERENCES" and previous == frame.relation.upper() and frame.relation:
            return Frame("columns", "PARENT COLUMNS", block, frame.base, relation=frame.relation)
        if clause in ("DEFINITION", "REFERENCES"):
            if previous in ("KEY", "UNIQUE"):
                return Frame("columns", "OWN COLUMNS", block, frame.base)
            return Frame("group", "OWN EXPRESSION", block, frame.base)
        if clause == "PRAGMA":
            return Frame("call", "PRAGMA ARGUMENT", block, frame.base, call=previous)
        if previous == "OVER" or (clause == "WINDOW" and previous == "AS"):
            return Frame("window", "WINDOW", block, frame.base)
        return None

    def _close(self) -> None:
        if len(self.stack) > 1:
            closed = self.stack.pop()
            if closed.clause == "REFERENCES" and self.stack[-1].clause == "DEFINITION":
                self.stack[-1].may_alias = False


_NOT_CALLS = word_set("""SELECT FROM WHERE AND OR NOT IN ON BY HAVING WHEN THEN ELSE CASE BETWEEN LIKE GLOB IS AS SET EXISTS
    DISTINCT ALL ANY UNION EXCEPT INTERSECT VALUES LIMIT OFFSET RETURNING USING JOIN ESCAPE REGEXP MATCH
    FILTER OVER""")

_KEYWORD_STEPS = {
    "SELECT": _Walk._select,
    "INSERT": _Walk._dml,
    "UPDATE": _Walk._dml,
    "DELETE": _Walk._dml,
    "REPLACE": _Walk._dml,
    "OR": _Walk._or,
    "ROLLBACK": lambda walk, frame, upper, position: (
        walk._resolution(frame, upper, position) or walk._statement_word(frame, upper, position)
    ),
    "ABORT": _Walk._resolution,
    "FAIL": _Walk._resolution,
    "IGNORE": _Walk._resolution,
    "FROM": _Walk._from,
    "JOIN": _Walk._join,
    **dict.fromkeys(_JOIN_WORDS, _Walk._join_word),
    "INTO": _Walk._into,
    "ON": _Walk._on,
    "USING": _Walk._using,
    "VALUES": _Walk._values,
    **dict.fromkeys(_COMPOUNDS, _Walk._compound),
    "WITH": _Walk._with,
    "AS": _Walk._as,
    **dict.fromkeys(
        (
            "CREATE",
            "DROP",
            "ALTER",
            "EXPLAIN",
            "PRAGMA",
            "REINDEX",
            "ANALYZE",
            "SAVEPOINT",
            "RELEASE",
            "COMMIT",
            "VACUUM",
        ),
        _Walk._statement_word,
    ),
    **dict.fromkeys(("TABLE", "INDEX", "VIEW", "TRIGGER"), _Walk._object),
    "REFERENCES": _Walk._references,
    "BEGIN": _Walk._trigger_body,
}
