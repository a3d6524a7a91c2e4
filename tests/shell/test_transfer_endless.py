"""Input that has no end, or no line ends: it is refused before it fills the disk or the memory."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from btree import open_memory
from kvsh.transfer import TransferError, import_file
from sql import Session

LIMIT = 400_000
FORMATS = ["csv", "tsv", "json", "jsonl"]


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session(open_memory())
    yield session
    assert session.schema.tables == {}


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("fields", "documents", "source"):
        monkeypatch.setattr(f"kvsh.transfer.{module}.LINE_MAX", LIMIT)


def refused(session: Session, path: str | Path, format: str) -> str:
    with pytest.raises(TransferError) as caught:
        import_file(session, str(path), "t", format=format)
    return str(caught.value)


@pytest.mark.parametrize("format", [*FORMATS, "sql"])
def test_a_device_that_brings_nothing_but_nuls_is_no_text(session: Session, format: str) -> None:
    """`.import /dev/zero t` went on until the disk was full."""
    assert refused(session, "/dev/zero", format) == "/dev/zero is no text: it begins with NULs"


def test_nor_is_a_file_of_holes(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "holes.csv"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert refused(session, path, "csv") == f"{path} is no text: it begins with NULs"


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("format", "text", "complaint"),
    [
        ("csv", "a,b\n1,2\n" + "x" * 2 * LIMIT, ":3: the line has no end within"),
        ("csv", 'a,b\n1,"2"\n' + "x" * 2 * LIMIT + "\n", ":3: the line has no end within"),
        ("csv", 'a\n"' + "x\n" * LIMIT, ":2: a field has no end within"),
        ("tsv", "x" * 2 * LIMIT, ":1: the line has no end within"),
        ("jsonl", '{"a": 1}\n' + "x" * 2 * LIMIT, ":2: the line has no end within"),
        ("json", '[{"a": 1},\n{"a": "' + "x" * 8 * LIMIT, ":2: the value has no end within"),
        ("json", '[{"a": 1},\n?' + "x" * 8 * LIMIT, ":2: no JSON: Expecting value"),
    ],
)
def test_what_has_no_end_is_refused_where_it_begins(
    session: Session, tmp_path: Path, format: str, text: str, complaint: str
) -> None:
    path = tmp_path / "long.txt"
    path.write_text(text)
    message = refused(session, path, format)
    assert message.startswith(f"{path}{complaint}"), message


@pytest.mark.usefixtures("bounded")
def test_a_pipe_is_left_when_its_line_has_no_end(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pipe"
    path.write_bytes(b"a\n1\n" + b"x" * 2 * LIMIT)
    with path.open("rb") as pipe:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=pipe))
        message = refused(session, "-", "csv")
    assert message.startswith("stdin:3: the line has no end within")


@pytest.mark.parametrize("format", ["csv", "json", "jsonl"])
def test_a_long_line_that_ends_is_loaded(tmp_path: Path, format: str) -> None:
    """Longer than what is read at once, so that it comes in pieces; cut anywhere, also within an escape."""
    value = 'é"\n' * 700_000
    path = tmp_path / f"long.{format}"
    if format == "csv":
        out = io.StringIO()
        out.write('n,a\n1,"' + value.replace('"', '""') + '"\n2,x\n')
        path.write_text(out.getvalue(), encoding="utf-8")
    else:
        objects = [json.dumps({"n": 1, "a": value}), json.dumps({"n": 2, "a": "x"})]
        text = "\n".join(objects) if format == "jsonl" else f"[{','.join(objects)}]"
        path.write_text(text)
    session = Session(open_memory())
    assert import_file(session, str(path), "t").rows == 2
    assert session.execute("SELECT n, a FROM t").fetch_all() == [(1, value), (2, "x")]
