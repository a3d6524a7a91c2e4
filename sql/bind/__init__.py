"""The binder: names resolved to columns, affinities and collations decided, in SQLite's words."""

from sql.bind.environment import BindEnvironment

__all__ = ["BindEnvironment"]
