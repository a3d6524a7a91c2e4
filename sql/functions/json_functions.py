"""Placeholder until written."""

from sql.functions.registry import AnyFunction

FUNCTIONS: tuple[AnyFunction, ...] = ()
