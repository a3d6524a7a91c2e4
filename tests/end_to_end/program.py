"""Running kvsh as a user does: a process with arguments, input, and two outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"

COMMAND = [sys.executable, "-m", "kvsh"]


def environment() -> dict[str, str]:
    """The environment of a test's process: no history, no configuration, no colours."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KVSH_CONFIG": "",
        "KVSH_HISTORY": "",
        "NO_COLOR": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def kvsh(
    *arguments: object, stdin: str | bytes | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[bytes]:
    """Run kvsh to its end."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=b"" if data is None else data,
        capture_output=True,
        env=environment(),
        timeout=timeout,
        check=False,
    )


def lines(*arguments: object, stdin: str | None = None) -> list[str]:
    """The lines that a run prints; it must succeed and say nothing on standard error."""
    done = kvsh(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b"", done.stderr.decode()
    return done.stdout.decode().splitlines()


def start(
    *arguments: object, stdin: int | None = subprocess.PIPE, extra: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start kvsh and leave it running."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments), *extra],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
