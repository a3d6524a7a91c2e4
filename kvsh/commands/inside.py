"""Commands that look inside the file: trees, pages, the log, where rows lie, what a crash would leave."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from kvsh.arguments import Arguments, CommandError, UsageError

if TYPE_CHECKING:
    from btree import Key, Row, TreeKind
    from kvsh.arguments import Word
    from kvsh.draw.files import Cut
    from kvsh.draw.pen import Pen
    from kvsh.draw.shapes import Place
    from kvsh.draw.source import TreeName
    from kvsh.environment import Environment
    from sql import Index, SqlValue, Table

CHILDREN_SHOWN = 8
ROWS_SHOWN = 20
CUTS = 5


def _pen(environment: Environment) -> Pen:
    from kvsh.chart import plain
    from kvsh.draw.pen import Pen

    direct = environment.target.is_terminal
    paint = environment.paint if direct and environment.paint else plain
    return Pen((environment.screen or 80) if direct else 100, environment.unicode, paint)


def _print(environment: Environment, lines: list[str]) -> None:
    environment.write("\n".join(lines) + "\n")


def _in_file(environment: Environment) -> str:
    """The file's path.  Raises CommandError for the scratch database."""
    if environment.path is None:
        raise CommandError("the scratch database in memory has no file")
    return environment.path


def tree(environment: Environment, arguments: Arguments) -> None:
    from kvsh.draw import source, trees

    pen = _pen(environment)
    schema = environment.session.schema
    key = arguments.option("--path")
    with environment.reading() as transaction:
        if not arguments.words and key is None:
            shapes = [source.tree_shape(transaction, name) for name in source.tree_names(schema)]
            _print(environment, trees.forest(pen, shapes))
            return
        name = _tree_named(environment, arguments)
        if key is None:
            root, children = source.root_and_children(transaction, name, CHILDREN_SHOWN)
            shape = source.tree_shape(transaction, name)
            _print(environment, trees.tree(pen, shape, root, children))
            return
        wanted = _key(transaction.tree(name.tree_id).kind, key)
        steps, cells, found = source.path_steps(transaction, name, wanted)
        _print(environment, trees.path(pen, name.title, wanted, steps, cells, found))


def _tree_named(environment: Environment, arguments: Arguments) -> TreeName:
    from kvsh.draw.source import find_tree, tree_names
    from kvsh.themes import nearest

    wanted = arguments.words[0].text if arguments.words else "kv"
    schema = environment.session.schema
    name = find_tree(schema, wanted)
    if name is None:
        names = ["kv", *(known.name.partition(" on ")[0] for known in tree_names(schema)[2:])]
        raise CommandError(f"no table or index is called {wanted}{nearest(wanted, names)}", 7)
    return name


def _key(kind: TreeKind, word: Word) -> Key:
    """The key that a word means in a tree of that kind."""
    from btree import TreeKind
    from kvsh.commands.settings import number_or_text

    if kind is TreeKind.RAW:
        return word.bytes
    value: SqlValue = word.data if word.data is not None else word.text
    if word.data is None and not word.quoted:
        value = number_or_text(word.text)
    if kind is TreeKind.TABLE:
        if not isinstance(value, int):
            raise UsageError(f"a row's key is a whole number, not {word.text!r}", word.column)
        return value
    return (value,)


def page(environment: Environment, arguments: Arguments) -> None:
    from kvsh.draw import source, trees

    text = arguments.words[0].text
    if not text.isdecimal():
        raise UsageError(f"a page is a number, not {text!r}", arguments.column_of(0))
    _in_file(environment)
    with environment.reading() as transaction:
        found = source.find_page(transaction, environment.session.schema, int(text))
        if found is None:
            raise CommandError(
                "page 1 is the list of trees; .tree NAME draws one of them"
                if int(text) == 1
                else f"page {text} is no page of a tree: it is free, part of a large value, or not there"
            )
        name, shown = found
        cells = list(source.page_cells(shown))
    _print(environment, trees.page(_pen(environment), source.page_shape(shown), name.title, cells))


def log(environment: Environment, arguments: Arguments) -> None:
    from kvsh.draw import files, source

    newest = files.COMMITS_SHOWN
    if arguments.words:
        text = arguments.words[0].text
        if not text.isdecimal():
            raise UsageError(
                f".log takes a number of commits, not {text!r}", arguments.column_of(0)
            )
        newest = int(text)
    _in_file(environment)
    _print(environment, files.log(_pen(environment), source.log_shape(environment), newest=newest))


# -- where rows lie ------------------------------------------------------------------------------------


def where(environment: Environment, arguments: Arguments) -> None:
    from kvsh.draw import files

    query, table, rowids = _keys_query(environment, arguments.rest)
    found: list[Place] = []
    shown = 0
    result = environment.session.execute(query, environment.bound())
    try:
        keys = [row for batch in result.batches() for row in batch]
    finally:
        result.close()
    for key in keys[:ROWS_SHOWN]:
        found += _places(environment, table, key[0] if rowids else key)
        shown += 1
    if not keys:
        environment.write("no rows\n")
        return
    _print(environment, files.places(_pen(environment), found, more=len(keys) - shown))


def _keys_query(environment: Environment, text: str) -> tuple[str, Table | None, bool]:
    """The query that gives the keys of the rows of `SELECT ... FROM table ...`; the table; whether the
    keys are rowids.  Raises UsageError."""
    from kvsh.complete.tokens import OPERATOR, significant, tokenize

    usage = UsageError("usage: .where SELECT ... FROM TABLE ...", 8)
    tokens = [token for token in significant(tokenize(text)) if token.text != ";"]
    if not tokens or tokens[0].upper != "SELECT":
        raise usage
    depth = 0
    for at, token in enumerate(tokens):
        if token.kind == OPERATOR:
            depth += (token.text == "(") - (token.text == ")")
        elif depth == 0 and token.upper == "FROM" and at + 1 < len(tokens):
            break
    else:
        raise usage
    name = tokens[at + 1]
    tail = text[token.start :].rstrip().rstrip(";")
    if name.name.lower() == "kv" and "kv" not in environment.session.schema.tables:
        return f"SELECT CAST(key AS BLOB) {tail}", None, True
    table = environment.session.schema.tables.get(name.name.lower())
    if table is None:
        raise CommandError(f"no such table: {name.name}", 8 + name.start)
    if not table.without_rowid:
        return f"SELECT {name.text}.rowid {tail}", table, True
    columns = ", ".join(f'{name.text}."{table.columns[i].name}"' for i in table.primary_key)
    return f"SELECT {columns} {tail}", table, False


def _places(environment: Environment, table: Table | None, key: Key) -> list[Place]:
    """The places of a row and of its index entries; of a raw key if `table` is None."""
    from kvsh.draw.source import find_tree, place, tree_names

    schema = environment.session.schema
    with environment.reading() as transaction:
        if table is None:
            kv = find_tree(schema, "kv")
            assert kv is not None
            found = [place(transaction, kv, key)]
            return [one for one in found if one is not None]
        names = {name.tree_id: name for name in tree_names(schema)}
        if table.tree_id not in names:
            where = "temporary: it is in no file"
            if table.database != "temp":
                where = f"in the attached database {table.database}: open that by itself"
            raise CommandError(f"{table.name} is {where}")
        found = [place(transaction, names[table.tree_id], key)]
        row = transaction.tree(table.tree_id).get(key)
        for index in schema.indexes.values():
            if index.table.lower() == table.name.lower() and row is not None:
                entry = _index_key(index, row, key)
                if entry is not None:
                    found.append(place(transaction, names[index.tree_id], entry))
    return [one for one in found if one is not None]


def _index_key(index: Index, row: Row, key: Key) -> Key | None:
    """The key of a row's entry in an index of plain columns; None for others."""
    parts = []
    for column in index.columns:
        if column.expression is not None or column.column is None:
            return None
        value = key if column.column < 0 else row[column.column]
        if isinstance(value, str) and column.collation == "NOCASE":
            value = value.translate(_LOWER)
        elif isinstance(value, str) and column.collation == "RTRIM":
            value = value.rstrip(" ")
        parts.append(value)
    return (*parts, *key) if isinstance(key, tuple) else (*parts, key)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


# -- crashes ---------------------------------------------------------------------------------------------


def crash(environment: Environment, arguments: Arguments) -> None:
    from kvsh.draw import files

    path = _in_file(environment)
    if environment.options.safe:
        raise CommandError("not available with --safe: it reads or writes files")
    count = CUTS
    if arguments.words:
        text = arguments.words[0].text
        if not text.isdecimal() or not int(text):
            raise UsageError(f".crash takes a number of cuts, not {text!r}")
        count = int(text)
    with tempfile.TemporaryDirectory(prefix="kvsh-") as folder:
        image = os.path.join(folder, "image.db")
        newest, places = _crash_image(path, os.path.join(folder, "live.db"), image, count)
        size = os.path.getsize(image)
        copy = os.path.join(folder, "copy.db")
        cuts = [_cut(image, copy, at) for at in (*places, size)]
    _print(environment, files.crash(_pen(environment), path, size, newest, cuts))


def _crash_image(path: str, live: str, image: str, count: int) -> tuple[int, list[int]]:
    """Copy the file, commit `count` times more, and make `image` what a crash would leave then.  The
    newest commit, and a place in the middle of each of those."""
    from btree import KeySpace, open_store

    shutil.copyfile(path, live)
    # Nothing is synced: a cut in what was known to be on the disk would be damage, and no crash.
    store: Any = open_store(live, durability="off")
    try:
        newest = 0
        for _ in range(count):
            transaction = store.begin(write=True)
            newest = newest or transaction.commit_number
            space = KeySpace(transaction)
            space.put(_PROBE, _PROBE * 20)
            space.delete(_PROBE)
            transaction.commit()
        places = [_middle(info) for info in store.log() if info.lsn > newest]
        shutil.copyfile(live, image)
    finally:
        store.close()
    return newest + count, places


_PROBE = b"\0kvsh: crash"


def _middle(info: Any) -> int:
    """A place in the middle of a commit: pages stand before their commit record, redo is in it."""
    half: int = info.bytes // 2
    return int(info.offset) + (half if info.kind == "redo" else -half)


def _cut(image: str, copy: str, at: int) -> Cut:
    """Cut a copy of the image at `at` bytes, and let recovery open it."""
    from btree import StoreError, open_store
    from kvsh.draw.files import Cut

    shutil.copyfile(image, copy)
    os.truncate(copy, at)
    try:
        store = open_store(copy)
    except StoreError as error:
        return Cut(at, None, str(error).removeprefix(f"{copy}: "), False)
    try:
        transaction = store.begin()
        commit = transaction.commit_number
        transaction.rollback()
        problems = store.check()
    finally:
        store.close()
    return Cut(at, commit, "sound" if not problems else problems[0], not problems)
