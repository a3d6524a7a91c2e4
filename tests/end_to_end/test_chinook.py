"""A real database script: every row and twelve queries equal sqlite3's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import kvsh
from tests.end_to_end.program import SHARED
from tests.end_to_end.program import kvsh as run

SCRIPT = SHARED / "data" / "chinook.sql"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the sample database is not here")

QUERIES = [
    "SELECT Name FROM Artist WHERE Name LIKE 'A%' ORDER BY Name",
    """SELECT ar.Name, count(*) AS albums FROM Artist ar JOIN Album al ON al.ArtistId = ar.ArtistId
       GROUP BY ar.ArtistId HAVING count(*) > 4 ORDER BY albums DESC, ar.Name""",
    """SELECT c.Country, round(sum(i.Total), 2) AS total, count(DISTINCT c.CustomerId)
       FROM Customer c JOIN Invoice i USING (CustomerId) GROUP BY c.Country ORDER BY total DESC, 1""",
    """SELECT g.Name, count(t.TrackId), avg(t.Milliseconds), max(t.Bytes) FROM Genre g
       LEFT JOIN Track t ON t.GenreId = g.GenreId GROUP BY g.GenreId ORDER BY g.Name""",
    """SELECT t.Name FROM Track t WHERE t.TrackId NOT IN (SELECT TrackId FROM InvoiceLine)
       ORDER BY t.Name, t.TrackId LIMIT 40""",
    """SELECT e.LastName, (SELECT m.LastName FROM Employee m WHERE m.EmployeeId = e.ReportsTo)
       FROM Employee e ORDER BY e.EmployeeId""",
    """SELECT p.Name, count(*) FROM Playlist p JOIN PlaylistTrack pt ON pt.PlaylistId = p.PlaylistId
       JOIN Track t ON t.TrackId = pt.TrackId WHERE t.Milliseconds > 300000
       GROUP BY p.Name ORDER BY 2 DESC, 1""",
    """SELECT strftime('%Y', InvoiceDate) AS year, sum(Total) FROM Invoice GROUP BY year ORDER BY year""",
    """SELECT a.Title, t.Name, t.Composer FROM Album a JOIN Track t ON t.AlbumId = a.AlbumId
       WHERE t.Composer IS NULL AND a.AlbumId BETWEEN 20 AND 60 ORDER BY a.Title, t.TrackId""",
    """WITH best AS (SELECT TrackId, sum(Quantity) AS sold FROM InvoiceLine GROUP BY TrackId)
       SELECT t.Name, b.sold FROM best b JOIN Track t ON t.TrackId = b.TrackId
       WHERE b.sold = (SELECT max(sold) FROM best) ORDER BY t.Name, t.TrackId LIMIT 20""",
    """SELECT CustomerId, InvoiceId, Total,
       sum(Total) OVER (PARTITION BY CustomerId ORDER BY InvoiceId) FROM Invoice
       WHERE CustomerId < 6 ORDER BY CustomerId, InvoiceId""",
    """SELECT DISTINCT BillingCity FROM Invoice WHERE EXISTS (SELECT 1 FROM Customer c
       WHERE c.City = BillingCity AND c.SupportRepId = 3) UNION SELECT City FROM Employee ORDER BY 1""",
]


@pytest.fixture(scope="module")
def oracle() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCRIPT.read_text(encoding="utf-8"))
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chinook") / "chinook.db"
    done = run(path, stdin=SCRIPT.read_bytes())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return path


def test_every_table_has_the_rows_that_sqlite_has(path: Path, oracle: sqlite3.Connection) -> None:
    with kvsh.connect(path, readonly=True) as connection:
        names = oracle.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert len(names) == 11
        for (name,) in names:
            query = f'SELECT * FROM "{name}"'
            assert connection.execute(query).fetchall() == oracle.execute(query).fetchall()
    connection.close()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_the_rows_that_sqlite_gives(
    path: Path, oracle: sqlite3.Connection, query: str
) -> None:
    connection = kvsh.connect(path, readonly=True)
    assert connection.execute(query).fetchall() == oracle.execute(query).fetchall()
    connection.close()


def test_the_file_passes_its_check_with_foreign_keys_on(path: Path) -> None:
    done = run(path, stdin="PRAGMA foreign_keys = ON;\nPRAGMA foreign_key_check;\n.check\n")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, "ok\n", b"")
