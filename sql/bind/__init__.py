"""The binder: names resolved to columns, affinities and collations decided, in SQLite's words.

It leaves the trees that it is given as they are, so that a statement is bound any number of times without a copy."""

from sql.bind.environment import BindEnvironment

__all__ = ["BindEnvironment"]
