"""Statements that random ones seldom reach, answered as by sqlite3: script by script, state by state."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

import kvsh

ROWS = "CREATE TABLE t (id INTEGER PRIMARY KEY, g TEXT, x INT)"
FILLED = "INSERT INTO t VALUES (1, 'a', 1), (2, 'a', 3), (3, 'b', NULL), (4, 'b', 3), (5, NULL, 9)"

SCRIPTS: dict[str, list[str]] = {
    "an offset of a frame that is no constant counts as NULL": [
        ROWS,
        "SELECT sum(x) OVER (ORDER BY x ROWS x PRECEDING) FROM t",
        FILLED,
        "SELECT sum(x) OVER (ORDER BY x ROWS x PRECEDING) FROM t",
        "SELECT sum(x) OVER (ORDER BY x GROUPS BETWEEN 1 PRECEDING AND id FOLLOWING) FROM t",
        "SELECT sum(x) OVER (ORDER BY x ROWS (SELECT 1) PRECEDING) FROM t",
        "SELECT sum(x) OVER (ORDER BY x ROWS abs(random()) PRECEDING) FROM t",
        "SELECT sum(count(*)) OVER (ORDER BY g ROWS count(*) PRECEDING) FROM t GROUP BY g",
        "SELECT sum(x) OVER (ORDER BY x ROWS abs(-1) PRECEDING) FROM t",
    ],
    "what a named window says is not said again": [
        ROWS,
        FILLED,
        "SELECT id, sum(x) OVER (w ORDER BY id) FROM t WINDOW w AS (ORDER BY g)",
        "SELECT id, sum(x) OVER (w PARTITION BY id) FROM t WINDOW w AS (ORDER BY g)",
        "SELECT id, sum(x) OVER (w) FROM t WINDOW w AS (ORDER BY g ROWS 1 PRECEDING)",
        "SELECT id, sum(x) OVER w FROM t WINDOW w AS (ORDER BY g ROWS 1 PRECEDING) ORDER BY id",
        "SELECT id, sum(x) OVER v FROM t WINDOW w AS (PARTITION BY g), v AS (w ORDER BY id) ORDER BY 1",
        "SELECT id, sum(x) OVER v FROM t WINDOW w AS (ORDER BY id), v AS (w ORDER BY id) ORDER BY 1",
        "SELECT id, sum(x) OVER (w ROWS 1 PRECEDING) FROM t WINDOW w AS (ORDER BY id) ORDER BY id",
        "SELECT id, sum(x) OVER w FROM t WINDOW w AS (ORDER BY g), v AS (w ORDER BY id)",
        "SELECT id, sum(x) OVER w FROM t WINDOW w AS (ROWS 1 PRECEDING), v AS (w)",
        "SELECT id FROM t WINDOW w AS (ORDER BY g), v AS (w), u AS (v ORDER BY id)",
        "SELECT id, sum(x) OVER u FROM t WINDOW w AS (ORDER BY id), v AS (w), u AS (v ROWS 1 PRECEDING)",
    ],
    "a window extends one that stands before it": [
        ROWS,
        FILLED,
        "SELECT id, sum(x) OVER v FROM t WINDOW u AS (), v AS (w ROWS 1 PRECEDING), w AS (ORDER BY id)",
        "SELECT id, sum(x) OVER w FROM t WINDOW w AS (ORDER BY id), v AS (v)",
        "SELECT id, sum(x) OVER v FROM t WINDOW w AS (ORDER BY id), v AS (v)",
    ],
    "nth_value() takes a text that is a number": [
        ROWS,
        FILLED,
        "SELECT nth_value(id, '2') OVER (ORDER BY id), nth_value(id, '2.0') OVER () FROM t",
        "SELECT nth_value(id, '2x') OVER (ORDER BY id) FROM t",
    ],
    "columns that are assigned from one query are of one row of it": [
        ROWS,
        FILLED,
        "UPDATE t SET (g, x) = (SELECT n, n FROM (SELECT random() AS n))",
        "SELECT g = x FROM t",
        "UPDATE t SET (x, g) = (SELECT * FROM (SELECT 1, 2) WHERE t.id > 1), (g) = (SELECT 3)",
        "SELECT * FROM t",
        "UPDATE t SET (g, x) = (SELECT DISTINCT id, -id FROM t AS other ORDER BY 2) RETURNING *",
        "UPDATE t SET (g, x) = (SELECT 1 UNION SELECT 2)",
        "UPDATE t SET (g, x) = (VALUES (id, 2), (3, 4)) RETURNING *",
        "INSERT INTO t VALUES (1, 2, 3) ON CONFLICT(id) DO UPDATE"
        " SET (g, x) = (SELECT n, n FROM (SELECT random() AS n)) RETURNING g = x",
        "WITH q AS (SELECT 5, 6) UPDATE t SET (g, x) = (SELECT * FROM q) RETURNING *",
    ],
    "what UPDATE FROM joins does not know the table that is changed": [
        ROWS,
        FILLED,
        "CREATE TABLE u (id INT, v INT)",
        "INSERT INTO u VALUES (1, 10), (2, 20), (3, 1)",
        "UPDATE t SET x = 0 FROM u JOIN u AS w ON u.id = t.id AND w.id = u.id",
        "UPDATE t SET x = 0 FROM u JOIN u AS w ON u.id = g WHERE w.id = u.id",
        "UPDATE t SET x = 0 FROM u JOIN u AS w ON u.id IN (SELECT t.id)",
        "UPDATE t SET x = w.v FROM u JOIN u AS w ON z.v = u.id JOIN u AS z ON w.id = z.id WHERE t.id = u.id RETURNING *",
        "UPDATE t SET x = w.v FROM u JOIN u AS w ON u.id IN (SELECT t.id FROM t) WHERE t.id = w.id AND w.id = u.id",
        "SELECT * FROM t",
    ],
    "functions in FROM whose arguments name what comes later": [
        ROWS,
        FILLED,
        "CREATE TABLE d (doc)",
        "INSERT INTO d VALUES ('[1,2]'), ('[3]')",
        "SELECT value FROM json_each(d.doc), d ORDER BY 1",
        "SELECT value, x FROM json_each(doc) JOIN d JOIN t ON t.id = value ORDER BY 1",
        "SELECT '[5,6]' AS q, value FROM json_each(q)",
        "SELECT e.value, f.value FROM json_each(f.value) AS e, json_each('[[1,2],[3]]') AS f ORDER BY 1",
        "SELECT e.value, f.value FROM json_each AS e, json_each AS f"
        " WHERE f.json = '[[1,2],[3]]' AND e.json = f.value ORDER BY 1",
        "SELECT doc, e.value FROM json_each(doc, p.value) AS e, d, json_each('[\"$[0]\",\"$[1]\"]') AS p"
        " ORDER BY 1, 2",
        "SELECT p.name, m.name FROM pragma_table_info(m.name) AS p, sqlite_master AS m ORDER BY 1, 2",
        "SELECT (SELECT group_concat(value) FROM json_each(d.doc), t WHERE t.id = value) FROM d",
        "SELECT count(*) FROM json_each(d.missing), d",
        "SELECT count(*) FROM json_each(d.doc, '$', 1, 2), d",
    ],
    "aggregates within what an aggregate is made of": [
        ROWS,
        FILLED,
        "SELECT (SELECT min(other.id + max(t.x)) FROM t AS other) FROM t",
        "SELECT (SELECT min(other.id + (SELECT max(t.x))) FROM t AS other) FROM t",
        "SELECT (SELECT min((SELECT max(t.x))) FROM t AS other) FROM t",
        "SELECT (SELECT min((SELECT min(t.x) FROM t AS o)) FROM t AS other) FROM t",
        "SELECT (SELECT 1 FROM t AS other WHERE max(t.x) > other.id) FROM t",
        "SELECT (SELECT other.x FROM t AS other GROUP BY other.x HAVING max(t.x) > 3) FROM t",
        "SELECT (SELECT count(*) FROM t AS other WHERE max(t.x) > other.id) FROM t",
        "SELECT (SELECT other.id FROM t AS other WHERE max(t.x) > 1 GROUP BY other.id) FROM t",
        "WITH c(i) AS (VALUES (612)) SELECT min(i) |"
        " (WITH d(c) AS (VALUES (i)) SELECT min((SELECT min(i) FROM d)) FROM d) FROM c",
    ],
    "the negative of zero has no sign": [
        "CREATE TABLE z (r REAL, n)",
        "INSERT INTO z VALUES (0.0, 0.0), (1.5, '0.0'), (-2.5, 'x'), (NULL, NULL), (-0.0, 0), (3, -9223372036854775808)",
        "SELECT -r, - -r, -(r * 0), -n, -(-n), -CAST(n AS REAL), -total(r) OVER () FROM z",
        "SELECT printf('%f %s', -r, -n) FROM z WHERE -r = 0",
        "UPDATE z SET n = -r, r = -r",
        "SELECT r, n, r || '', n || '' FROM z",
        "SELECT -sum(r * 0), -avg(r * 0), -max(n * 0.0) FROM z WHERE r = 0",
    ],
    "the clustered primary key counts among the indexes of constraints": [
        "CREATE TABLE g (a INT UNIQUE, b INT UNIQUE, c TEXT, UNIQUE (c), PRIMARY KEY (a, b), UNIQUE (c, b)) WITHOUT ROWID",
        "CREATE INDEX later ON g(c)",
        "PRAGMA index_list(g)",
        *(f"PRAGMA index_info(sqlite_autoindex_g_{number})" for number in range(1, 7)),
        "CREATE TABLE h (a TEXT PRIMARY KEY, b INT UNIQUE) WITHOUT ROWID",
        "PRAGMA index_list(h)",
        "PRAGMA index_info(sqlite_autoindex_h_1)",
    ],
    "integers of hundreds of digits, and DISTINCT before the arguments of functions about one row": [
        "SELECT abs(DISTINCT -1), max(DISTINCT 1, 2), min(ALL 1, 0), printf(DISTINCT '%d', 3)",
        "SELECT sum(DISTINCT 1) OVER ()",
        f"SELECT {'9' * 400}, -{'9' * 400}, {'9' * 300}",
        ROWS,
        f"SELECT x FROM t WHERE x < {'9' * 400}",
    ],
    "no table is named in expressions that are stored": [
        "CREATE TABLE t (a INT, b AS (t.a + 1))",
        "CREATE TABLE t (a INT, b TEXT, CHECK (t.a > 0))",
        "CREATE INDEX i ON t(t.a)",
        "CREATE INDEX i ON t(a) WHERE t.a > 1",
        "ALTER TABLE t ADD COLUMN c AS (a + 1)",
        "SELECT name FROM sqlite_master",
    ],
    "ON CONFLICT names an indexed expression with its collation or without": [
        ROWS,
        FILLED,
        "CREATE UNIQUE INDEX i ON t((g || id) COLLATE NOCASE)",
        "INSERT INTO t VALUES (9, 'x', 1)",
        "INSERT INTO t VALUES (9, 'X', 1) ON CONFLICT ((g || id)) DO NOTHING",
        "INSERT INTO t VALUES (9, 'X', 1) ON CONFLICT ((g || id) COLLATE nocase) DO NOTHING",
        "INSERT INTO t VALUES (9, 'X', 1) ON CONFLICT ((g || id) COLLATE rtrim) DO NOTHING",
        "SELECT * FROM t",
    ],
    "row values in CASE and BETWEEN": [
        "SELECT CASE (1, 2) WHEN (1, 2) THEN 'y' ELSE 'n' END",
        "SELECT CASE (SELECT 1, 2) WHEN (1, NULL) THEN 'x' WHEN (1, 2) THEN 'y' END",
        "SELECT CASE (1, 2) WHEN (1, 3) THEN 'a' WHEN (SELECT 1, 2) THEN 'c' ELSE 'd' END",
        "SELECT CASE (1, 2) WHEN 1 THEN 1 END",
        "SELECT CASE 1 WHEN (1, 2) THEN 1 END",
        "SELECT CASE (1, 2) WHEN (1, 2, 3) THEN 1 END",
        "SELECT (1, 2) BETWEEN (1, 1) AND (1, 3), (1, 2) NOT BETWEEN (1, 1) AND (1, 3)",
        "SELECT (1, 2) BETWEEN (1, 1) AND (1, 2, 3)",
        "SELECT (1, 2) BETWEEN 1 AND 2",
        "SELECT 1 BETWEEN (1, 2) AND (1, 3)",
    ],
    "columns of one name in a view": [
        "CREATE VIEW v AS SELECT 1 AS a, 2 AS a, 3 AS 'a:1', 4 AS A",
        "SELECT * FROM v",
        "PRAGMA table_info(v)",
        "SELECT \"a:1\" FROM v",
        "CREATE TABLE made AS SELECT * FROM v",
        "PRAGMA table_info(made)",
    ],
    "a row that is its own parent": [
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE n (id INTEGER PRIMARY KEY, parent REFERENCES n (id), other)",
        "INSERT INTO n VALUES (1, 1, 0), (5, 5, 0), (6, 5, 0), (7, NULL, 0)",
        "UPDATE n SET id = 70 WHERE id = 7",
        "UPDATE n SET id = 10 WHERE id = 1",
        "UPDATE n SET id = 10, parent = 10 WHERE id = 1",
        "UPDATE n SET id = id + 1 WHERE id = 10",
        "UPDATE n SET other = 1, id = id",
        "UPDATE OR IGNORE n SET id = 12 WHERE id = 10",
        "UPDATE OR REPLACE n SET id = 12 WHERE id = 10",
        "CREATE TABLE w (a, b, up, PRIMARY KEY (a, b), FOREIGN KEY (up, b) REFERENCES w) WITHOUT ROWID",
        "INSERT INTO w VALUES (1, 1, 1), (2, 1, 1)",
        "UPDATE w SET a = 3 WHERE a = 1",
        "UPDATE w SET a = 3 WHERE a = 2",
        "SELECT * FROM n",
        "SELECT * FROM w",
        "PRAGMA foreign_key_check",
    ],
    "a generated column has no default, and neither it nor an index asks the clock": [
        "CREATE TABLE t (a AS (1) DEFAULT 3, b)",
        "CREATE TABLE t (a AS (CURRENT_TIMESTAMP), b)",
        "CREATE TABLE t (a, b AS (date(a)), c AS (strftime('%Y', a, '+1 day')))",
        "CREATE INDEX i ON t (current_date)",
        "CREATE INDEX i ON t (a) WHERE a < CURRENT_TIME",
        "CREATE INDEX i ON t (date(a, '+1 month'), strftime('%s', a))",
        "INSERT INTO t VALUES ('2024-01-31')",
        "CREATE INDEX bad ON t (date('now'))",
        "CREATE INDEX bad ON t (date())",
        "CREATE INDEX bad ON t (strftime('%Y'))",
        "CREATE INDEX bad ON t (strftime('%Y', 'NOW', '+1 day'))",
        "SELECT * FROM t",
    ],
    "a sign behind an exponent": [
        "SELECT 1e5-1, 1E5+1, .5e1-1, 1.e2+1, 1e5-1e5, 1e5-1e5-1e5+1e3, 1e-5-1, 1e+5-1, '1e5-1'",
        "SELECT 1e5--1\n, [1e5-1], x1e5-1 /* ' 1e5-1 */ FROM (SELECT 3 AS x1e5, 4 AS [1e5-1])",
        "SELECT 'it''s 1e5-1', 1e5-1||'x''1e5-1' -- 1e5-1",
        "CREATE TABLE t (a DEFAULT (1e3-1), b AS (a+1e2-1), c CHECK (c > 1e1-20))",
        "INSERT INTO t (a, c) VALUES (1e5-1, -1e1+1)",
        "INSERT INTO t (c) VALUES (-5e0-4)",
        "INSERT INTO t (c) VALUES (-5e0-5)",
        "SELECT * FROM t WHERE a > 1e5-2 AND a < 1e5-0 OR b IN (1e5-1, 1e3+98)",
        "SELECT 1e5-1abc",
        "SELECT 1e5-'1e5-1",
    ],
    "the least integer in hexadecimal has no opposite": [
        "SELECT 0x8000000000000000, -0x7fffffffffffffff",
        "SELECT -0x8000000000000000",
        "SELECT - -0x8000000000000000",
        "SELECT -(0x8000000000000000)",
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (-0x8000000000000000)",
        "SELECT 5 -0x8000000000000000, -1*0x8000000000000000",
    ],
    "a blob that is too large": ["SELECT randomblob(1e15)", "SELECT randomblob(9223372036854775807)"],
    "a recursive query takes the rows one at a time, where that shows": [
        "WITH c(x) AS (VALUES (1), (1) UNION ALL SELECT DISTINCT x + 1 FROM c WHERE x < 3) SELECT x FROM c",
        "WITH c(x) AS (SELECT 1 UNION ALL SELECT (SELECT x FROM c)) SELECT x FROM c",
        "WITH c(x) AS (SELECT 1 UNION ALL SELECT v FROM (SELECT x + 1 AS v FROM c WHERE x < 3)) SELECT x FROM c",
        "WITH c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x IN (SELECT x FROM c)) SELECT x FROM c",
        "WITH c(x) AS (SELECT 1 UNION ALL SELECT a.x + 1 FROM c AS a, c WHERE a.x < 3) SELECT x FROM c",
        "WITH c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3 UNION ALL SELECT 9) SELECT x FROM c",
        ROWS,
        "WITH c(x) AS (SELECT 1 UNION ALL SELECT c.x + 1 FROM t RIGHT JOIN c ON t.x = c.x WHERE c.x < 3)"
        " SELECT x FROM c",
    ],
    "the UNION of a recursive query compares by collations": [
        "WITH c(x) AS (VALUES ('a' COLLATE NOCASE) UNION SELECT upper(x) FROM c) SELECT x FROM c",
        "WITH c(x) AS (SELECT 'a' UNION SELECT upper(x) COLLATE NOCASE FROM c) SELECT x FROM c",
        "WITH c(x) AS (VALUES ('a') UNION SELECT upper(x) COLLATE NOCASE FROM c) SELECT x FROM c",
        "VALUES ('a'), ('b') UNION SELECT 'A' COLLATE NOCASE",
        "VALUES ('a' COLLATE NOCASE), ('b') UNION SELECT 'A' COLLATE BINARY",
        "WITH c(x, y) AS (SELECT 'a', 1 UNION SELECT upper(x) COLLATE NOCASE, y + 1 FROM c WHERE y < 3)"
        " SELECT * FROM c",
    ],
    "columns of VALUES are those of its first row": [
        "WITH c(x) AS (VALUES (CAST('1' AS TEXT)), ('2')) SELECT x FROM c WHERE x = 1",
        "WITH c(x) AS (VALUES ('2'), (CAST('1' AS TEXT))) SELECT x FROM c WHERE x = 1",
        "WITH c(x) AS (VALUES ('b' COLLATE NOCASE), ('a'), ('B')) SELECT DISTINCT x FROM c ORDER BY x",
        "SELECT * FROM (VALUES ('b'), ('a' COLLATE NOCASE)) WHERE column1 = 'A'",
        "CREATE TABLE t (x TEXT)",
        "INSERT INTO t VALUES ('A'), ('b'), ('1')",
        "SELECT x FROM t WHERE x IN (VALUES ('a' COLLATE NOCASE), ('B'))",
        "SELECT x, column1 FROM t JOIN (VALUES ('a' COLLATE NOCASE), ('B')) ON column1 = x",
        "SELECT x, column1 FROM t JOIN (VALUES (1), (2)) ON column1 = x",
    ],
    "a subquery in two parentheses is a list of one value": [
        "SELECT 5 IN ((SELECT 1 UNION ALL SELECT 5)), 5 IN ((SELECT 5)), 5 NOT IN ((SELECT 1 WHERE 0))",
        "SELECT 5 IN ((SELECT 1), (SELECT 5)), 5 IN (SELECT 1 UNION ALL SELECT 5)",
        "SELECT 5 IN ((SELECT 1, 2))",
    ],
    "IS TRUE looks through COLLATE": [
        "SELECT 2 IS TRUE COLLATE NOCASE, 2 IS NOT TRUE COLLATE NOCASE, 2 IS (TRUE), 2 IS +TRUE",
    ],
    "what UPDATE ... FROM reads is joined without the table that is changed": [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE s (id, a)",
        "CREATE TABLE u (id, b)",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')",
        "INSERT INTO s VALUES (2, 's2'), (3, 's3')",
        "INSERT INTO u VALUES (2, 'u2'), (1, 'u1')",
        "UPDATE t SET v = a || b FROM s JOIN u USING (id) WHERE t.v = 'x'",
        "SELECT * FROM t",
        "UPDATE t SET v = a || b FROM s NATURAL JOIN u WHERE t.id = 1",
        "SELECT * FROM t",
        "UPDATE t SET v = b FROM s RIGHT JOIN u ON s.id = u.id WHERE t.id = u.id",
        "SELECT * FROM t",
        "UPDATE t SET v = b FROM s FULL JOIN u USING (id) WHERE t.id = u.id + 1",
        "SELECT * FROM t",
        "UPDATE t AS x SET v = a FROM s CROSS JOIN u WHERE x.id = s.id AND s.id = u.id",
        "SELECT * FROM t",
    ],
    "subqueries of RETURNING and ON CONFLICT know the statement's WITH": [
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b)",
        "WITH c (x) AS (SELECT 5) INSERT INTO t VALUES (5, 1) RETURNING (SELECT x FROM c), a IN (SELECT x FROM c)",
        "WITH c (x) AS (SELECT 5) INSERT INTO t SELECT x, 2 FROM c WHERE true"
        " ON CONFLICT (a) DO UPDATE SET b = (SELECT x + 1 FROM c)",
        "WITH c (x) AS (SELECT 5) INSERT INTO t VALUES (5, 2)"
        " ON CONFLICT (a) DO UPDATE SET b = (SELECT x + 2 FROM c) WHERE (SELECT x FROM c) = 5",
        "SELECT * FROM t",
        "WITH c (x) AS (SELECT 5), d AS (SELECT x + 1 AS y FROM c) UPDATE t SET b = (SELECT y FROM d)"
        " RETURNING (SELECT y FROM d), (WITH c AS (SELECT 7 AS x) SELECT x FROM c),"
        " (WITH e AS (SELECT x FROM c) SELECT x FROM e), EXISTS (SELECT 1 FROM c WHERE x = a)",
        "WITH c (x) AS (SELECT 5) DELETE FROM t WHERE a IN (SELECT x FROM c) RETURNING (SELECT x FROM c)",
        "WITH c (x) AS (SELECT 5) DELETE FROM t RETURNING (SELECT x FROM d)",
    ],
    "subqueries of RETURNING see the rows that were changed": [
        ROWS,
        FILLED,
        "UPDATE t SET x = x + 1 RETURNING id, (SELECT group_concat(x) FROM t AS o WHERE o.id <= t.id)",
        "UPDATE t SET x = x + 1 WHERE id = 2 RETURNING id, (SELECT sum(x) FROM t AS o WHERE o.id <= t.id)",
        "UPDATE t SET g = 'b' WHERE g = 'a' RETURNING id, (SELECT count(*) FROM t AS o WHERE o.g = t.g)",
        "DELETE FROM t WHERE id IN (2, 3) RETURNING id, (SELECT count(*) FROM t AS o WHERE o.id <= t.id)",
        "DELETE FROM t WHERE id = 4 RETURNING id, (SELECT count(*) FROM t AS o WHERE o.id <= t.id)",
    ],
    "ON CONFLICT names columns of the table, and collations": [
        "CREATE TABLE t (a UNIQUE, b COLLATE NOCASE UNIQUE, c)",
        "INSERT INTO t VALUES (1, 'x', 0)",
        "INSERT INTO t VALUES (1, 'y', 0) ON CONFLICT (t.a) DO UPDATE SET c = c + 1",
        "INSERT INTO t VALUES (1, 'y', 0) ON CONFLICT (main.t.a) DO UPDATE SET c = c + 1",
        "INSERT INTO t AS z VALUES (1, 'y', 0) ON CONFLICT (z.a) DO UPDATE SET c = z.c + 1",
        "INSERT INTO t VALUES (2, 'X', 0) ON CONFLICT (b COLLATE BINARY) DO UPDATE SET c = 9",
        "INSERT INTO t VALUES (2, 'X', 0) ON CONFLICT (b COLLATE nocase) DO UPDATE SET c = c + 1",
        "INSERT INTO t VALUES (2, 'X', 0) ON CONFLICT (b) DO UPDATE SET c = c + 1",
        "CREATE UNIQUE INDEX t_c ON t (c + 1) WHERE c > 1",
        "INSERT INTO t VALUES (2, 'z', 5) ON CONFLICT (t.c + 1) WHERE t.c > 1 DO UPDATE SET a = 7",
        "INSERT INTO t VALUES (3, 'w', 5) ON CONFLICT (c + 1) WHERE c > 1 DO UPDATE SET a = 8",
        "INSERT INTO t VALUES (3, 'w', 5) ON CONFLICT (c + 1) WHERE c > 2 DO UPDATE SET a = 9",
        "SELECT * FROM t",
        "CREATE TABLE u (a, b, c, UNIQUE (a, b))",
        "INSERT INTO u VALUES (1, 2, 3)",
        "INSERT INTO u VALUES (1, 2, 3) ON CONFLICT (u.b, a) DO UPDATE SET c = c + 1",
        "INSERT INTO u VALUES (1, 2, 3) ON CONFLICT (a, a) DO UPDATE SET c = c + 1",
        "INSERT INTO u VALUES (1, 2, 3) ON CONFLICT (a, b, b) DO UPDATE SET c = c + 1",
        "SELECT * FROM u",
    ],
    "JSON is a text in a subquery's column, whatever becomes of the subquery": [
        ROWS,
        FILLED,
        "SELECT json_group_array(v) FROM (SELECT json_object('x', x) AS v FROM t)",
        "SELECT json_group_object(id, v) FROM (SELECT id, json_array(x) AS v FROM t)",
        "SELECT json_group_array(v) OVER () FROM (SELECT json_object('x', x) AS v FROM t)",
        "SELECT json_group_array(json(v)) FROM (SELECT json_object('x', x) AS v FROM t)",
        "WITH c AS (SELECT json_object('x', x) AS v FROM t) SELECT json_array(v, coalesce(v, 1)) FROM c",
        "SELECT v FROM (SELECT json_array(x) AS v FROM t) WHERE json_array(v) <> '[[3]]'",
        "SELECT v FROM (SELECT json_array(x) AS v FROM t UNION SELECT 'a') WHERE json_array(v) = '[\"[3]\"]'",
        "SELECT json_object('a', (SELECT v FROM (SELECT json_group_array(x) AS v FROM t)))",
        "SELECT json_object('a', (SELECT json_group_array(x) FROM t))",
        "CREATE VIEW w AS SELECT id, json_object('x', x) AS v FROM t",
        "SELECT json_array(v), json_extract(v, '$.x'), v ->> 'x' FROM w WHERE id = 2",
        "SELECT json_group_array(v) FROM (SELECT * FROM w)",
    ],
    "windows are not grouped by, under no name": [
        ROWS,
        FILLED,
        "SELECT g, min(x) OVER (PARTITION BY g) AS m FROM t GROUP BY m",
        "SELECT g, row_number() OVER () AS m FROM t GROUP BY 2",
        "SELECT g, row_number() OVER () AS m FROM t GROUP BY g HAVING m = 1",
        "SELECT g, row_number() OVER (ORDER BY g) AS m FROM t GROUP BY g ORDER BY m + 1",
        "SELECT g, count(*) AS m, sum(count(*)) OVER () AS w FROM t GROUP BY g HAVING m = 2 ORDER BY g, w",
    ],
    "GROUP BY a position with a collation": [
        "CREATE TABLE t (x)",
        "INSERT INTO t VALUES ('a'), ('A'), ('b')",
        "SELECT x, count(*) FROM t GROUP BY 1 COLLATE NOCASE",
        "SELECT x || '', count(*) FROM t GROUP BY 1 COLLATE NOCASE ORDER BY 2",
        "SELECT x, count(*) FROM t GROUP BY 1 COLLATE NOPE",
    ],
    "names that mean nothing": [
        "CREATE TABLE t (a)",
        "CREATE INDEX i1 ON t ('nope')",
        "CREATE INDEX i2 ON t (\"nope\")",
        "CREATE INDEX i3 ON t ('a')",
        "CREATE INDEX i4 ON t ('nope' COLLATE NOCASE)",
        "SELECT name FROM sqlite_master ORDER BY name",
        "ALTER TABLE public.t ADD COLUMN x",
        "ALTER TABLE public.t RENAME TO u",
        "ALTER TABLE temp.t ADD COLUMN x",
        "ALTER TABLE main.t ADD COLUMN y",
        "CREATE TEMP TABLE q (a)",
        "ALTER TABLE main.q ADD COLUMN x",
        "ALTER TABLE temp.q ADD COLUMN x",
        "INSERT INTO t (a) DEFAULT VALUES",
        "INSERT INTO t DEFAULT VALUES",
        "SELECT * FROM t",
    ],
    "ON CONFLICT names the row id": [
        "CREATE TABLE t (a)",
        "INSERT INTO t (rowid, a) VALUES (1, 2)",
        "INSERT INTO t (rowid, a) VALUES (1, 3) ON CONFLICT (rowid) DO UPDATE SET a = excluded.a",
        "INSERT INTO t (rowid, a) VALUES (1, 4) ON CONFLICT (_rowid_) DO NOTHING",
        "INSERT INTO t (rowid, a) VALUES (1, 5) ON CONFLICT (t.oid) DO UPDATE SET a = a + 7",
        "SELECT rowid, a FROM t",
        "CREATE TABLE u (rowid, a UNIQUE)",
        "INSERT INTO u VALUES (1, 2)",
        "INSERT INTO u VALUES (1, 3) ON CONFLICT (rowid) DO NOTHING",
        "INSERT INTO u VALUES (1, 3) ON CONFLICT (oid) DO NOTHING",
        "SELECT * FROM u",
        "CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO w VALUES (1) ON CONFLICT (rowid) DO NOTHING",
    ],
    "legacy_alter_table: a table is remade under the views and triggers that name it": [
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, n, up REFERENCES p (id))",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p (id))",
        "CREATE INDEX i ON p (n)",
        "CREATE VIEW v AS SELECT * FROM p",
        "CREATE TRIGGER c_p AFTER INSERT ON c BEGIN INSERT INTO p VALUES (5, 6, 7); END",
        "CREATE TRIGGER p_p AFTER INSERT ON p BEGIN INSERT INTO p VALUES (5, 6, 7); END",
        "PRAGMA legacy_alter_table = ON",
        "ALTER TABLE p RENAME TO p2",
        "SELECT name, sql FROM sqlite_master",
        "PRAGMA foreign_keys = OFF",
        "ALTER TABLE p2 RENAME TO p3",
        "SELECT name, sql FROM sqlite_master",
        "CREATE TABLE made (id INTEGER PRIMARY KEY, n TEXT, more)",
        "ALTER TABLE made RENAME TO p",
        "SELECT name, sql FROM sqlite_master",
        "SELECT * FROM v",
        "PRAGMA legacy_alter_table = OFF",
        "ALTER TABLE p RENAME TO p5",
        "SELECT name, sql FROM sqlite_master",
        "DROP TABLE p5",
        "ALTER TABLE c RENAME TO c2",
    ],
    "turning defer_foreign_keys off forgets what it deferred": [
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p (id))",
        "INSERT INTO p VALUES (1)",
        "INSERT INTO c VALUES (1, 1)",
        "BEGIN",
        "PRAGMA defer_foreign_keys = ON",
        "CREATE TABLE made (id INTEGER PRIMARY KEY, n)",
        "INSERT INTO made SELECT id, 5 FROM p",
        "DROP TABLE p",
        "ALTER TABLE made RENAME TO p",
        "PRAGMA foreign_key_check",
        "PRAGMA defer_foreign_keys = OFF",
        "COMMIT",
        "SELECT * FROM p",
        "BEGIN",
        "PRAGMA defer_foreign_keys = ON",
        "INSERT INTO c VALUES (2, 8)",
        "COMMIT",
        "ROLLBACK",
        "CREATE TABLE d (p REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)",
        "BEGIN",
        "INSERT INTO d VALUES (8)",
        "PRAGMA defer_foreign_keys = OFF",
        "COMMIT",
        "ROLLBACK",
    ],
    "an UPDATE asks the checks that speak of what it changes": [
        "CREATE TABLE t (x CHECK (x > 0), y, z, CHECK (x < y OR y IS NULL), CHECK (rowid < 100))",
        "PRAGMA ignore_check_constraints = ON",
        "INSERT INTO t VALUES (-5, 1, 2), (-6, 1, 2)",
        "PRAGMA ignore_check_constraints = OFF",
        "UPDATE t SET y = NULL",
        "UPDATE t SET z = 3 WHERE rowid = 1",
        "UPDATE t SET x = x",
        "UPDATE t SET x = 5, y = 9 WHERE rowid = 1",
        "UPDATE t SET y = 1",
        "UPDATE t SET rowid = rowid + 99",
        "UPDATE t SET rowid = rowid + 10",
        "UPDATE OR IGNORE t SET y = 2",
        "SELECT rowid, * FROM t",
        "INSERT INTO t (rowid, x, y) VALUES (11, 1, 9) ON CONFLICT (rowid) DO UPDATE SET y = 0",
        "CREATE TABLE g (a, b AS (a * 2), c, CHECK (b < 10))",
        "INSERT INTO g (a) VALUES (1)",
        "UPDATE g SET a = 9",
        "UPDATE g SET a = 4, c = 5",
        "SELECT * FROM g",
        "CREATE TABLE k (id INTEGER PRIMARY KEY CHECK (id < 10), v)",
        "INSERT INTO k VALUES (1, 2)",
        "UPDATE k SET id = 20",
        "UPDATE k SET rowid = 21",
        "UPDATE k SET id = 5, v = 3",
        "SELECT * FROM k",
        "DELETE FROM t",
    ],
    "row ids in definitions": [
        "CREATE TABLE a (x CHECK (rowid < 5))",
        "CREATE TABLE b (x, CHECK (b.rowid < 5))",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, x, CHECK (rowid < 5))",
        "CREATE TABLE d (x AS (rowid))",
        "CREATE TABLE e (x PRIMARY KEY, CHECK (rowid < 5)) WITHOUT ROWID",
        "INSERT INTO a VALUES (1)",
        "INSERT INTO a (rowid, x) VALUES (9, 1)",
        "INSERT INTO b (rowid, x) VALUES (9, 1)",
        "INSERT INTO c VALUES (9, 1)",
        "UPDATE a SET rowid = 7",
        "UPDATE a SET rowid = 3",
        "CREATE INDEX i ON a (rowid)",
        "CREATE INDEX i ON a (rowid + 1)",
        "CREATE INDEX i ON a (x) WHERE rowid > 5",
        "ALTER TABLE a ADD COLUMN w AS (rowid + 1)",
        "SELECT rowid, * FROM a",
    ],
}  # fmt: skip


def outcome(connection: object, statement: str) -> object:
    """What the statement gave: column names and typed rows, or the error's kind and message; and what state is left."""
    assert isinstance(connection, (sqlite3.Connection, kvsh.Connection))
    result: object
    try:
        cursor = connection.execute(statement)
        names = [entry[0] for entry in cursor.description or ()]
        result = names, [repr(row) for row in cursor]  # with classes, and signs of zeros
    except (sqlite3.Error, kvsh.Error) as error:
        result = type(error).__name__, str(error)
    changed = connection.execute("SELECT changes(), total_changes(), last_insert_rowid()")
    return result, connection.in_transaction, changed.fetchone()


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_answered_as_by_sqlite3(name: str) -> None:
    ours = kvsh.connect(":memory:", isolation_level=None)
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statement in SCRIPTS[name]:
            assert outcome(ours, statement) == outcome(oracle, statement), statement
        assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        ours.close()
        oracle.close()


DEEP = {
    "derived tables": ("SELECT * FROM {} t {}", "(SELECT * FROM", ")"),
    "scalar subqueries": ("SELECT {} 1 {}", "1 = (SELECT", ")"),
    "scalar subqueries on the right": ("SELECT {} 1 {}", "(SELECT 1 WHERE 1 =", ")"),
    "BETWEEN": ("SELECT {} 1 {}", "(SELECT 1 BETWEEN 0 AND", ")"),
    "CASE": ("SELECT {} 1 {}", "CASE (SELECT", ") WHEN 1 THEN 1 END"),
    "IN": ("SELECT {} 1 {}", "(SELECT (SELECT", ") IN (SELECT 1))"),
    "correlated subqueries": (
        "SELECT a FROM t WHERE {} 1 {}",
        "a = (SELECT max(u.a) FROM t u WHERE u.a = t.a AND",
        ")",
    ),
}


@pytest.mark.parametrize("name", DEEP)
def test_a_deeply_nested_statement_is_planned_level_by_level(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each level was once looked at twice by the one around it: at a depth of 20, a million times."""
    from sql.bind.queries import Binder

    bound: list[None] = []
    query = Binder.query

    def counted(*arguments: Any) -> Any:
        bound.append(None)
        return query(*arguments)

    monkeypatch.setattr(Binder, "query", counted)
    form, begin, end = DEEP[name]
    ours = kvsh.connect(":memory:", isolation_level=None)
    ours.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    depth = 24
    statement = form.format(f"{begin} " * depth, f" {end}" * depth)
    assert ours.execute(statement).fetchall() == [(1,)]
    assert len(bound) <= 4 * depth
    ours.close()


def test_what_is_nested_beyond_all_bounds_is_an_error_of_the_statement() -> None:
    chain = [f"c{number} AS (SELECT * FROM c{number - 1})" for number in range(1, 4000)]
    ours = kvsh.connect(":memory:")
    with pytest.raises(kvsh.OperationalError, match="nested too deeply"):
        ours.execute(f"WITH c0 AS (SELECT 1), {', '.join(chain)} SELECT * FROM c3999")
    assert ours.execute("SELECT 1").fetchall() == [(1,)]
    ours.close()


@pytest.mark.parametrize("count", [1, 2, 700])
@pytest.mark.parametrize("form", ["SELECT k FROM u", "SELECT k, x FROM u"])
def test_negative_keys_find_nothing_among_those_from_zero_on(count: int, form: str) -> None:
    """Keys from 0 on are places of a list, and Python counts negative places from its end."""
    ours = kvsh.connect(":memory:", isolation_level=None)
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    columns = "*" if "x" in form else "t.id"
    for connection in (ours, oracle):
        assert isinstance(connection, (sqlite3.Connection, kvsh.Connection))
        connection.execute("CREATE TABLE u (k INTEGER PRIMARY KEY, x)")
        connection.execute("CREATE TABLE t (id INTEGER, other, more)")
        connection.executemany(
            "INSERT INTO u VALUES (?, ?)", [(n, n) for n in range(0, count * 3, 3)]
        )
        rows = [(n, 1, 2) for n in range(-count * 7 - 20, count * 7 + 20)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    for query in (
        f"SELECT {columns} FROM t JOIN ({form}) AS u ON u.k = t.id",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.id)",
        "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.id)",
        "SELECT count(*), sum(x) FROM t, u WHERE k = id AND x >= 0",
        "SELECT count(*), sum(id) FROM t, u WHERE k = id AND x >= 0",
    ):
        found = sorted(ours.execute(query).fetchall())
        assert found == sorted(oracle.execute(query).fetchall()), query
    ours.close()
    oracle.close()
