"""Counts the syncs that a peer asks of the kernel, to prove that durable rows are durable.

A few lines of C, preloaded into the peer's processes, stand before fsync(), fdatasync() and the pwritev2() that
carries a sync of its own (RWF_DSYNC), and add up the calls; each process appends its sum to a file when it ends, be
it by `_exit`, as the kvsh shell does.  Python's `os.fsync`, SQLite in the module and in its shell, and LMDB all go
through them.  Where there is no C compiler or no LD_PRELOAD (macOS), nothing is counted and the report says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

static long syncs;

int fsync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    __atomic_add_fetch(&syncs, 1, __ATOMIC_RELAXED);
    return next(fd);
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    __atomic_add_fetch(&syncs, 1, __ATOMIC_RELAXED);
    return next(fd);
}

#ifdef RWF_DSYNC
ssize_t pwritev2(int fd, const struct iovec *data, int count, off_t offset, int flags) {
    static ssize_t (*next)(int, const struct iovec *, int, off_t, int);
    if (!next) next = (ssize_t (*)(int, const struct iovec *, int, off_t, int))dlsym(RTLD_NEXT, "pwritev2");
    if (flags & (RWF_DSYNC | RWF_SYNC)) __atomic_add_fetch(&syncs, 1, __ATOMIC_RELAXED);
    return next(fd, data, count, offset, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *data, int count, off64_t offset, int flags) {
    static ssize_t (*next)(int, const struct iovec *, int, off64_t, int);
    if (!next) next = (ssize_t (*)(int, const struct iovec *, int, off64_t, int))dlsym(RTLD_NEXT, "pwritev64v2");
    if (flags & (RWF_DSYNC | RWF_SYNC)) __atomic_add_fetch(&syncs, 1, __ATOMIC_RELAXED);
    return next(fd, data, count, offset, flags);
}
#endif

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("KVSH_BENCH_SYNCS");
    FILE *file = path && syncs ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%ld\n", syncs);
        fclose(file);
    }
    syncs = 0;
}

void _exit(int status) {
    static void (*next)(int);
    if (!next) next = (void (*)(int))dlsym(RTLD_NEXT, "_exit");
    tell();
    next(status);
    __builtin_unreachable();
}
"""


class SyncCounter:
    """The shim, compiled once into `directory`; `environment(path)` has a peer's syncs added to `path`."""

    def __init__(self, directory: str) -> None:
        self._shim: str | None = None
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None or not sys.platform.startswith("linux"):
            return
        source, shim = Path(directory, "syncs.c"), Path(directory, "syncs.so")
        source.write_text(_SOURCE, encoding="ascii")
        done = subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"],
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            self._shim = str(shim)

    def environment(self, path: str) -> dict[str, str]:
        """The environment of a process whose syncs are counted in the file `path`."""
        environment = dict(os.environ)
        if self._shim is not None:
            environment |= {"LD_PRELOAD": self._shim, "KVSH_BENCH_SYNCS": path}
        return environment

    def count(self, path: str) -> int | None:
        """What was counted in `path`; None if nothing can be counted here."""
        if self._shim is None:
            return None
        if not os.path.exists(path):
            return 0
        return sum(map(int, Path(path).read_text(encoding="ascii").split()))
