"""CPython's own tests of the sqlite3 module, run against kvsh: `python -m tests.api.cpython`.

The tests are those of the running interpreter (`test.test_sqlite3`, where it ships them), with kvsh in
the place of the sqlite3 module, but for the DeprecationWarnings that newer ones expect: kvsh deprecates nothing.
Without arguments every module is run and the share that passed is
printed; arguments are parts of test names to run alone, with tracebacks.  `EXCLUDED` says what is
about SQLite's C library itself, and why.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import signal
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import kvsh
from tests.api.cpython_exclusions import EXCLUDED

MODULES = (
    "backup",
    "dbapi",
    "dump",
    "factory",
    "hooks",
    "regression",
    "transactions",
    "types",
    "userfunctions",
)
SECONDS_MAX = 30


class Unwarned:
    """What `assertWarns` gives where no warning is to come."""

    def __init__(self, filename: str) -> None:
        self.filename = filename

    def __enter__(self) -> Unwarned:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Outcome:
    """Names of tests (`module.Class.test`) by what became of them; `errors` has the tracebacks."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self.excluded: list[str] = []
        self.errors: dict[str, str] = {}


def is_shipped() -> bool:
    """Whether the interpreter has the tests."""
    try:
        return importlib.util.find_spec("test.test_sqlite3.test_dbapi") is not None
    except ModuleNotFoundError:
        return False


@contextlib.contextmanager
def in_place_of_sqlite3() -> Iterator[None]:
    """Let `import sqlite3` give kvsh, and work in an empty directory."""
    saved = {name: module for name, module in sys.modules.items() if _is_concerned(name)}
    for name in saved:
        del sys.modules[name]
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module("test.test_sqlite3")  # it wants the real one to be there
        sys.modules["sqlite3"] = kvsh
        os.chdir(directory)
        try:
            yield
        finally:
            os.chdir(before)
            for name in [name for name in sys.modules if _is_concerned(name)]:
                del sys.modules[name]
            sys.modules.update(saved)


def _is_concerned(name: str) -> bool:
    return name.split(".")[0] == "sqlite3" or name.startswith("test.test_sqlite3")


def exclusion(name: str) -> str | None:
    """Why the test `name` does not apply; None if it does."""
    for pattern, reason in EXCLUDED.items():
        if name == pattern or name.startswith(f"{pattern}."):
            return reason
    return None


def run(only: tuple[str, ...] = ()) -> Outcome:
    """Run the tests; with `only`, those whose names have one of these parts, excluded or not."""
    outcome = Outcome()
    with in_place_of_sqlite3():
        for module in MODULES:
            tests = unittest.defaultTestLoader.loadTestsFromModule(
                importlib.import_module(f"test.test_sqlite3.test_{module}")
            )
            for test in _flat(tests):
                name = test.id().removeprefix("test.test_sqlite3.test_")
                if only and not any(part in name for part in only):
                    continue
                if not only and exclusion(name) is not None:
                    outcome.excluded.append(name)
                    continue
                _run_one(test, name, outcome)
    return outcome


def _flat(tests: unittest.TestSuite | unittest.TestCase) -> Iterator[unittest.TestCase]:
    if isinstance(tests, unittest.TestCase):
        yield tests
    else:
        for test in tests:
            yield from _flat(test)


def _run_one(test: unittest.TestCase, name: str, outcome: Outcome) -> None:
    result = unittest.TestResult()
    case = unittest.TestCase
    with (
        contextlib.redirect_stderr(io.StringIO()),
        mock.patch.object(case, "assertWarns", _unwarned(case.assertWarns)),
        mock.patch.object(case, "assertWarnsRegex", _unwarned(case.assertWarnsRegex)),
        _limited(),
    ):
        test.run(result)
    problems = [*result.failures, *result.errors]
    if problems:
        outcome.failed.append(name)
        outcome.errors[name] = "\n".join(text for _, text in problems)
    elif result.skipped:
        outcome.skipped.append(name)
    else:
        outcome.passed.append(name)


def _unwarned(expect: Callable[..., Any]) -> Callable[..., Any]:
    """`assertWarns`, or its like, that expects no DeprecationWarnings."""

    def expecting(test: unittest.TestCase, category: Any, *arguments: Any, **options: Any) -> Any:
        if category is DeprecationWarning:
            return Unwarned(sys._getframe(1).f_code.co_filename)
        return expect(test, category, *arguments, **options)

    return expecting


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """A test that hangs fails."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {SECONDS_MAX} seconds")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS_MAX)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def main() -> int:
    """Print what passed; 1 if a test that applies failed."""
    if not is_shipped():
        print("this interpreter does not ship test.test_sqlite3")
        return 0
    only = tuple(sys.argv[1:])
    outcome = run(only)
    for name in outcome.failed:
        lines = outcome.errors[name].strip().splitlines()
        print(f"FAILED {name}: {lines[-1]}")
        if only:
            print(outcome.errors[name])
    counted = len(outcome.passed) + len(outcome.failed)
    share = len(outcome.passed) / counted if counted else 1.0
    print(
        f"{len(outcome.passed)} of {counted} passed ({share:.1%}); {len(outcome.skipped)} skipped by"
        f" themselves, {len(outcome.excluded)} do not apply"
    )
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
