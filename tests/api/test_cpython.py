"""CPython's own tests of the sqlite3 module; see `tests.api.cpython`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api import cpython

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.skipif(not cpython.is_shipped(), reason="the interpreter does not ship the tests")
def test_all_of_cpythons_tests_that_apply_pass() -> None:
    """In a process of its own: it puts kvsh in the place of the sqlite3 module."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.api.cpython"],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    passed = int(run.stdout.rsplit("\n", 2)[-2].split(" of ")[0])
    assert passed >= 380, run.stdout


def test_every_exclusion_has_a_reason() -> None:
    for name, reason in cpython.EXCLUDED.items():
        assert name.split(".")[0] in cpython.MODULES
        assert len(reason) > 10
