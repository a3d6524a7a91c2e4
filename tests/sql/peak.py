"""The peak of memory of a program that a test runs as a process of its own.

The program asks for it itself (`peak`), so that what its start took can be left out."""

from __future__ import annotations

from pathlib import Path


def peak() -> int:
    """The most bytes that this process has had in memory.  Linux alone tells."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    raise SystemExit("no VmHWM")


def printed_by(program: str, *arguments: object) -> list[int]:
    """The integers that a program prints, which is to end well."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]
