"""Trees back to SQL with every operator in parentheses, so that sqlite3 can judge how they group."""

from __future__ import annotations

from sqlglot import exp

BINARY: dict[type[exp.Expression], str] = {
    exp.Or: "OR",
    exp.And: "AND",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.Is: "IS",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.DPipe: "||",
    exp.Like: "LIKE",
    exp.Glob: "GLOB",
}
PREFIX: dict[type[exp.Expression], str] = {
    exp.Neg: "-",
    exp.Unary: "+",
    exp.BitwiseNot: "~",
    exp.Not: "NOT ",
}


def regenerate(node: exp.Expression) -> str:
    kind = type(node)
    if kind in BINARY:
        return f"({regenerate(node.this)} {BINARY[kind]} {regenerate(node.expression)})"
    if kind in PREFIX:
        return f"({PREFIX[kind]}{regenerate(node.this)})"
    if kind is exp.Literal:
        return f"'{node.this}'" if node.is_string else node.this
    if kind is exp.Null:
        return "NULL"
    if kind is exp.Boolean:
        return "TRUE" if node.this else "FALSE"
    if kind is exp.HexString:
        return f"x'{node.this}'"
    if kind is exp.Column:
        return node.name
    if kind is exp.Collate:
        return f"({regenerate(node.this)} COLLATE {node.expression.name})"
    if kind is exp.Between:
        low, high = regenerate(node.args["low"]), regenerate(node.args["high"])
        return f"({regenerate(node.this)} BETWEEN {low} AND {high})"
    if kind is exp.In:
        return f"({regenerate(node.this)} IN ({', '.join(map(regenerate, node.expressions))}))"
    if kind is exp.Escape:
        inner = node.this
        pattern = f"{regenerate(inner.this)} LIKE {regenerate(inner.expression)}"
        return f"({pattern} ESCAPE {regenerate(node.expression)})"
    if kind is exp.Anonymous:
        return f"{node.this}({', '.join(map(regenerate, node.expressions))})"
    if kind is exp.Case:
        branches = "".join(
            f" WHEN {regenerate(part.this)} THEN {regenerate(part.args['true'])}"
            for part in node.args["ifs"]
        )
        base = "" if node.this is None else " " + regenerate(node.this)
        default = node.args.get("default")
        otherwise = "" if default is None else " ELSE " + regenerate(default)
        return f"(CASE{base}{branches}{otherwise} END)"
    if kind is exp.Cast:
        return f"CAST({regenerate(node.this)} AS {node.meta['type']})"
    raise AssertionError(f"no text for {kind}")
