"""Settings of the interactive shell: a TOML file, the environment, the command line, the session.

    defaults < config.toml < KVSH_<NAME> in the environment < command line < `.config NAME VALUE`

The file lies in the platform's configuration directory (`~/.config/kvsh/config.toml` on Linux); KVSH_CONFIG
names another one, or none if it is empty.  Only a shell on a terminal reads it, so that a script does the same
everywhere.  A setting that does not exist, or a value that does not fit, is a warning that names file and line
and the nearest name; the rest of the file counts.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvsh.output import MODES
from kvsh.themes import THEMES, Theme, ThemeError, make_theme, nearest


class SettingError(ValueError):
    """An unknown setting or a value that does not fit it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: name, default, meaning, and what values it takes."""

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """What it can be set to, as words; none where that is anything."""
        return ("on", "off") if isinstance(self.default, bool) else self.choices

    def parse(self, value: Any) -> Any:
        """`value` (from TOML, or text from the command line) as this setting's type.  Raises SettingError."""
        expected = type(self.default)
        if isinstance(value, str) and expected is not str:
            value = _from_text(self, value)
        if expected is bool and not isinstance(value, bool):
            raise SettingError(f"{self.name} is on or off, not {value!r}")
        if expected is int and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise SettingError(f"{self.name} is a number of at least 0, not {value!r}")
        if expected is str and isinstance(value, bool):
            value = "on" if value else "off"  # `pager = false` means what it says
        if expected is str and not isinstance(value, str):
            raise SettingError(f"{self.name} is a text, not {value!r}")
        if expected is tuple:
            if not isinstance(value, list | tuple) or not all(isinstance(x, str) for x in value):
                raise SettingError(f"{self.name} is a list of texts, not {value!r}")
            return tuple(value)
        if self.choices and value not in self.choices:
            hint = nearest(value, list(self.choices))
            raise SettingError(
                f"{self.name} is one of {', '.join(self.choices)}, not {value!r}{hint}"
            )
        return value


_WORDS = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}  # fmt: skip


def _from_text(setting: Setting, text: str) -> Any:
    if isinstance(setting.default, bool):
        return _WORDS.get(text.strip().lower(), text)
    if isinstance(setting.default, int):
        return int(text) if text.strip().isdecimal() else text
    return [part for part in text.split(";") if part.strip()]


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("theme", "auto", "colours: auto, dark, light, mono, or a theme of this file"),
        Setting("keys", "emacs", "key bindings", ("emacs", "vi")),
        Setting("mode", "box", "output mode of results on a terminal", MODES),
        Setting("nullvalue", "", "what to print for NULL"),
        Setting("headers", True, "print the names of columns"),
        Setting("timer", True, "print how long each statement took"),
        Setting("pager", "auto", "page long results: auto, off, or a command"),
        Setting("completion", "typing", "when to offer completions", ("typing", "tab", "off")),
        Setting("keyword_case", "auto", "case of completed keywords", ("auto", "upper", "lower")),
        Setting("suggest", True, "suggest the rest of a line from the history, in grey"),
        Setting("banner", True, "a line on the database when the shell starts"),
        Setting("toolbar", True, "the status line at the bottom"),
        Setting("unicode", "auto", "box-drawing and block characters", ("auto", "on", "off")),
        Setting("confirm", True, "ask before keeping an UPDATE or DELETE without WHERE, or a DROP"),
        Setting("timeout", "0", "cancel statements that run longer (5s, 2m; 0: never)"),
        Setting("history_size", 10_000, "statements kept in the history; 0: none"),
        Setting(
            "prompt",
            "{database}{transaction}> ",
            "prompt; {database} {transaction} {mode} {readonly} {time}",
        ),
        Setting("init", (), "statements and commands to run at the start"),
    )
}


@dataclass(slots=True)
class Config:
    """Values in force, and where each came from.  `problems` are warnings to show once."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    themes: dict[str, Theme] = field(default_factory=lambda: dict(THEMES))
    problems: list[str] = field(default_factory=list)
    path: Path | None = None
    on_change: list[Callable[[str, Any], None]] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        return setting(name).default

    def origin(self, name: str) -> str:
        """Where the value comes from: `default`, file and line, a variable, `command line`, `session`."""
        return self.origins.get(name, "default")

    def set(self, name: str, value: Any, origin: str) -> None:
        """Set `name`.  Raises SettingError for an unknown name or a value that does not fit."""
        found = setting(name)
        parsed = found.parse(value)
        if found.name == "theme" and parsed not in self.themes:
            meant = nearest(parsed, list(self.themes)) or f"; there are {', '.join(self.themes)}"
            raise SettingError(f"no such theme: {parsed}{meant}")
        self.values[found.name] = parsed
        self.origins[found.name] = origin
        for notify in self.on_change:
            notify(found.name, parsed)

    @property
    def theme(self) -> Theme:
        return self.themes[self["theme"]]

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """(name, value, where from, meaning) of every setting, for `.config`."""
        for one in SETTINGS.values():
            yield one.name, shown(self[one.name]), self.origin(one.name), one.help


def setting(name: str) -> Setting:
    """The setting of that name (`-` counts as `_`).  Raises SettingError with the nearest name, or all of them."""
    found = SETTINGS.get(name.replace("-", "_").lower())
    if found is None:
        meant = nearest(name, SETTINGS) or f"; there are {', '.join(SETTINGS)}"
        raise SettingError(f"no such setting: {name}{meant}")
    return found


def shown(value: Any) -> str:
    """A value as it would stand in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


# -- where things lie --------------------------------------------------------------------------------


def config_path(environ: Mapping[str, str] | None = None) -> Path | None:
    """The file to read: KVSH_CONFIG, or config.toml in the platform's directory; None if there is to be none."""
    env = os.environ if environ is None else environ
    if "KVSH_CONFIG" in env:
        return Path(env["KVSH_CONFIG"]).expanduser() if env["KVSH_CONFIG"] else None
    from platformdirs import user_config_path

    return user_config_path("kvsh", appauthor=False) / "config.toml"


def history_path(environ: Mapping[str, str] | None = None) -> Path | None:
    """The history's file: KVSH_HISTORY, or `history` in the platform's state directory; None if there is to be none."""
    env = os.environ if environ is None else environ
    if "KVSH_HISTORY" in env:
        return Path(env["KVSH_HISTORY"]).expanduser() if env["KVSH_HISTORY"] else None
    from platformdirs import user_state_path

    return user_state_path("kvsh", appauthor=False) / "history"


# -- reading -----------------------------------------------------------------------------------------


def load(path: Path | None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration from a file (None or absent: none) and the environment.  Never fails: see `problems`."""
    config = Config(path=path)
    if path is not None:
        _read_file(config, path)
    for name, value in (os.environ if environ is None else environ).items():
        if name.startswith("KVSH_") and name[5:].lower() in SETTINGS:
            _attempt(config, name[5:].lower(), value, name, name)
    return config


def _read_file(config: Config, path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        config.problems.append(f"{path}: can't be read: {error}")
        return
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        config.problems.append(f"{path}: {error}")
        return
    _read_themes(config, path, text, table.pop("themes", {}))
    for name, value in table.items():
        where = f"{path}:{_line_of(text, name)}"
        _attempt(config, name, value, where, where)


def _read_themes(config: Config, path: Path, text: str, themes: Any) -> None:
    if not isinstance(themes, dict):
        config.problems.append(
            f"{path}:{_line_of(text, 'themes')}: themes are tables: [themes.NAME]"
        )
        return
    for name, styles in themes.items():
        try:
            if not isinstance(styles, dict) or not all(isinstance(s, str) for s in styles.values()):
                raise ThemeError(
                    f'theme {name}: each role takes a style, such as keyword = "bold ansiblue"'
                )
            changes = {role.replace("_", "."): s for role, s in styles.items() if role != "base"}
            config.themes[name] = make_theme(name, styles.get("base", "auto"), changes)
        except ThemeError as error:
            config.problems.append(f"{path}:{_line_of(text, f'themes.{name}')}: {error}")


def _attempt(config: Config, name: str, value: Any, origin: str, where: str) -> None:
    try:
        config.set(name, value, origin)
    except SettingError as error:
        config.problems.append(f"{where}: {error}")


def _line_of(text: str, name: str) -> int:
    """The line on which a key or table is set, as near as text can tell."""
    pattern = re.compile(rf"^\s*\[?\s*[\"']?{re.escape(name)}\b", re.MULTILINE)
    found = pattern.search(text)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def sample() -> str:
    """A configuration file with every setting at its default, commented out."""
    lines = ["# kvsh: settings of the interactive shell", ""]
    for one in SETTINGS.values():
        choices = f" ({', '.join(one.choices)})" if one.choices else ""
        lines += [f"# {one.help}{choices}", f"# {one.name} = {shown(one.default)}", ""]
    lines += ["# [themes.mine]", '# base = "dark"', '# keyword = "bold #ffcc00"', ""]
    return "\n".join(lines)
