"""The raw commands: the ordered key space, without SQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from btree import RAW_TREE_ID, KeySpace
from kvsh.arguments import Arguments, CommandError, Unfulfilled, UsageError, seconds

if TYPE_CHECKING:
    from btree import Transaction
    from kvsh.arguments import Word
    from kvsh.environment import Environment
    from kvsh.output import Row

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
SELECTION, DELETION = "SELECT * FROM", "DELETE FROM"
"""What does to a table's rows what `get` and `delete` do to a key."""


def _missing(environment: Environment, word: Word, meant: str = "") -> Unfulfilled:
    """Nothing is printed, the status is 1; a person at a terminal is told."""
    return Unfulfilled(absent(environment, word.bytes, meant) if environment.interactive else "")


def absent(environment: Environment, key: bytes, meant: str = "") -> str:
    """What a person is told of a key that is not there; `meant`: the beginning of the statement that does the same to
    all rows of a table, if it is a table's name."""
    told = f"no such key: {shown(key)}"
    if meant:
        from kvsh.complete.names import quoted_name

        name = key.decode("utf-8", "surrogateescape")
        schema = environment.session.schema
        view = schema.find_view(name) if meant == SELECTION else None
        if schema.find_table(name) is not None or view is not None:
            return f"{told}; the table's rows: {meant} {quoted_name(name)};"
    return told


def put(environment: Environment, arguments: Arguments) -> None:
    key, value = arguments.words
    lifetime = arguments.text("--ttl")
    expires = None if lifetime is None else _moment(lifetime, arguments.column_of_option("--ttl"))
    with environment.writing() as transaction:
        KeySpace(transaction).put(key.bytes, value.bytes, expires)
        if expires is not None:
            _clear_away(transaction, key.bytes)


def _clear_away(transaction: Transaction, near: bytes) -> None:
    """Take away expired keys in two leaves: the one of `near`, and the first of those that start like it up to
    a separator.  So whoever goes on putting keys that expire gets the room of the old ones back, whether
    their names ascend or not, at a cost that does not grow."""
    tree = transaction.tree(RAW_TREE_ID)
    now = _now_ms()
    prefix = near[: max(map(near.rfind, _SEPARATORS)) + 1]
    for start in (near, prefix):
        keys, values = next(iter(tree.batches(start)), ([], []))
        doomed = [
            key
            for key, value in zip(keys, values, strict=True)
            if value.__class__ is tuple and value[1] <= now
        ]
        tree.delete_many(doomed)


_SEPARATORS = (b":", b"/", b"|", b"#", b".")


def _moment(duration: str, column: int = 1) -> int:
    return _now_ms() + int(seconds(duration, column) * 1000)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def get(environment: Environment, arguments: Arguments) -> None:
    with environment.reading() as transaction:
        value = KeySpace(transaction).get(arguments.words[0].bytes)
    if value is None:
        raise _missing(environment, arguments.words[0], SELECTION)
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
    prefix = _prefix(arguments)
    if (prefix is None) == (not arguments.words):
        raise UsageError("usage: delete KEY... | --prefix P")
    if prefix == b"":  # as of a script's variable that is not set
        raise UsageError("an empty prefix is that of every key: DELETE FROM kv;")
    if prefix is not None:
        _delete_prefix(environment, prefix)
        return
    with environment.writing() as transaction:
        space = KeySpace(transaction)
        missing = [word for word in arguments.words if not space.delete(word.bytes)]
    if environment.interactive:
        for word in missing:
            environment.say(absent(environment, word.bytes, DELETION))


def _delete_prefix(environment: Environment, prefix: bytes) -> None:
    """Delete the keys that begin so, if a person at a terminal who hears how many wants that."""
    with environment.writing() as transaction:
        space = KeySpace(transaction)
        batches = _checked(environment, space.batches(prefix=prefix))
        doomed = [key for keys, _ in batches for key in keys]
        noun = "key" if len(doomed) == 1 else "keys"
        question = f"delete {len(doomed):,} {noun} that begin{'s' if len(doomed) == 1 else ''} with"
        if doomed and not environment.allows(f"{question} {shown(prefix)}? [y/N]"):
            environment.say("nothing was deleted")
            return
        space.delete_many(doomed)
    if environment.interactive:
        environment.say(f"{len(doomed):,} {noun} deleted")


def exists(environment: Environment, arguments: Arguments) -> None:
    with environment.reading() as transaction:
        there = KeySpace(transaction).exists(arguments.words[0].bytes)
    environment.write("1\n" if there else "0\n")
    if not there:
        raise Unfulfilled


def scan(environment: Environment, arguments: Arguments) -> None:
    low, high = _range(arguments)
    limit = arguments.number("--limit")
    reverse = arguments.has("--reverse")
    keys_only = arguments.has("--keys")
    with environment.reading() as transaction:
        batches = KeySpace(transaction).batches(
            low, high, prefix=_prefix(arguments), reverse=reverse
        )
        rows = _rows(_checked(environment, batches), keys_only=keys_only, limit=limit)
        environment.show(["key"] if keys_only else ["key", "value"], rows)


def _range(arguments: Arguments) -> tuple[bytes | None, bytes | None]:
    words = [word.bytes for word in arguments.words]
    return (words[0] if words else None), (words[1] if len(words) > 1 else None)


def _prefix(arguments: Arguments) -> bytes | None:
    prefix = arguments.option("--prefix")
    return None if prefix is None else prefix.bytes


def _checked(
    environment: Environment, batches: Iterator[tuple[list[bytes], list[bytes]]]
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The batches, until Ctrl-C."""
    for batch in batches:
        if environment.interrupted:
            raise KeyboardInterrupt
        yield batch


def _rows(
    batches: Iterator[tuple[list[bytes], list[bytes]]], *, keys_only: bool, limit: int | None
) -> Iterator[list[Row]]:
    left = limit
    for keys, values in batches:
        rows: list[Row]
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


def _texts(items: list[bytes]) -> list[str | bytes]:
    try:
        return [item.decode() for item in items]
    except UnicodeDecodeError:
        return [_text(item) for item in items]


def _text(item: bytes) -> str | bytes:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item


def count(environment: Environment, arguments: Arguments) -> None:
    low, high = _range(arguments)
    with environment.reading() as transaction:
        found = KeySpace(transaction).count(low, high, _prefix(arguments))
    environment.write(f"{found}\n")


def incr(environment: Environment, arguments: Arguments) -> None:
    key = arguments.words[0].bytes
    step = 1
    if len(arguments.words) > 1:
        try:
            step = int(arguments.words[1].text)
        except ValueError:
            raise UsageError(
                f"{arguments.words[1].text!r} is no whole number", arguments.column_of(1)
            ) from None
    with environment.writing() as transaction:
        space = KeySpace(transaction)
        old = space.get(key)
        try:
            value = int(old or b"0") + step
        except ValueError:
            raise CommandError(f"the value of {shown(key)} is no whole number") from None
        if not INT_MIN <= value <= INT_MAX:
            raise CommandError(f"the value of {shown(key)} would leave 64 bits")
        remaining = space.ttl(key)
        expires = None if remaining is None else _now_ms() + remaining
        space.put(key, str(value).encode(), expires)
    environment.write(f"{value}\n")


def expire(environment: Environment, arguments: Arguments) -> None:
    moment = _moment(arguments.words[1].text, arguments.column_of(1))
    with environment.writing() as transaction:
        if not KeySpace(transaction).expire(arguments.words[0].bytes, moment):
            raise _missing(environment, arguments.words[0])


def ttl(environment: Environment, arguments: Arguments) -> None:
    key = arguments.words[0].bytes
    with environment.reading() as transaction:
        space = KeySpace(transaction)
        if not space.exists(key):
            raise _missing(environment, arguments.words[0])
        remaining = space.ttl(key)
    environment.write("-1\n" if remaining is None else f"{-(-remaining // 1000)}\n")


def persist(environment: Environment, arguments: Arguments) -> None:
    key = arguments.words[0].bytes
    with environment.writing() as transaction:
        space = KeySpace(transaction)
        if not space.exists(key):
            raise _missing(environment, arguments.words[0])
        space.persist(key)


def begin(environment: Environment, arguments: Arguments) -> None:
    environment.session.begin("DEFERRED")


def commit(environment: Environment, arguments: Arguments) -> None:
    environment.session.commit()


def rollback(environment: Environment, arguments: Arguments) -> None:
    environment.session.rollback()
