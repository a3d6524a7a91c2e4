"""The configuration file, the environment, themes."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kvsh.complete.tokens import Token
from kvsh.config import (
    SETTINGS,
    Config,
    SettingError,
    config_path,
    history_path,
    load,
    sample,
    setting,
)
from kvsh.highlight import highlighted, matching_bracket
from kvsh.themes import (
    INDEXED,
    MONOCHROME,
    SIXTEEN,
    THEMES,
    TRUE_COLOUR,
    Painter,
    ThemeError,
    colour_depth,
    make_theme,
    sgr,
)


def read(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ or {})


def test_settings_say_where_they_come_from(tmp_path: Path) -> None:
    config = read(tmp_path, 'mode = "csv"\ntimer = false\n', {"KVSH_MODE": "json"})
    config.set("keys", "vi", "session")
    assert (config["mode"], config.origin("mode")) == ("json", "KVSH_MODE")
    assert (config["timer"], config.origin("timer")) == (False, f"{tmp_path}/config.toml:2")
    assert (config["keys"], config.origin("keys")) == ("vi", "session")
    assert (config["suggest"], config.origin("suggest")) == (True, "default")
    assert [row[0] for row in config.rows()] == list(SETTINGS)


def test_an_unknown_setting_gets_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    config = read(tmp_path, '# mine\n\nthem = "dark"\nmode = "csv"\n')
    assert config.problems == [
        f"{tmp_path}/config.toml:3: no such setting: them; did you mean theme?"
    ]
    assert config["mode"] == "csv", "the rest of the file counts"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('keys = "vim"', "keys is one of emacs, vi, not 'vim'; did you mean vi?"),
        ("timer = 3", "timer is on or off, not 3"),
        ("history_size = -1", "history_size is a number of at least 0, not -1"),
        ("mode = 1", "mode is a text, not 1"),
        ("init = [1]", "init is a list of texts, not [1]"),
        ('theme = "drak"', "no such theme: drak; did you mean dark?"),
    ],
)
def test_a_value_that_does_not_fit_is_a_warning(tmp_path: Path, line: str, problem: str) -> None:
    config = read(tmp_path, line + "\n")
    assert config.problems == [f"{tmp_path}/config.toml:1: {problem}"]


def test_a_file_that_is_no_toml_or_no_text_is_a_warning(tmp_path: Path) -> None:
    assert "Invalid value" in read(tmp_path, "mode = ").problems[0]
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    assert "can't be read" in load(tmp_path / "config.toml", {}).problems[0]
    assert load(tmp_path, {}).problems, "a directory"
    assert not load(tmp_path / "absent", {}).problems


def test_texts_from_the_command_line_become_values() -> None:
    config = Config()
    config.set("timer", "off", "session")
    config.set("history-size", "5", "session")
    config.set("init", ".timer off; .mode csv", "session")
    assert (config["timer"], config["history_size"]) == (False, 5)
    assert config["init"] == (".timer off", " .mode csv")
    with pytest.raises(SettingError, match="no such setting: tmier; did you mean timer"):
        config.set("tmier", "on", "session")


def test_changes_are_told_to_those_who_asked() -> None:
    config, seen = Config(), []
    config.on_change.append(lambda name, value: seen.append((name, value)))
    config.set("theme", "light", "session")
    assert seen == [("theme", "light")]


def test_themes_of_the_file_build_on_others(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        'theme = "mine"\n[themes.mine]\nbase = "dark"\nkeyword = "bold #ff0000"\n[themes.bad]\nkeywrd = "bold"\n',
    )
    assert config.theme.styles["keyword"] == "bold #ff0000"
    assert config.theme.styles["string"] == THEMES["dark"].styles["string"]
    assert config.problems == [
        f"{tmp_path}/config.toml:5: theme bad: no such role: keywrd; did you mean keyword?"
    ]


def test_the_sample_is_a_file_that_says_what_is_so_anyway(tmp_path: Path) -> None:
    uncommented = "\n".join(
        line[2:] for line in sample().split("\n") if " = " in line and not line.endswith(")")
    )
    config = load(None, {})
    values = tomllib.loads(
        uncommented.replace('base = "dark"', "").replace('keyword = "bold #ffcc00"', "")
    )
    for name, value in values.items():
        assert setting(name).parse(value) == config[name]


def test_the_environment_says_where_files_lie(tmp_path: Path) -> None:
    assert config_path({"KVSH_CONFIG": ""}) is None
    assert config_path({"KVSH_CONFIG": str(tmp_path / "c")}) == tmp_path / "c"
    assert history_path({"KVSH_HISTORY": ""}) is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them() -> None:
    assert colour_depth(Terminal(), {"TERM": "xterm-256color"}) == INDEXED
    assert colour_depth(Terminal(), {"TERM": "xterm", "COLORTERM": "truecolor"}) == TRUE_COLOUR
    assert colour_depth(Terminal(), {"TERM": "xterm"}) == SIXTEEN
    assert colour_depth(Terminal(), {"TERM": "dumb"}) == MONOCHROME
    assert colour_depth(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}) == MONOCHROME
    assert colour_depth(io.StringIO(), {"TERM": "xterm"}) == MONOCHROME


def test_styles_become_escape_sequences() -> None:
    assert sgr("bold ansired", SIXTEEN) == "\x1b[1;31m"
    assert sgr("#102030 bg:#fff", TRUE_COLOUR) == "\x1b[38;2;16;32;48;48;2;255;255;255m"
    assert sgr("#ff0000", SIXTEEN) == ""
    with pytest.raises(ThemeError, match="no such style: ansirde; did you mean ansired"):
        sgr("ansirde", SIXTEEN)
    with pytest.raises(ThemeError, match="no such theme: x"):
        make_theme("mine", "x", {})


def test_every_theme_can_be_painted() -> None:
    for theme in THEMES.values():
        for depth in (MONOCHROME, SIXTEEN, INDEXED, TRUE_COLOUR):
            paint = Painter(theme, depth)
            for role in theme.styles:
                assert "text" in paint(role, "text")
    assert Painter(None)("keyword", "x") == "x"


def test_a_text_of_many_statements_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the text was read for each statement: 1,500 lines that were pasted took half a minute to show."""
    made = 0

    def counted(*fields: Any) -> Token:
        nonlocal made
        made += 1
        return Token(*fields)

    monkeypatch.setattr("kvsh.complete.tokens.Token", counted)
    text = "insert into t values (1, 'x');\n" * 400
    assert highlighted(text, lambda role, part: part) == text
    assert made <= 10 * 400 + 400  # ten each, and the one behind


def test_statements_are_highlighted_by_role() -> None:
    def paint(role: str, text: str) -> str:
        return (
            f"<{role}>{text}</>"
            if role in ("keyword", "string", "number", "function", "command")
            else text
        )

    assert (
        highlighted("SELECT count(*), 'it''s' FROM t WHERE a > 1.5 -- done", paint)
        == "<keyword>SELECT</> <function>count</>(*), <string>'it''s'</> <keyword>FROM</> t"
        " <keyword>WHERE</> a > <number>1.5</> -- done"
    )
    assert highlighted(".mode csv", paint) == "<command>.mode</> csv"


def test_brackets_match_outside_strings_and_comments() -> None:
    text = "f(')', (1), 2)"
    assert matching_bracket(text, 1) == len(text) - 1
    assert matching_bracket(text, len(text)) == 1
    assert matching_bracket(text, 7) == 9
    assert matching_bracket("(", 0) is None
