"""The peak of memory of a program that a test runs as a process of its own.

The program asks for it itself (`peak`), so that what its start took can be left out."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

SMALL_PAGES = "from tests.sql.peak import small_pages; small_pages()\n"
OF_ALLOCATORS = ("PYTHONMALLOC", "MALLOC_", "GLIBC_TUNABLES", "PYTHONTRACEMALLOC")


def peak() -> int:
    """The most bytes that this process has had in memory.  Linux alone tells."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    raise SystemExit("no VmHWM")


def small_pages() -> None:
    """From now on none of this process's memory comes in pages of 2 MB, as a machine may be set up to give it."""
    no_huge_pages = 41  # PR_SET_THP_DISABLE of linux/prctl.h
    ctypes.CDLL(None).prctl(no_huge_pages, 1, 0, 0, 0)


def printed_by(program: str, *arguments: object) -> list[int]:
    """The integers that a program prints, which is to end well; the allocator is as it comes, whatever the environment
    says of it."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", f"{SMALL_PAGES}{program}", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={
            name: value for name, value in os.environ.items() if not name.startswith(OF_ALLOCATORS)
        },
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]
