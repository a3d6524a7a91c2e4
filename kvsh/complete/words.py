"""The words of the language: statements, clauses, types, functions with their signatures.

Static tables for completion and highlighting.  Functions that a program registers on top are offered
too (see `catalog`), without a signature.  Source: https://www.sqlite.org/lang.html and its pages on
functions, and this project's docs/sql.md.
"""

from __future__ import annotations


def word_set(words: str) -> frozenset[str]:
    """The blank-separated words as a set."""
    return frozenset(words.split())


STATEMENTS = (
    "SELECT", "INSERT INTO", "UPDATE", "DELETE FROM", "CREATE TABLE", "WITH", "EXPLAIN", "EXPLAIN ANALYZE",
    "ALTER TABLE", "DROP TABLE", "BEGIN", "COMMIT", "ROLLBACK", "CREATE INDEX", "CREATE UNIQUE INDEX",
    "CREATE VIEW", "CREATE TRIGGER", "CREATE TEMP TABLE", "DROP INDEX", "DROP VIEW", "DROP TRIGGER",
    "REPLACE INTO", "INSERT OR REPLACE INTO", "INSERT OR IGNORE INTO", "VALUES", "PRAGMA", "SAVEPOINT",
    "RELEASE", "ROLLBACK TO", "ANALYZE", "REINDEX", "VACUUM", "EXPLAIN QUERY PLAN", "EXPLAIN CODE",
    "END",
)  # fmt: skip
"""How a statement can begin, the likely ones first."""

KEYWORDS = word_set("""ABORT ACTION ADD AFTER ALL ALTER ALWAYS ANALYZE AND AS ASC ATTACH AUTOINCREMENT BEFORE BEGIN BETWEEN
    BY CASCADE CASE CAST CHECK COLLATE COLUMN COMMIT CONFLICT CONSTRAINT CREATE CROSS CURRENT CURRENT_DATE
    CURRENT_TIME CURRENT_TIMESTAMP DATABASE DEFAULT DEFERRABLE DEFERRED DELETE DESC DETACH DISTINCT DO DROP
    EACH ELSE END ESCAPE EXCEPT EXCLUDE EXCLUSIVE EXISTS EXPLAIN FAIL FILTER FIRST FOLLOWING FOR FOREIGN
    FROM FULL GENERATED GLOB GROUP GROUPS HAVING IF IGNORE IMMEDIATE IN INDEX INDEXED INITIALLY INNER
    INSERT INSTEAD INTERSECT INTO IS ISNULL JOIN KEY LAST LEFT LIKE LIMIT MATCH MATERIALIZED NATURAL NO NOT
    NOTHING NOTNULL NULL NULLS OF OFFSET ON OR ORDER OTHERS OUTER OVER PARTITION PLAN PRAGMA PRECEDING
    PRIMARY QUERY RAISE RANGE RECURSIVE REFERENCES REGEXP REINDEX RELEASE RENAME REPLACE RESTRICT RETURNING
    RIGHT ROLLBACK ROW ROWS SAVEPOINT SELECT SET STRICT TABLE TEMP TEMPORARY THEN TIES TO TRANSACTION
    TRIGGER UNBOUNDED UNION UNIQUE UPDATE USING VACUUM VALUES VIEW VIRTUAL WHEN WHERE WINDOW WITH WITHOUT
    """)
"""Every word that the highlighter paints as a keyword."""

RESERVED = word_set("""ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN CASE CHECK COLLATE COMMIT CONSTRAINT CREATE DEFAULT
    DEFERRABLE DELETE DISTINCT DROP ELSE ESCAPE EXCEPT EXISTS FOREIGN FROM GROUP HAVING IN INDEX INSERT
    INTERSECT INTO IS ISNULL JOIN LIMIT NOT NOTHING NOTNULL NULL ON OR ORDER PRIMARY REFERENCES RETURNING
    SELECT SET TABLE THEN TO TRANSACTION UNION UNIQUE UPDATE USING VALUES WHEN WHERE""")
"""Words that are no identifier unless quoted."""

TYPES = ("INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "VARCHAR(255)", "BOOLEAN", "DATE", "DATETIME", "DECIMAL(10,2)", "ANY")  # fmt: skip

COLUMN_CONSTRAINTS = (
    "PRIMARY KEY", "NOT NULL", "UNIQUE", "DEFAULT", "REFERENCES", "CHECK (", "COLLATE NOCASE", "COLLATE",
    "AUTOINCREMENT", "GENERATED ALWAYS AS (", "CONSTRAINT",
)  # fmt: skip
TABLE_CONSTRAINTS = ("PRIMARY KEY (", "FOREIGN KEY (", "UNIQUE (", "CHECK (", "CONSTRAINT")
TABLE_OPTIONS = ("WITHOUT ROWID", "STRICT")
COLLATIONS = ("NOCASE", "BINARY", "RTRIM")
REFERENCE_ACTIONS = (
    "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT", "ON UPDATE CASCADE",
    "DEFERRABLE INITIALLY DEFERRED", "NOT NULL",
)  # fmt: skip

PRAGMAS = (
    "table_info", "table_list", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_keys",
    "foreign_key_list", "foreign_key_check", "integrity_check", "quick_check", "user_version",
    "application_id", "synchronous", "journal_mode", "page_size", "page_count", "encoding",
    "database_list", "collation_list", "function_list", "case_sensitive_like", "recursive_triggers",
    "optimize", "schema_version", "cache_size", "busy_timeout", "defer_foreign_keys", "compile_options",
    "query_only", "read_uncommitted", "temp_store",
)  # fmt: skip
TABLE_PRAGMAS = word_set(
    "TABLE_INFO TABLE_XINFO INDEX_LIST FOREIGN_KEY_LIST FOREIGN_KEY_CHECK INTEGRITY_CHECK QUICK_CHECK"
)
INDEX_PRAGMAS = frozenset(("INDEX_INFO", "INDEX_XINFO"))

JOINS = ("JOIN", "LEFT JOIN", "INNER JOIN", "CROSS JOIN", "NATURAL JOIN", "RIGHT JOIN", "FULL JOIN")

FUNCTIONS: dict[str, str] = {
    # aggregates
    "count": "count(*) | count([DISTINCT] x)",
    "sum": "sum([DISTINCT] x)",
    "avg": "avg([DISTINCT] x)",
    "min": "min(x) | min(x, y, ...)",
    "max": "max(x) | max(x, y, ...)",
    "total": "total(x)",
    "group_concat": "group_concat(x [, separator])",
    # windows
    "row_number": "row_number() OVER (...)",
    "rank": "rank() OVER (...)",
    "dense_rank": "dense_rank() OVER (...)",
    "percent_rank": "percent_rank() OVER (...)",
    "cume_dist": "cume_dist() OVER (...)",
    "ntile": "ntile(n) OVER (...)",
    "lag": "lag(x [, offset [, default]]) OVER (...)",
    "lead": "lead(x [, offset [, default]]) OVER (...)",
    "first_value": "first_value(x) OVER (...)",
    "last_value": "last_value(x) OVER (...)",
    "nth_value": "nth_value(x, n) OVER (...)",
    # values and text
    "abs": "abs(x)",
    "char": "char(codepoint, ...)",
    "coalesce": "coalesce(x, y, ...)",
    "format": "format(template, ...)",
    "glob": "glob(pattern, text)",
    "hex": "hex(x)",
    "ifnull": "ifnull(x, y)",
    "iif": "iif(condition, then, else)",
    "instr": "instr(text, part)",
    "length": "length(x)",
    "like": "like(pattern, text [, escape])",
    "lower": "lower(text)",
    "ltrim": "ltrim(text [, characters])",
    "nullif": "nullif(x, y)",
    "printf": "printf(template, ...)",
    "quote": "quote(x)",
    "random": "random()",
    "randomblob": "randomblob(bytes)",
    "replace": "replace(text, from, to)",
    "round": "round(x [, digits])",
    "rtrim": "rtrim(text [, characters])",
    "sign": "sign(x)",
    "soundex": "soundex(text)",
    "substr": "substr(text, start [, length])",
    "substring": "substring(text, start [, length])",
    "trim": "trim(text [, characters])",
    "typeof": "typeof(x)",
    "unicode": "unicode(text)",
    "upper": "upper(text)",
    "zeroblob": "zeroblob(bytes)",
    "changes": "changes()",
    "total_changes": "total_changes()",
    "last_insert_rowid": "last_insert_rowid()",
    "likely": "likely(x)", "unlikely": "unlikely(x)", "likelihood": "likelihood(x, probability)",
    "sqlite_version": "sqlite_version()", "sqlite_source_id": "sqlite_source_id()", "kvsh_version": "kvsh_version()",
    "sqlite_compileoption_get": "sqlite_compileoption_get(n)",
    "sqlite_compileoption_used": "sqlite_compileoption_used(name)",
    # date and time
    "date": "date([time [, modifier, ...]])",
    "time": "time([time [, modifier, ...]])",
    "datetime": "datetime([time [, modifier, ...]])",
    "julianday": "julianday([time [, modifier, ...]])",
    "unixepoch": "unixepoch([time [, modifier, ...]])",
    "strftime": "strftime(format [, time [, modifier, ...]])",
    # mathematics
    "acos": "acos(x)", "acosh": "acosh(x)", "asin": "asin(x)", "asinh": "asinh(x)", "atan": "atan(x)",
    "atan2": "atan2(y, x)", "atanh": "atanh(x)", "ceil": "ceil(x)", "ceiling": "ceiling(x)",
    "cos": "cos(x)", "cosh": "cosh(x)", "degrees": "degrees(radians)", "exp": "exp(x)",
    "floor": "floor(x)", "ln": "ln(x)", "log": "log(x) | log(base, x)", "log10": "log10(x)",
    "log2": "log2(x)", "mod": "mod(x, y)", "pi": "pi()", "pow": "pow(x, y)", "power": "power(x, y)",
    "radians": "radians(degrees)", "sin": "sin(x)", "sinh": "sinh(x)", "sqrt": "sqrt(x)",
    "tan": "tan(x)", "tanh": "tanh(x)", "trunc": "trunc(x)",
    # JSON
    "json": "json(text)",
    "json_array": "json_array(x, ...)",
    "json_array_length": "json_array_length(json [, path])",
    "json_extract": "json_extract(json, path, ...)",
    "json_group_array": "json_group_array(x)",
    "json_group_object": "json_group_object(name, value)",
    "json_insert": "json_insert(json, path, value, ...)",
    "json_object": "json_object(label, value, ...)",
    "json_patch": "json_patch(json, patch)",
    "json_quote": "json_quote(x)",
    "json_remove": "json_remove(json, path, ...)",
    "json_replace": "json_replace(json, path, value, ...)",
    "json_set": "json_set(json, path, value, ...)",
    "json_type": "json_type(json [, path])",
    "json_valid": "json_valid(json)",
    "subtype": "subtype(x)",
}  # fmt: skip
"""Built-in functions: name -> signature, optional parts in brackets."""

TABLE_FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "json_each": ("json_each(json [, path])", ("key", "value", "type", "atom", "id", "parent", "fullkey", "path")),
    "json_tree": ("json_tree(json [, path])", ("key", "value", "type", "atom", "id", "parent", "fullkey", "path")),
    "generate_series": ("generate_series(start, stop [, step])", ("value",)),
    "pragma_table_info": ("pragma_table_info(table)", ("cid", "name", "type", "notnull", "dflt_value", "pk")),
    "pragma_index_list": ("pragma_index_list(table)", ("seq", "name", "unique", "origin", "partial")),
}  # fmt: skip
"""Functions that stand in FROM: name -> (signature, columns)."""
