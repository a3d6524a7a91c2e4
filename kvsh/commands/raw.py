"""The raw commands: the ordered key space, without SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from btree import KeySpace
from kvsh.arguments import Arguments, UsageError, seconds

if TYPE_CHECKING:
    from kvsh.environment import Environment

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1


class MissingKey(Exception):
    """A key that is not there: nothing is printed, the status is 1."""


def put(environment: Environment, arguments: Arguments) -> None:
    key, value = arguments.words
    expires = None
    if "--ttl" in arguments.options:
        expires = _moment(arguments.options["--ttl"])
    with environment.writing() as transaction:
        KeySpace(transaction).put(key.bytes, value.bytes, expires)


def _moment(duration: str) -> int:
    from btree.keyspace import now_ms

    return now_ms() + int(seconds(duration) * 1000)


def get(environment: Environment, arguments: Arguments) -> None:
    with environment.reading() as transaction:
        value = KeySpace(transaction).get(arguments.words[0].bytes)
    if value is None:
        raise MissingKey
    if environment.target.is_terminal:
        environment.write(shown(value) + "\n")
    else:
        environment.target.write_bytes(value + b"\n")


def shown(data: bytes) -> str:
    """Bytes for a terminal: text with control characters escaped, or x'..'."""
    from kvsh.output.values import cell, literal

    try:
        return cell(data.decode())
    except UnicodeDecodeError:
        return literal(data)


def delete(environment: Environment, arguments: Arguments) -> None:
    with environment.writing() as transaction:
        space = KeySpace(transaction)
        for word in arguments.words:
            space.delete(word.bytes)


def exists(environment: Environment, arguments: Arguments) -> None:
    with environment.reading() as transaction:
        there = KeySpace(transaction).exists(arguments.words[0].bytes)
    environment.write("1\n" if there else "0\n")
    if not there:
        raise MissingKey


def scan(environment: Environment, arguments: Arguments) -> None:
    low, high = _range(arguments)
    limit = arguments.number("--limit")
    reverse = "--reverse" in arguments.options
    keys_only = "--keys" in arguments.options
    with environment.reading() as transaction:
        batches = KeySpace(transaction).batches(low, high, reverse=reverse)
        rows = _rows(batches, keys_only=keys_only, limit=limit)
        environment.show(["key"] if keys_only else ["key", "value"], rows)


def _range(arguments: Arguments) -> tuple[bytes | None, bytes | None]:
    words = [word.bytes for word in arguments.words]
    low = words[0] if words else None
    high = words[1] if len(words) > 1 else None
    prefix = arguments.options.get("--prefix")
    if prefix is not None:
        from btree.keyspace import prefix_end

        start = prefix.encode("utf-8", "surrogateescape")
        end = prefix_end(start)
        low = start if low is None else max(low, start)
        if end is not None:
            high = end if high is None else min(high, end)
    return low, high


def _rows(
    batches: Iterator[tuple[list[bytes], list[bytes]]], *, keys_only: bool, limit: int | None
) -> Iterator[list[tuple[Any, ...]]]:
    left = limit
    for keys, values in batches:
        rows: list[tuple[Any, ...]]
        if keys_only:
            rows = [(key,) for key in _texts(keys)]
        else:
            rows = list(zip(_texts(keys), _texts(values), strict=True))
        if left is not None:
            rows = rows[:left]
            left -= len(rows)
        if rows:
            yield rows
        if left == 0:
            return


def _texts(items: list[bytes]) -> list[Any]:
    try:
        return [item.decode() for item in items]
    except UnicodeDecodeError:
        return [_text(item) for item in items]


def _text(item: bytes) -> Any:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item


def count(environment: Environment, arguments: Arguments) -> None:
    low, high = _range(arguments)
    with environment.reading() as transaction:
        environment.write(f"{KeySpace(transaction).count(low, high)}\n")


def incr(environment: Environment, arguments: Arguments) -> None:
    key = arguments.words[0].bytes
    step = 1
    if len(arguments.words) > 1:
        try:
            step = int(arguments.words[1].text)
        except ValueError:
            raise UsageError(f"{arguments.words[1].text!r} is no whole number") from None
    with environment.writing() as transaction:
        space = KeySpace(transaction)
        old = space.get(key)
        try:
            value = int(old or b"0") + step
        except ValueError:
            raise UsageError(f"the value of {shown(key)} is no whole number") from None
        if not INT_MIN <= value <= INT_MAX:
            raise UsageError(f"the value of {shown(key)} would leave 64 bits")
        remaining = space.ttl(key)
        expires = None
        if remaining is not None:
            from btree.keyspace import now_ms

            expires = now_ms() + remaining
        space.put(key, str(value).encode(), expires)
    environment.write(f"{value}\n")


def expire(environment: Environment, arguments: Arguments) -> None:
    moment = _moment(arguments.words[1].text)
    with environment.writing() as transaction:
        if not KeySpace(transaction).expire(arguments.words[0].bytes, moment):
            raise MissingKey


def ttl(environment: Environment, arguments: Arguments) -> None:
    key = arguments.words[0].bytes
    with environment.reading() as transaction:
        space = KeySpace(transaction)
        if not space.exists(key):
            raise MissingKey
        remaining = space.ttl(key)
    environment.write("-1\n" if remaining is None else f"{max(remaining, 0) / 1000:g}\n")


def persist(environment: Environment, arguments: Arguments) -> None:
    key = arguments.words[0].bytes
    with environment.writing() as transaction:
        space = KeySpace(transaction)
        if not space.exists(key):
            raise MissingKey
        space.persist(key)


def begin(environment: Environment, arguments: Arguments) -> None:
    environment.session.begin("DEFERRED")


def commit(environment: Environment, arguments: Arguments) -> None:
    environment.session.commit()


def rollback(environment: Environment, arguments: Arguments) -> None:
    environment.session.rollback()
