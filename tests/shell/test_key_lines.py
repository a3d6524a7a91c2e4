"""Lines of put, get and delete that run together do what they do one by one."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest

from btree import KeySpace, StorageError
from kvsh import key_lines
from kvsh.environment import Environment, Options
from kvsh.script import Script, run_path

WORDS = [
    "a",
    "b",
    "key:1",
    "'it''s'",
    '"two words"',
    '"say \\"hi\\""',
    "ä",
    "e;",
    "x=1",
    "fromage",
    "''",
]
ODD = [
    "delete from",
    "delete FROM kv;",
    "delete a b",
    "delete /*",
    "put a x'00ff'",
    "put a b --ttl 0s",
    "put  a   b",
    "get a;",
    "put a b;",
    "get x'61'",
    "# a comment",
    "",
    "exists a",
    "count",
    "begin",
    "commit",
    "rollback",
    "select count(*) from kv;",
    "put a",
    "get",
]


def script_of(rng: random.Random) -> str:
    lines = []
    for _ in range(rng.choice([5, 40, 200])):
        dice = rng.random()
        if dice < 0.4:
            lines.append(f"put {rng.choice(WORDS)} {rng.choice(WORDS)}")
        elif dice < 0.7:
            lines.append(f"get {rng.choice(WORDS)}")
        elif dice < 0.93:
            lines.append(f"delete {rng.choice(WORDS)}")
        else:
            lines.append(rng.choice(ODD))
    return "\n".join(lines) + rng.choice(["", "\n"])


def outcome(path: Path, text: str, *, keep_going: bool = False) -> tuple[Any, ...]:
    """What a script says, its status, and what it leaves behind."""
    script_path = path.with_suffix(".txt")
    script_path.write_text(text)
    out, err = io.BytesIO(), io.StringIO()
    environment = Environment(str(path), Options(), out=out, err=err)
    environment.keep_going = keep_going
    script = Script(environment)
    run_path(script, str(script_path))
    if environment.in_transaction():
        environment.rollback()
    with environment.reading() as transaction:
        left = [*KeySpace(transaction).scan()]
    environment.close()
    return out.getvalue(), err.getvalue().replace(str(path.parent), ""), script.status, left


@pytest.mark.parametrize("keep_going", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_the_same_as_one_by_one(
    tmp_path: Path, seed: int, keep_going: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = script_of(random.Random(seed))
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    if seed % 3 == 0:
        monkeypatch.setattr(key_lines, "SHOWN_BYTES_MAX", 5)
    together = outcome(tmp_path / "1" / "db", text, keep_going=keep_going)
    monkeypatch.setattr("kvsh.script.KEY_LINES", ())
    assert together == outcome(tmp_path / "2" / "db", text, keep_going=keep_going)


@pytest.mark.parametrize("begin", ["", "begin\n"])
def test_one_that_fails_is_named_with_its_place(
    tmp_path: Path, begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before it is done, once."""
    get = KeySpace.get

    def fails(self: Any, key: bytes) -> bytes | None:
        if key == b"bad":
            raise StorageError("a page can't be read")
        return get(self, key)

    monkeypatch.setattr(KeySpace, "get", fails)
    text = f"{begin}put a 1\nget a\nput b 2\nget b\ndelete a\nget bad\nput c 3\n"
    out, err, status, left = outcome(tmp_path / "db", text)
    line = 6 + bool(begin)
    assert (out, status) == (b"1\n2\n", 1)
    assert err.startswith(f"/db.txt:{line}:") and "a page can't be read" in err
    assert left == ([] if begin else [(b"b", b"2")])


def test_they_run_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    execute = key_lines.execute

    def noted(environment: Environment, text: str, start: int) -> tuple[int, int]:
        found = execute(environment, text, start)
        runs.append(text.count("\n", start, found[0]))
        return found

    monkeypatch.setattr(key_lines, "execute", noted)
    text = "".join(f"put k{n} {n}\nget k{n}\ndelete k{n - 1}\n" for n in range(500))
    out, err, status, left = outcome(tmp_path / "db", text)
    assert (err, status, left) == ("", 0, [(b"k499", b"499")])
    assert out == b"".join(b"%d\n" % n for n in range(500))
    assert runs == [1499]
