"""Plans: how many pages a query touches grows with its answer, not with the table.

The same queries run on a table and on one ten times as large; EXPLAIN ANALYZE counts the pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from btree import open_memory
from sql import Session

SMALL, LARGE = 100_000, 1_000_000

QUERIES = {
    "lookup by primary key": "SELECT * FROM item WHERE id = 77777",
    "lookup by unique index": "SELECT * FROM item WHERE code = 'c77777'",
    "range with LIMIT": "SELECT * FROM item WHERE tag >= 5000 ORDER BY tag LIMIT 20",
    "indexed join": "SELECT i.id, o.id FROM item i JOIN line o ON o.item = i.id WHERE i.id BETWEEN 500 AND 520",
    "minimum by index": "SELECT min(tag) FROM item",
    "maximum by index": "SELECT max(tag) FROM item",
    "ORDER BY on an index": "SELECT id FROM item ORDER BY tag DESC LIMIT 10",
}


def _filled(count: int) -> Session:
    session = Session(open_memory())
    session.execute(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, tag INTEGER NOT NULL)"
    )
    session.execute("CREATE TABLE line (id INTEGER PRIMARY KEY, item INTEGER NOT NULL)")
    session.begin()
    session.execute_many(
        "INSERT INTO item VALUES (?, ?, ?)", ((n, f"c{n}", n * 7919 % count) for n in range(count))
    )
    session.execute_many("INSERT INTO line VALUES (?, ?)", ((n, n) for n in range(count)))
    session.execute("CREATE INDEX item_tag ON item(tag)")
    session.execute("CREATE INDEX line_item ON line(item)")
    session.commit()
    return session


@pytest.fixture(scope="module")
def sessions() -> Iterator[tuple[Session, Session]]:
    made = _filled(SMALL), _filled(LARGE)
    yield made
    for session in made:
        session.close()


def pages_of(session: Session, query: str) -> int:
    """What EXPLAIN ANALYZE says of the pages read."""
    lines = [row[0] for row in session.execute(f"EXPLAIN ANALYZE {query}")]
    found = re.search(r"([\d,]+) pages? read", lines[-1])
    assert found is not None, lines
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("name", QUERIES)
def test_pages_do_not_grow_with_the_table(sessions: tuple[Session, Session], name: str) -> None:
    small, large = (pages_of(session, QUERIES[name]) for session in sessions)
    assert 0 < large <= max(2 * small, small + 30), (small, large)
    assert large < 200
