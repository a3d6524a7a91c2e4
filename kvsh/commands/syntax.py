"""What `.help` says of SQL: the statements by their first words, and each function's call.

The parts in brackets may be left out.  Source: https://www.sqlite.org/lang.html and docs/sql.md.
"""

from __future__ import annotations

SYNTAX: dict[str, str] = {
    "select": """\
[WITH [RECURSIVE] name [(columns)] AS (query), ...]
SELECT [DISTINCT] expression [AS name], ... | *
  FROM table [AS alias]
  [LEFT|RIGHT|FULL|CROSS|NATURAL] JOIN table [ON condition|USING (columns)] ...
  WHERE condition
  GROUP BY expression, ...  HAVING condition
  WINDOW name AS (PARTITION BY ... ORDER BY ...
                  ROWS|RANGE|GROUPS BETWEEN ... AND ...)
  UNION [ALL] | INTERSECT | EXCEPT query
  ORDER BY expression [COLLATE name] [ASC|DESC] [NULLS FIRST|LAST], ...
  LIMIT count [OFFSET first];

example: SELECT city, count(*) AS n FROM people GROUP BY city ORDER BY n DESC;
""",
    "insert": """\
INSERT [OR REPLACE|IGNORE|ABORT|FAIL|ROLLBACK] INTO table [(columns)]
  VALUES (...), ... | query | DEFAULT VALUES
  ON CONFLICT [(columns)] DO NOTHING
    | DO UPDATE SET column = excluded.column, ... [WHERE condition]
  RETURNING expression, ...;

example: INSERT INTO stock (item, n) VALUES ('nut', 5)
           ON CONFLICT (item) DO UPDATE SET n = n + excluded.n;
""",
    "update": """\
UPDATE [OR REPLACE|IGNORE|ABORT|FAIL|ROLLBACK] table
  SET column = expression, (columns) = (query), ...
  FROM other tables
  WHERE condition
  RETURNING expression, ...;

.dry UPDATE ... says what it would change.

example: UPDATE track SET price = price * 1.1 WHERE genre = 'Jazz';
""",
    "delete": """\
DELETE FROM table WHERE condition RETURNING expression, ...;

.dry DELETE ... says what it would delete.

example: DELETE FROM track WHERE price IS NULL;
""",
    "create": """\
CREATE [TEMP] TABLE [IF NOT EXISTS] name
  (column TYPE constraints, ..., constraints of the table)
  [STRICT, WITHOUT ROWID];
CREATE [TEMP] TABLE [IF NOT EXISTS] name AS query;
  constraints   PRIMARY KEY [AUTOINCREMENT], NOT NULL, UNIQUE, DEFAULT value,
                CHECK (condition), COLLATE name, REFERENCES table (column)
                  [ON DELETE|UPDATE CASCADE|SET NULL|SET DEFAULT|RESTRICT],
                GENERATED ALWAYS AS (expression) [STORED]
  of the table  PRIMARY KEY (columns), UNIQUE (columns), CHECK (condition),
                FOREIGN KEY (columns) REFERENCES table (columns) [ON ...]
CREATE [UNIQUE] INDEX [IF NOT EXISTS] name
  ON table (column or expression [DESC], ...) [WHERE condition];
CREATE [TEMP] VIEW [IF NOT EXISTS] name [(columns)] AS query;
CREATE [TEMP] TRIGGER [IF NOT EXISTS] name
  BEFORE|AFTER|INSTEAD OF DELETE|INSERT|UPDATE [OF columns] ON table
  [WHEN condition] BEGIN statement; ... END;

example: CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
""",
    "alter": """\
ALTER TABLE table RENAME TO name;
ALTER TABLE table RENAME COLUMN column TO name;
ALTER TABLE table ADD COLUMN column TYPE [constraints];
ALTER TABLE table DROP COLUMN column;

example: ALTER TABLE people ADD COLUMN born DATE;
""",
    "drop": """\
DROP TABLE|VIEW|INDEX|TRIGGER [IF EXISTS] name;

example: DROP INDEX IF EXISTS people_by_city;
""",
    "with": """\
WITH [RECURSIVE] name [(columns)] AS (query), ...
  SELECT|INSERT|UPDATE|DELETE ...;

example: WITH RECURSIVE n (i) AS
           (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 9)
         SELECT i FROM n;
""",
    "values": """\
VALUES (expression, ...), ...;

example: VALUES (1, 'one'), (2, 'two');
""",
    "explain": """\
EXPLAIN statement;           the plan as a tree
EXPLAIN ANALYZE query;       with rows, times and pages
EXPLAIN CODE query;          the Python that it became
EXPLAIN QUERY PLAN query;    the plan as SQLite words it

example: EXPLAIN ANALYZE SELECT * FROM people WHERE city = 'Oslo';
""",
    "savepoint": """\
SAVEPOINT name;  RELEASE name;  ROLLBACK TO name;

example: SAVEPOINT before;
""",
    "attach": """\
ATTACH 'file' AS name;  DETACH name;

example: ATTACH 'old.db' AS old;
""",
    "pragma": """\
PRAGMA name;  PRAGMA name = value;  PRAGMA name(value);
SELECT ... FROM pragma_name(value);

PRAGMA pragma_list; has the names.

example: PRAGMA foreign_keys = on;
""",
    "case": """\
CASE WHEN condition THEN value ... [ELSE value] END
CASE expression WHEN value THEN value ... [ELSE value] END

example: SELECT CASE WHEN n < 10 THEN 'few' ELSE 'many' END FROM stock;
""",
}
"""What a statement may have, by its first word."""

_SAME = {
    "replace": "insert",
    "release": "savepoint",
    "detach": "attach",
    "recursive": "with",
    "join": "select",
}


def said_of(word: str) -> str | None:
    """The syntax of the statement that begins with the word, in small letters, or the call of the function; None if
    there is neither."""
    if word in SYNTAX:
        return SYNTAX[word]
    from kvsh.complete.words import FUNCTIONS, TABLE_FUNCTIONS

    name = word.partition("(")[0]
    calls = []
    if name in _SAME:
        calls.append(SYNTAX[_SAME[name]])
    if name in FUNCTIONS:
        calls.append(f"{FUNCTIONS[name]}\n")
    if name in TABLE_FUNCTIONS:
        call, columns = TABLE_FUNCTIONS[name]
        calls.append(f"SELECT {', '.join(columns)} FROM {call};\n")
    return "\n".join(calls) or None
