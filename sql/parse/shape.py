"""Statement shapes: the text of a statement with its liftable literals replaced by parameters.

Statements of one shape differ in nothing but values, so they share a plan; the session's plan cache is
keyed by it, and a repeated statement never reaches the parser.  A shape is itself SQL: each lifted
literal becomes `?`, followed by a comment that tells its type where that is not INTEGER, so equal shapes mean
equal types:

    INSERT INTO t VALUES (1, 'x', 2.5)   ->   INSERT INTO t VALUES (?, ?/*t*/, ?/*r*/)   (1, 'x', 2.5)

One regular expression splits the text at its literals; what remains is the *skeleton*.  Which of a
skeleton's literals may be lifted is worked out once, token by token, and remembered, so that the
common case costs a split, a dictionary look-up and the conversion of the values.

A literal is lifted only where it can be nothing but a value, and where the plan does not depend on it:
in the VALUES of an INSERT, as an operand of what SET assigns, of a comparison in a WHERE, as LIMIT and OFFSET.  Never in
DDL, result columns (their text is their name), GROUP BY, ORDER BY (numbers are positions), types, names
in string quotes, function arguments and JSON paths (an indexed expression must be recognised), nor in
statements that have parameters of their own.  A subquery's WHERE is one as the query's is, unless the subquery
stands among result columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sql.parse.split import WORD

SqlLiteral = int | float | str

_LITERAL = re.compile(
    rf"('[^']*+(?:''[^']*+)*+'|(?<!{WORD})(?<!\.)(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!{WORD}|\.))",
    re.ASCII,
)
_OPAQUE = re.compile(r"""[?:@$#]|--|/\*""")
# A quoted name that holds a literal, or a part of one, is no token: its quote is one, which nothing gets past.
_TOKEN = re.compile(
    rf"\x00|\"[^\"\x00]*\"|`[^`\x00]*`|\[[^\]\x00]*\]|{WORD}+|<=|>=|<>|<<|>>|==|!=|\|\||->>?|\S"
)
_INTEGER_MAX = (1 << 63) - 1
_CACHE_SIZE_MAX = 1024
_SKELETON_SIZE_MAX = 1 << 14
_LITERALS_MAX = 4000
_LIST_MAX = 16

# For a skeleton: a flag a literal; None if nothing is lifted.
_lifted: dict[str, bytes | None] = {}

_WORDS_THAT_FORBID = frozenset(
    ["CAST", "COLLATE", "RETURNING", "CONFLICT", "RAISE", "ESCAPE", "FROM"]
)
_OPERANDS_AFTER = frozenset(
    [
        "=",
        "==",
        "<",
        ">",
        "<=",
        ">=",
        "<>",
        "!=",
        "LIKE",
        "GLOB",
        "BETWEEN",
        "IS",
        "LIMIT",
        "OFFSET",
    ]
)
_ARITHMETIC = frozenset(["+", "-", "*", "/", "%", "||"])
_CLAUSES = frozenset(
    ["GROUP", "ORDER", "HAVING", "WINDOW", "LIMIT", "UNION", "INTERSECT", "EXCEPT"]
)
_QUOTES = frozenset("'\"`[]")
_NOT_IN_QUERIES = frozenset(
    ["CAST", "COLLATE", "ESCAPE", "RETURNING", "WINDOW", "OVER", "FILTER", "VALUES"]
)
_CHANGES = frozenset(["INSERT", "REPLACE", "UPDATE", "DELETE"])


def lift_literals(text: str) -> tuple[str, tuple[SqlLiteral, ...]]:
    """The shape of `text` and the lifted values, in order; `(text, ())` where nothing is lifted."""
    if "--" in text or "/*" in text:
        bare = _without_comments(text)
        if bare != text:
            shape, lifted = lift_literals(bare)
            return (shape, lifted) if lifted else (text, ())
    parts = _LITERAL.split(text)
    if len(parts) == 1:
        return text, ()
    literals = parts[1::2]
    skeleton = "\x00".join(parts[::2])
    try:
        flags = _lifted[skeleton]
    except KeyError:
        flags = _remember(skeleton, len(literals))
    if flags is None:
        return text, ()
    values: list[SqlLiteral] = []
    for place, literal in enumerate(literals):
        if not flags[place]:
            continue
        if literal[0] == "'":
            if flags[place] == _NUMBER_ONLY:
                return text, ()
            parts[2 * place + 1] = "?/*t*/"
            inner = literal[1:-1]
            values.append(inner.replace("''", "'") if "'" in inner else inner)
        elif literal.isdigit():
            value = int(literal)
            if value > _INTEGER_MAX:
                return text, ()
            parts[2 * place + 1] = "?"
            values.append(value)
        else:
            parts[2 * place + 1] = "?/*r*/"
            values.append(float(literal))
    return "".join(parts), tuple(values)


_COMMENT = re.compile(
    r"""('[^']*+'|"[^"]*+"|`[^`]*+`|\[[^\]]*+\])|--[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)"""
)


def _without_comments(text: str) -> str:
    """A change without its comments, which may differ each time.  In a query they may be part of a column's name."""
    if text.lstrip()[:1] not in ("I", "i", "R", "r", "U", "u", "D", "d"):
        return text
    return _COMMENT.sub(lambda match: match[1] or " ", text)


_KEPT, _LIFTED, _NUMBER_ONLY = 0, 1, 2


def _remember(skeleton: str, count: int) -> bytes | None:
    flags = bytes(_flags(skeleton, count))
    found = flags if any(flags) else None
    if len(skeleton) <= _SKELETON_SIZE_MAX:
        if len(_lifted) >= _CACHE_SIZE_MAX:
            _lifted.clear()
        _lifted[skeleton] = found
    return found


def _flags(skeleton: str, count: int) -> list[int]:
    """Which literals may be lifted.  A literal stands as NUL in the skeleton."""
    nothing = [_KEPT] * count
    if count > _LITERALS_MAX or _OPAQUE.search(skeleton) or skeleton.count("\x00") != count:
        return nothing
    tokens = [token.upper() for token in _TOKEN.findall(skeleton)]
    if not _QUOTES.isdisjoint(tokens):
        return nothing
    while tokens and tokens[-1] == ";":
        tokens.pop()
    if ";" in tokens or not tokens:
        return nothing
    walk = _WALKS.get(tokens[0])
    if walk is None:
        return nothing
    if "RETURNING" not in tokens or tokens[0] not in _CHANGES:
        return walk(tokens, nothing)
    # What it gives are result columns.
    before = tokens[: tokens.index("RETURNING")]
    lifted = before.count("\x00")
    return [*walk(before, nothing[:lifted]), *nothing[lifted:]]


def _insert(tokens: list[str], flags: list[int]) -> list[int]:
    """Every literal after VALUES, in an INSERT that is nothing but values, and what an UPDATE's would be after the SET of an
    upsert."""
    if "VALUES" not in tokens or "SELECT" in tokens:
        return flags
    values, behind = _without_upsert(tokens)
    if not _WORDS_THAT_FORBID.isdisjoint((*values, *behind)):
        return flags
    if "\x00" in values[: values.index("VALUES")]:
        return flags
    prefixed = any(
        token == "\x00" and _is_name(values[place - 1]) for place, token in enumerate(values)
    )
    if prefixed:
        return flags
    count = values.count("\x00")
    targets = len(flags) - count - behind.count("\x00")
    return [
        *[_LIFTED] * count,
        *[_KEPT] * targets,
        *_of_queries(behind, [_KEPT] * behind.count("\x00")),
    ]


def _without_upsert(tokens: list[str]) -> tuple[list[str], list[str]]:
    """What is before an INSERT's one ON CONFLICT, and what is from its SET on.  The conflict's target is what an
    index is recognised by."""
    for place, token in enumerate(tokens):
        if token == "CONFLICT" and tokens[place - 1] == "ON":
            behind = tokens[place + 1 :]
            if "SET" in behind and "CONFLICT" not in behind:
                return tokens[: place - 1], behind[behind.index("SET") :]
            return (tokens, []) if behind.count("\x00") else (tokens[: place - 1], [])
    return tokens, []


def _update(tokens: list[str], flags: list[int]) -> list[int]:
    """Literals right after an operator of SET or WHERE."""
    if "SET" not in tokens or "SELECT" in tokens or not _WORDS_THAT_FORBID.isdisjoint(tokens):
        return flags
    if any(token in _CLAUSES for token in tokens):
        return flags
    return _of_queries(tokens, flags)


def _select(tokens: list[str], flags: list[int]) -> list[int]:
    """Literals right after an operator of a WHERE, and LIMIT and OFFSET at the end."""
    if "FROM" not in tokens or not _NOT_IN_QUERIES.isdisjoint(tokens):
        return flags
    if tokens[0] == "WITH" and not _CHANGES.isdisjoint(tokens):
        return flags
    flags = _of_queries(tokens, flags)
    if tokens.count("LIMIT") == 1 and tokens.index("LIMIT") > tokens.index("FROM"):
        place = tokens.index("LIMIT")
        if all(token in ("LIMIT", "OFFSET", ",", "\x00") for token in tokens[place:]):
            first = tokens[:place].count("\x00")
            flags = [*flags[:first], *[_NUMBER_ONLY] * (len(flags) - first)]
    return flags


class _Frame:
    """What an open parenthesis holds: a query, where it is in its `clause`, or (None) a part of an expression.

    `is_call`: the parenthesis, or one around it that is no query's, belongs to a call or a list; `is_list`: to an IN
    list of a few literals.  `lifts`: the query does not stand among result columns, whose text is their name."""

    __slots__ = ("after_between", "clause", "is_call", "is_list", "lifts")

    def __init__(
        self,
        clause: str | None,
        *,
        is_call: bool = False,
        is_list: bool = False,
        lifts: bool = True,
    ) -> None:
        self.clause = clause
        self.is_call = is_call
        self.is_list = is_list
        self.lifts = lifts
        self.after_between = False


_STARTS = {
    "SELECT": "SELECT",
    "FROM": "FROM",
    "WHERE": "WHERE",
    "SET": "SET",
    **dict.fromkeys(_CLAUSES, ""),
}


def _of_queries(tokens: list[str], flags: list[int]) -> list[int]:
    """Lift the literals that are whole operands in the WHERE clauses of a statement's queries."""
    flags = list(flags)
    literal = 0
    query = _Frame("FROM")  # of DELETE and WITH: up to their WHERE or SELECT
    frames = [query]
    queries = [query]
    for place, token in enumerate(tokens):
        frame = frames[-1]
        if token == "(":
            if tokens[place + 1 : place + 2] in (["SELECT"], ["WITH"]):
                lifts = query.lifts and query.clause in ("FROM", "WHERE", "SET")
                query = _Frame("FROM", lifts=lifts)
                queries.append(query)
                frames.append(query)
            else:
                is_list = tokens[place - 1] == "IN" and _is_short_list(tokens, place + 1)
                is_call = frame.is_call or (not is_list and _calls(tokens[place - 1]))
                frames.append(_Frame(None, is_call=is_call, is_list=is_list))
        elif token == ")":
            if len(frames) == 1:
                return [_KEPT] * len(flags)
            if frames.pop() is query:
                queries.pop()
                query = queries[-1]
        elif token == "BETWEEN":
            frame.after_between = True
        elif token == "\x00":
            in_clause = query.lifts and query.clause in ("WHERE", "SET")
            if _is_whole_operand(tokens, place, frame, query) and in_clause and not frame.is_call:
                flags[literal] = _LIFTED
            literal += 1
        elif token in _STARTS and frame.clause is not None:
            is_operator = token == "FROM" and tokens[place - 1] == "DISTINCT"  # IS DISTINCT FROM
            frame.clause = frame.clause if is_operator else _STARTS[token]
    return flags


def _is_whole_operand(tokens: list[str], place: int, frame: _Frame, query: _Frame) -> bool:
    """Whether the literal there is an operand, and no part of a longer expression.  One that ends a BETWEEN does so
    in its frame, too."""
    before = _before(tokens, place)
    is_operand = frame.is_list or before in _OPERANDS_AFTER
    if before == "AND":
        is_operand = is_operand or frame.after_between
        frame.after_between = False
    following = tokens[place + 1] if place + 1 < len(tokens) else ""
    ends = following in _ENDS or following in _CLAUSES
    if query.clause == "SET":  # no index has these expressions
        is_operand = is_operand or tokens[place - 1] in _ARITHMETIC
        ends = ends or following in _ARITHMETIC
    return is_operand and ends


def _is_short_list(tokens: list[str], start: int) -> bool:
    """Whether a list of nothing but literals, and not of many, begins at a token: a list of another length is another
    shape, and long ones are quicker as a constant set."""
    end = start
    while end < len(tokens) and tokens[end] in ("\x00", ",", "-"):
        end += 1
    count = tokens[start:end].count("\x00")
    return 0 < count <= _LIST_MAX and tokens[end : end + 1] == [")"]


def _before(tokens: list[str], place: int) -> str:
    """The token before a literal and its sign."""
    before = tokens[place - 1]
    return tokens[place - 2] if before == "-" else before


def _calls(before: str) -> bool:
    """Whether a parenthesis after a token is that of a call or an IN list."""
    return _is_name(before) and before not in ("AND", "OR", "NOT", "WHERE", "SET")


_ENDS = frozenset(["", "AND", "OR", ")", ",", "WHERE"])


def _is_name(token: str) -> bool:
    return token[0].isalnum() or token[0] in '_$"`[' or token[0] > "\x7f"


_WALKS: dict[str, Callable[[list[str], list[int]], list[int]]] = {
    "INSERT": _insert,
    "REPLACE": _insert,
    "UPDATE": _update,
    "SELECT": _select,
    "DELETE": _select,
    "WITH": _select,
}
