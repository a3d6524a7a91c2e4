"""Completion of dot commands and raw verbs from a table of commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kvsh.complete import (
    Candidate,
    CommandSpec,
    Completer,
    Datum,
    EmptyCatalog,
    Relation,
    SchemaNames,
)
from kvsh.complete.lines import quoted_argument

COMMANDS = {
    spec.name: spec
    for spec in (
        CommandSpec(".help", "dot", "help", ("topic...",)),
        CommandSpec(".mode", "dot", "output mode", ("mode",)),
        CommandSpec(".headers", "dot", "headers", ("one of on off",)),
        CommandSpec(
            ".import", "dot", "import", ("file", "table"), {"--strict": "", "--delimiter": "text"}
        ),
        CommandSpec(".chart", "dot", "chart", ("one of bar line", "sql")),
        CommandSpec(".config", "dot", "settings", ("setting", "value of")),
        CommandSpec(".export", "dot", "export", ("file", "table"), may_end_in_query=True),
        CommandSpec("get", "raw", "read a key", ("key",)),
        CommandSpec("put", "raw", "write a key", ("key", "value"), {"--ttl": "duration"}),
        CommandSpec("scan", "raw", "list keys", ("key", "key"), {"--prefix": "key", "--keys": ""}),
    )
}


class Keys(EmptyCatalog):
    def schema(self) -> SchemaNames:
        return SchemaNames({"artist": Relation("artist", ())})

    def keys(self, prefix: str, limit: int) -> Sequence[Datum]:
        known = ["user:1", "user:2", "two words"]
        return [Datum(key) for key in known if key.startswith(prefix)]


def hints(hint: str, typed: str) -> list[Candidate]:
    known = {
        "mode": ("box", "csv", "json"),
        "setting": ("keys",),
        "value of keys": ("emacs", "vi"),
    }
    return [Candidate(word, "argument") for word in known.get(hint, ())]


def complete(text: str) -> list[str]:
    completer = Completer(Keys(), COMMANDS, hints)
    return [proposal.insert for proposal in completer.complete(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".he", [".help", ".headers"]),
        (".mode c", ["csv"]),
        (".mode ", ["box", "csv", "json"]),
        (".headers o", ["on", "off"]),
        (".help .m", [".mode", ".import"]),
        ("get user:", ["user:1", "user:2"]),
        ("get 'two", ["'two words'"]),
        ("get tw", ["'two words'"]),
        ("get user:1 ", []),
        ("put user:1 ", ["--ttl"]),
        ("put user:1 --", ["--ttl"]),
        ("scan --prefix us", ["user:1", "user:2"]),
        ("scan --keys us", ["user:1", "user:2"]),
        (".chart ", ["bar", "line"]),
        (".chart bar SELECT * FROM art", ["artist"]),
        (".config ", ["keys"]),
        (".config keys ", ["emacs", "vi"]),
        (".config timer ", []),
        (".export f SELECT * FROM art", ["artist"]),
        (".export f art", ["artist"]),
        (".exp f art", ["artist"]),
        (".h .m", []),
        (".unknown x", []),
        ("SELECT 1;\nget user:", ["user:1", "user:2"]),
    ],
)
def test_arguments_are_completed_by_their_hints(text: str, expected: list[str]) -> None:
    assert complete(text) == expected


def test_the_start_of_a_line_offers_raw_verbs_beside_sql() -> None:
    assert "get" in complete("ge")
    assert "put" in complete("pu")


def test_files_are_completed_with_quotes_where_they_need_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.csv").touch()
    (tmp_path / "data dir").mkdir()
    monkeypatch.chdir(tmp_path)
    assert complete(".import da") == ["data.csv", "'data dir/"]
    assert complete(".import data.csv ") == ["artist"]
    assert complete(".import no/such/place") == []


def test_keys_are_quoted_where_a_bare_word_would_not_do() -> None:
    assert quoted_argument("a b") == "'a b'"
    assert quoted_argument("it's") == "'it''s'"
    assert quoted_argument("plain:key") == "plain:key"
