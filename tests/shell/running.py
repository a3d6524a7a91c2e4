"""Running kvsh as a process, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent


class Outcome(NamedTuple):
    """What a run gave."""

    status: int
    out: str
    err: str


def environ(**more: str) -> dict[str, str]:
    """A process environment in which nothing of the user's own counts."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KVSH_")}
    return {**kept, "KVSH_CONFIG": "", "KVSH_HISTORY": "", "PYTHONPATH": str(ROOT), **more}


def command(*arguments: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "kvsh", *arguments]


def kvsh(
    *arguments: str | Path, stdin: str | bytes = b"", cwd: Path | None = None, **env: str
) -> Outcome:
    """Run kvsh to its end."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        command(*map(str, arguments)),
        input=data,
        capture_output=True,
        cwd=cwd,
        env=environ(**env),
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode())
