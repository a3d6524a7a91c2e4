"""The namespace of a generated module: Python objects that its source refers to by name."""

from __future__ import annotations

import builtins
from typing import Any

_RESERVED = frozenset(dir(builtins)) | frozenset(
    [
        "run",
        "p",
        "check",
        "txn",
        "ctx",
        "keys",
        "rows",
        "groups",
        "g",
        "s",
        "v",
        "b",
        "x",
        "s_",
        "step_",
        "first",
        "out",
        "row",
        "batch",
        "found",
    ]
)
"""Names that generated code uses for itself."""


class Constants:
    """Gives each object a variable name; the same object, or an equal literal, gets the same name."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}
        self._by_identity: dict[int, str] = {}
        self._by_value: dict[tuple[type, Any], str] = {}

    def name(self, value: Any, hint: str = "k") -> str:
        """A variable that holds `value` in the generated module."""
        if value.__class__ in (int, float, str, bytes):
            key = (value.__class__, value if value else repr(value))  # 0.0 is not -0.0
            known = self._by_value.get(key)
            if known is None:
                known = self._by_value[key] = self._add(value, hint)
            return known
        known = self._by_identity.get(id(value))
        if known is None:
            known = self._by_identity[id(value)] = self._add(value, hint)
        return known

    def function(self, value: Any) -> str:
        """A function under its own name, so that the generated source reads well."""
        name = str(getattr(value, "__name__", "f"))
        if self.namespace.get(name) is value:
            return name
        if not name.isidentifier():
            return self.name(value, "f")
        ours = str(getattr(value, "__module__", "")).startswith("sql.")
        if ours and name not in self.namespace and name not in _RESERVED:
            self.namespace[name] = value
            return name
        return self.name(value, name)

    def _add(self, value: Any, hint: str) -> str:
        name = f"_{hint}{len(self.namespace)}"
        self.namespace[name] = value
        return name
