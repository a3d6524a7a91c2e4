"""Threads of a test: none is waited for without end, and what fails in one fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

SECONDS_MAX = 300


def in_threads(*works: Callable[[], object]) -> None:
    """Run each in a thread of its own, all at once.  Raises the first exception that one of them raised."""
    failures: list[BaseException] = []
    threads = [Thread(target=_attempt, args=(work, failures)) for work in works]
    for thread in threads:
        thread.start()
    _join(threads)
    _raise(failures, threads)


@contextmanager
def beside(*works: Callable[[Event], object]) -> Iterator[None]:
    """Run each in a thread of its own while the block runs; the event that they are given is set at its end.

    Raises the first exception that one of them raised, if the block raised none."""
    failures: list[BaseException] = []
    done = Event()
    threads = [Thread(target=_attempt, args=(work, failures, done)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        _join(threads)
    _raise(failures, threads)


def _attempt(
    work: Callable[..., object], failures: list[BaseException], *arguments: object
) -> None:
    try:
        work(*arguments)
    except BaseException as error:  # raised where the threads are waited for
        failures.append(error)


def _join(threads: list[Thread]) -> None:
    for thread in threads:
        thread.join(SECONDS_MAX)


def _raise(failures: list[BaseException], threads: list[Thread]) -> None:
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
