"""Commands that look after the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError, Unfulfilled

if TYPE_CHECKING:
    from kvsh.environment import Environment


def check(environment: Environment, arguments: Arguments) -> None:
    problems = list(environment.store.check())
    if not problems:
        rows = environment.session.execute("PRAGMA integrity_check").fetch_all()
        problems = [row[0] for row in rows if row[0] != "ok"]
    if not problems:
        environment.write("ok\n")
        return
    environment.write("".join(f"{problem}\n" for problem in problems))
    count = len(problems)
    raise Unfulfilled(f"{count} problem{'' if count == 1 else 's'}")


def repair(environment: Environment, arguments: Arguments) -> None:
    from btree import repair as salvage

    if environment.options.safe:
        raise CommandError("not available with --safe: it reads or writes files")
    *sources, target = arguments.texts()
    source = sources[0] if sources else environment.path or environment.unopened
    if source is None:
        raise CommandError("which file?  .repair FILE TARGET")
    for line in salvage(source, target, _mended):
        environment.write(line + "\n")


def _mended(salvaged: str) -> list[str]:
    """Make the salvaged database one of SQL again; what that took."""
    from btree import open_store
    from sql import Session, mend

    store = open_store(salvaged)
    try:
        session = Session(store)
        try:
            return mend(session)
        finally:
            session.close()
    finally:
        store.close()


def compact(environment: Environment, arguments: Arguments) -> None:
    if environment.in_transaction():
        raise CommandError("a transaction is open: commit or roll it back first")
    from btree import purge_expired

    before = _file_bytes(environment)
    gone = purge_expired(environment.store)
    if gone:
        environment.say(f"{gone:,} expired key{'' if gone == 1 else 's'} taken away")
    with watched(environment, "compact") as progress:
        environment.store.compact(progress=progress)
    after = _file_bytes(environment)
    if before is not None and after is not None:
        from kvsh.draw.pen import size_text

        environment.say(f"{size_text(before)} before, {size_text(after)} now")


@contextmanager
def watched(
    environment: Environment, what: str, *, unit: str = "pages"
) -> Iterator[Callable[[int, int], None]]:
    """A callback for work that counts in `unit`: it stops the work at Ctrl-C and draws a bar on a terminal."""
    from kvsh.transfer.progress import Progress

    outer = environment.progress
    stream = environment.err if outer is None and environment.err.isatty() else None
    environment.progress = bar = Progress(stream, what, unit=unit)
    check = environment.session.cancellation.check

    def progress(done: int, total: int) -> None:
        check()
        bar.update(done, done=done, total=total)

    try:
        yield progress
    finally:
        environment.progress = outer
        bar.finish()


def _file_bytes(environment: Environment) -> int | None:
    stats = getattr(environment.store, "stats", None)
    return None if stats is None else int(stats()["file_bytes"])


def checkpoint(environment: Environment, arguments: Arguments) -> None:
    if environment.in_transaction():
        raise CommandError("a transaction is open: commit or roll it back first")
    environment.store.checkpoint()


def stats(environment: Environment, arguments: Arguments) -> None:
    figures = getattr(environment.store, "stats", None)
    if figures is None:
        environment.write("the scratch database in memory has no file\n")
        return
    names = {
        "file_bytes": "bytes in the file",
        "log_bytes": "bytes of log",
        "live_bytes": "bytes of live pages",
        "dead_bytes": "bytes that compaction frees",
        "redo_bytes": "bytes of redo to replay",
        "redo_commits": "commits to replay",
        "pages": "live pages",
        "commit": "newest commit",
        "next_page": "next page number",
        "cache_bytes": "bytes of nodes in memory",
        "cache_budget_bytes": "bytes that they may take",
        "cache_evictions": "nodes evicted",
    }
    for name, value in figures().items():
        environment.write(f"{names.get(name, name):<28} {value:>16,}\n")
