"""What `import kvsh` gives, and what it costs."""

from __future__ import annotations

import doctest
import importlib
import sqlite3
import subprocess
import sys

import pytest

import kvsh


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `statement`."""
    script = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_imports_nothing_else() -> None:
    loaded = modules_after("import kvsh")
    assert not [name for name in loaded if name.startswith(("kvsh.", "sql", "btree", "engine"))]
    assert not loaded & {"msgspec", "sqlglot", "click", "prompt_toolkit", "pygments"}


@pytest.mark.parametrize("module", ["database", "connection", "cursor"])
def test_the_examples_in_the_docstrings_run(module: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(f"kvsh.{module}"))
    assert failed == 0


def test_raw_keys_never_load_the_parser() -> None:
    loaded = modules_after(
        "import kvsh\ndb = kvsh.open(':memory:')\nwith db.transaction(): db.put('a', 'b')\ndb.get('a')"
    )
    assert not loaded & {"sqlglot", "click", "prompt_toolkit", "pygments"}


def test_every_name_that_is_promised_is_there() -> None:
    for name in kvsh.__all__:
        assert getattr(kvsh, name) is not None
    assert set(kvsh.__all__) <= set(dir(kvsh))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kvsh.nothing  # noqa: B018


def test_dbapi2_is_an_attribute_as_of_the_sqlite3_module() -> None:
    assert "kvsh.dbapi2" not in modules_after("import kvsh")
    assert "kvsh.dbapi2" in modules_after("import kvsh; kvsh.dbapi2.connect")


def test_dbapi2_has_the_same_names() -> None:
    """As `from sqlite3 import dbapi2` of a program for which kvsh stands in the place of sqlite3."""
    script = (
        "import sys, kvsh\nsys.modules['sqlite3'] = kvsh\nfrom sqlite3 import dbapi2\n"
        "assert all(getattr(dbapi2, name) is getattr(kvsh, name) for name in kvsh.__all__)\n"
        "print(dbapi2.connect(':memory:').execute('SELECT ?', (dbapi2.SQLITE_DENY,)).fetchone())"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("(1,)\n", "")


def test_the_constants_are_those_of_sqlite3() -> None:
    names = [name for name in dir(sqlite3) if name.startswith("SQLITE_")]
    assert len(names) > 50
    for name in names:
        if hasattr(kvsh, name):
            assert getattr(kvsh, name) == getattr(sqlite3, name), name


def test_the_errors_form_the_tree_of_pep_249() -> None:
    assert issubclass(kvsh.DatabaseError, kvsh.Error)
    assert issubclass(kvsh.InterfaceError, kvsh.Error)
    for name in ("DataError", "OperationalError", "IntegrityError", "InternalError"):
        assert issubclass(getattr(kvsh, name), kvsh.DatabaseError)
    assert issubclass(kvsh.ProgrammingError, kvsh.DatabaseError)
    assert issubclass(kvsh.NotSupportedError, kvsh.DatabaseError)
    assert kvsh.Connection.OperationalError is kvsh.OperationalError
