"""Settings of every test: property tests draw the same examples in each run, and the oracle does not warn.

A run that fails must fail again.  `KVSH_EXPLORE=1 make test` draws new examples each time.

Warnings are errors.  What newer versions of Python warn of in the sqlite3 module, with which answers are compared, says
nothing of kvsh: connections that are left to the garbage collector, positional arguments for `?1`, its converters of
dates.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("KVSH_EXPLORE") else "repeatable")


_OF_THE_ORACLE = (
    "ignore:unclosed database in <sqlite3.Connection:ResourceWarning",
    "ignore:Binding .* is a named parameter:DeprecationWarning",
    "ignore:The default .* is deprecated as of Python 3.12:DeprecationWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    """Leave the oracle's warnings out."""
    for warning in _OF_THE_ORACLE:
        config.addinivalue_line("filterwarnings", warning)
