"""What a SELECT can say, one query a line, against sqlite3 on the same tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine
from tests.sql.fuzz.agreement import same

TABLES = """
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, city TEXT COLLATE NOCASE, age INTEGER, height REAL)
CREATE TABLE sale(id INTEGER PRIMARY KEY, person INTEGER, day INTEGER NOT NULL, amount REAL, note)
CREATE TABLE part(code TEXT, place INTEGER, weight, PRIMARY KEY (code, place)) WITHOUT ROWID
CREATE TABLE mixed(v, w)
CREATE TABLE edge(a INTEGER, b INTEGER)
CREATE INDEX sale_person ON sale(person, day)
CREATE INDEX person_age ON person(age DESC)
CREATE INDEX person_low ON person(lower(name))
CREATE INDEX sale_noted ON sale(note) WHERE note IS NOT NULL
CREATE VIEW total(person, amount) AS SELECT person, sum(amount) FROM sale GROUP BY person
"""

QUERIES = """
SELECT * FROM person
SELECT * FROM person WHERE id = 3
SELECT name FROM person WHERE id IN (5, 2, 2, 99, NULL) ORDER BY id DESC
SELECT name FROM person WHERE id BETWEEN 3 AND 6 AND age > 20
SELECT rowid, oid, _rowid_, id FROM person WHERE rowid < 3
SELECT name FROM person WHERE id = 3.0
SELECT name FROM person WHERE id = '3'
SELECT name FROM person WHERE id > 7.5
SELECT name, age FROM person ORDER BY age, name
SELECT name, age FROM person ORDER BY age DESC NULLS LAST, name LIMIT 3 OFFSET 1
SELECT name, age FROM person WHERE age > 30 ORDER BY age, name
SELECT name FROM person ORDER BY height DESC, id LIMIT 2
SELECT city, name FROM person ORDER BY city, id
SELECT name FROM person WHERE city = 'PARIS' ORDER BY id
SELECT name FROM person WHERE lower(name) = 'bob'
SELECT name FROM person WHERE lower(name) > 'c' ORDER BY lower(name)
SELECT name FROM person WHERE name LIKE 'a%' ORDER BY id
SELECT name FROM person WHERE name LIKE '%O%' ORDER BY id
SELECT name FROM person WHERE name GLOB '*[eo]b*' ORDER BY id
SELECT name FROM person WHERE name NOT LIKE '%a%' ORDER BY id
SELECT DISTINCT city FROM person
SELECT DISTINCT city, age > 30 FROM person ORDER BY 1, 2
SELECT count(*), count(age), count(DISTINCT age), sum(age), avg(age), min(age), max(age), total(height) FROM person
SELECT count(*) FROM person WHERE age > 100
SELECT max(age), name FROM person
SELECT min(height), name, city FROM person
SELECT max(name) FROM person WHERE city = 'rome'
SELECT min(age), max(age) FROM person WHERE age > 28
SELECT city, count(*), avg(age) FROM person GROUP BY city
SELECT city, count(*) AS n FROM person GROUP BY city HAVING n > 1 ORDER BY n DESC, city
SELECT city, max(age), name FROM person GROUP BY city ORDER BY city
SELECT age / 10, count(*) FROM person GROUP BY age / 10 ORDER BY 1
SELECT age / 10 AS decade, city, count(*) FROM person GROUP BY decade, city ORDER BY 1, 2
SELECT city, group_concat(name, '-') FROM person GROUP BY city ORDER BY city
SELECT city, sum(age) FILTER (WHERE height > 1.7) FROM person GROUP BY city ORDER BY city
SELECT count(*) FROM person GROUP BY city ORDER BY count(*) DESC, max(id) LIMIT 2
SELECT sum(age) FROM person HAVING count(*) > 100
SELECT p.name, s.amount FROM person p JOIN sale s ON s.person = p.id ORDER BY s.id
SELECT p.name, s.amount FROM person p, sale s WHERE s.person = p.id AND s.amount > 50 ORDER BY p.name, s.id
SELECT p.name, count(s.id) FROM person p LEFT JOIN sale s ON s.person = p.id GROUP BY p.id ORDER BY p.id
SELECT p.name, s.id FROM person p LEFT JOIN sale s ON s.person = p.id AND s.amount > 60 ORDER BY p.id, s.id
SELECT p.name FROM person p LEFT JOIN sale s ON s.person = p.id WHERE s.id IS NULL ORDER BY p.id
SELECT s.id, p.name FROM person p RIGHT JOIN sale s ON s.person = p.id ORDER BY s.id
SELECT s.id, p.name FROM person p FULL JOIN sale s ON s.person = p.id AND s.day > 3 ORDER BY p.id, s.id
SELECT a.name, b.name FROM person a JOIN person b ON a.age = b.age AND a.id < b.id ORDER BY 1, 2
SELECT * FROM person NATURAL JOIN (SELECT id, day FROM sale) ORDER BY id
SELECT name, day FROM person JOIN sale USING (id) ORDER BY id
SELECT count(*) FROM person CROSS JOIN sale
SELECT p.name, x.n FROM person p JOIN (SELECT person, count(*) n FROM sale GROUP BY person) x ON x.person = p.id ORDER BY 1
SELECT name, amount FROM person JOIN total ON total.person = person.id ORDER BY amount DESC, name
SELECT name FROM person WHERE id IN (SELECT person FROM sale WHERE amount > 50) ORDER BY id
SELECT name FROM person WHERE id NOT IN (SELECT person FROM sale WHERE person IS NOT NULL) ORDER BY id
SELECT name FROM person WHERE id NOT IN (SELECT person FROM sale) ORDER BY id
SELECT name FROM person p WHERE EXISTS (SELECT 1 FROM sale s WHERE s.person = p.id AND s.day = 2) ORDER BY id
SELECT name FROM person p WHERE NOT EXISTS (SELECT 1 FROM sale s WHERE s.person = p.id) ORDER BY id
SELECT name, (SELECT max(amount) FROM sale s WHERE s.person = p.id) FROM person p ORDER BY id
SELECT name, (SELECT s.id FROM sale s WHERE s.person = p.id ORDER BY amount DESC LIMIT 1) FROM person p ORDER BY id
SELECT name FROM person WHERE age > (SELECT avg(age) FROM person) ORDER BY id
SELECT (SELECT 1 WHERE 0), (SELECT 2), EXISTS (SELECT 1), 3 IN (SELECT 3)
SELECT name FROM person WHERE (city, age) IN (SELECT 'paris', 31 UNION ALL SELECT 'Rome', 25) ORDER BY id
SELECT name FROM person WHERE (age, id) > (28, 4) ORDER BY id
SELECT * FROM part ORDER BY code DESC, place
SELECT * FROM part WHERE code = 'b' AND place > 1
SELECT place FROM part WHERE code >= 'b' ORDER BY code, place LIMIT 2
SELECT code, sum(weight) FROM part GROUP BY code
SELECT v, typeof(v) FROM mixed ORDER BY v, typeof(v), w
SELECT v, count(*) FROM mixed GROUP BY v ORDER BY v
SELECT sum(v), avg(v), min(v), max(v), total(v) FROM mixed
SELECT w FROM mixed WHERE v > 1 ORDER BY w
SELECT w FROM mixed WHERE v < 'b' ORDER BY w
SELECT w FROM mixed WHERE v = '2' ORDER BY w
SELECT w FROM mixed WHERE v + 0 = 2 ORDER BY w
SELECT v || 'x', v + 1, v * 2.0, v / 2, v % 2, -v, NOT v FROM mixed ORDER BY w
SELECT w FROM mixed WHERE v IS NULL OR v IS 2 ORDER BY w
SELECT CASE WHEN v IS NULL THEN 'null' WHEN v < 2 THEN 'low' ELSE v END FROM mixed ORDER BY w
SELECT CASE v WHEN 1 THEN 'one' WHEN 'b' THEN 'bee' END FROM mixed ORDER BY w
VALUES (1, 'a'), (2, 'b') UNION ALL SELECT 3, 'c' ORDER BY 1 DESC
SELECT column1 + column2 FROM (VALUES (1, 2), (3, 4))
SELECT city FROM person UNION SELECT 'oslo' ORDER BY 1
SELECT id FROM person EXCEPT SELECT person FROM sale ORDER BY 1
SELECT id FROM person INTERSECT SELECT person FROM sale ORDER BY 1 LIMIT 2
SELECT age FROM person UNION ALL SELECT day FROM sale ORDER BY 1 LIMIT 5 OFFSET 2
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) SELECT sum(i), max(i) FROM n
WITH RECURSIVE reach(x) AS (SELECT 1 UNION SELECT b FROM edge JOIN reach ON a = x) SELECT x FROM reach ORDER BY x
WITH RECURSIVE f(a, b) AS (VALUES (0, 1) UNION ALL SELECT b, a + b FROM f LIMIT 10) SELECT a FROM f
WITH RECURSIVE d(x, n) AS (SELECT 1, 0 UNION ALL SELECT b, n + 1 FROM edge, d WHERE a = x AND n < 3 ORDER BY 2 DESC) SELECT * FROM d
WITH a AS (SELECT id, age FROM person), b AS (SELECT avg(age) m FROM a) SELECT a.id FROM a, b WHERE a.age > b.m ORDER BY 1
WITH t AS MATERIALIZED (SELECT person, sum(amount) s FROM sale GROUP BY person) SELECT x.person, y.s FROM t x JOIN t y ON x.person = y.person ORDER BY 1
SELECT name, row_number() OVER (ORDER BY age, id), rank() OVER (ORDER BY age), dense_rank() OVER (ORDER BY age) FROM person ORDER BY id
SELECT id, sum(amount) OVER (PARTITION BY person ORDER BY id) FROM sale ORDER BY id
SELECT id, avg(amount) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM sale ORDER BY id
SELECT id, lag(amount) OVER w, lead(amount, 2, -1) OVER w FROM sale WINDOW w AS (ORDER BY day, id) ORDER BY id
SELECT id, first_value(id) OVER w, last_value(id) OVER w, nth_value(id, 2) OVER w FROM sale WINDOW w AS (PARTITION BY day ORDER BY id) ORDER BY id
SELECT id, ntile(3) OVER (ORDER BY id), percent_rank() OVER (ORDER BY day), cume_dist() OVER (ORDER BY day) FROM sale ORDER BY id
SELECT person, sum(amount), rank() OVER (ORDER BY sum(amount) DESC) FROM sale GROUP BY person ORDER BY 1
SELECT id, count(*) FILTER (WHERE amount > 40) OVER (ORDER BY day RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM sale ORDER BY id
SELECT DISTINCT sum(amount) OVER (PARTITION BY person) FROM sale ORDER BY 1
SELECT id FROM sale WHERE note = 'x' OR person = 2 OR id = 1 ORDER BY id
SELECT id FROM sale WHERE person = 2 AND day >= 2 ORDER BY day DESC
SELECT day FROM sale WHERE person = 1 ORDER BY day
SELECT id FROM sale INDEXED BY sale_person WHERE person IN (1, 3) ORDER BY id
SELECT id FROM sale NOT INDEXED WHERE person = 1 ORDER BY id
SELECT note, count(*) FROM sale WHERE note IS NOT NULL GROUP BY note
SELECT id FROM sale WHERE note > 'w' ORDER BY id
SELECT id FROM sale WHERE amount = (SELECT max(amount) FROM sale)
SELECT max(id) FROM sale WHERE person = 1
SELECT min(day) FROM sale WHERE person IN (1, 2)
SELECT count(*) FROM (SELECT DISTINCT person FROM sale)
SELECT * FROM (SELECT name FROM person ORDER BY age, id LIMIT 3) ORDER BY name
SELECT x.a FROM (SELECT id AS a FROM person UNION ALL SELECT id + 100 FROM sale) AS x WHERE x.a > 6 ORDER BY 1
SELECT a.id, b.id, c.id FROM sale a, sale b, sale c WHERE a.person = b.person AND b.day = c.day AND a.id < b.id ORDER BY 1, 2, 3
SELECT name FROM person ORDER BY city COLLATE BINARY, name COLLATE NOCASE DESC
SELECT abs(-age), length(name), upper(name), substr(name, 2, 2), coalesce(age, 0), round(height, 1) FROM person ORDER BY id
SELECT id, amount FROM sale WHERE amount > 10 AND amount < 70 AND day <> 2 AND note IS NULL ORDER BY 2
SELECT id FROM person ORDER BY id LIMIT -1 OFFSET 5
SELECT id FROM person LIMIT 0
SELECT count(*) FROM person WHERE 0
SELECT 1 WHERE NULL
SELECT name AS n, age AS a FROM person WHERE n > 'c' AND a > 20 ORDER BY a, n
SELECT sum(s.amount * p.height) FROM sale s JOIN person p ON p.id = s.person WHERE p.city = 'rome'
SELECT p.city, sum(amount) AS total FROM sale s JOIN person p ON p.id = s.person GROUP BY p.city ORDER BY total DESC
SELECT count(*) FROM edge x JOIN edge y ON x.b = y.a JOIN edge z ON y.b = z.a
SELECT a FROM edge WHERE a = b OR (a > 2 AND b < 3) ORDER BY 1
SELECT json_extract('{"a": [1, 2]}', '$.a[1]'), value FROM json_each('[10, 20]') ORDER BY 2
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1
"""


def rows() -> Iterator[str]:
    people = [
        ("Ann", "Rome", 31, 1.7),
        ("Bob", "paris", 25, 1.82),
        ("cid", "Paris", 31, 1.6),
        ("Dora", "rome", None, 1.75),
        ("eve", "Oslo", 28, None),
        ("Fay", "PARIS", 45, 1.68),
        ("Gus", None, 25, 1.9),
        ("bob", "Rome", 25, 1.71),
    ]
    for number, (name, city, age, height) in enumerate(people, 1):
        yield f"INSERT INTO person VALUES ({number}, {sql(name)}, {sql(city)}, {sql(age)}, {sql(height)})"
    for number in range(1, 25):
        person = None if number % 11 == 0 else number * number % 6 + 1
        note = (None, "x", 5, None, "y")[number % 5]
        amount = number * 37 % 80 + 0.5
        yield f"INSERT INTO sale VALUES ({number}, {sql(person)}, {number % 4 + 1}, {amount}, {sql(note)})"
    for code in "abc":
        for place in range(3):
            yield f"INSERT INTO part VALUES ('{code}', {place}, {len(code) * place + ord(code)})"
    values = (
        "NULL",
        "1",
        "2",
        "2.0",
        "2.5",
        "'2'",
        "'b'",
        "'B'",
        "''",
        "x'62'",
        "-1",
        "'abc'",
        "1e3",
    )
    for number, value in enumerate(values):
        yield f"INSERT INTO mixed VALUES ({value}, {number})"
    for a, b in ((1, 2), (2, 3), (3, 1), (3, 4), (4, 4), (5, 6), (6, 5)):
        yield f"INSERT INTO edge VALUES ({a}, {b})"


def sql(value: Any) -> str:
    return "NULL" if value is None else repr(value)


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[KvshEngine, SqliteEngine]]:
    ours, oracle = KvshEngine(leaf_limit=4), SqliteEngine()
    for statement in [*TABLES.strip().splitlines(), *rows()]:
        ours.execute(statement)
        oracle.execute(statement)
    yield ours, oracle
    ours.close()
    oracle.close()


@pytest.mark.skipif(
    sqlite3.sqlite_version_info < (3, 39, 0), reason="this sqlite3 has no RIGHT and FULL JOIN"
)
@pytest.mark.parametrize("query", QUERIES.strip().splitlines())
def test_a_query_gives_what_sqlite_gives(
    engines: tuple[KvshEngine, SqliteEngine], query: str
) -> None:
    ours, oracle = engines
    expected = oracle.execute(query)
    assert same(ours.execute(query), expected, ordered=True), f"sqlite3: {expected}"
    assert ours.columns == oracle.columns
