"""Drawings of the inside: right in 60, 80 and 200 columns, in Unicode and ASCII."""

from __future__ import annotations

import pytest

from kvsh.draw import files, trees
from kvsh.draw.pen import Pen, cells, counted, cut, hex_dump, key_text, printable, size_text, table
from kvsh.draw.shapes import (
    Cell,
    CommitShape,
    LevelShape,
    LogShape,
    PageShape,
    PathStep,
    Place,
    TreeShape,
)

TRACKS = TreeShape(
    "table Track",
    14,
    3503,
    "row",
    (LevelShape(1, 92, 2100, False), LevelShape(92, 3503, 290_000, True)),
)
LONG = TreeShape(
    "index " + "very_long_" * 9, 15, 1_234_567, "entry", TRACKS.levels, is_sampled=True
)
ROOT = PageShape(57, False, 92, 2100, 39, 3400)
LEAF = PageShape(65, True, 38, 3900, ("Ada " * 20, 1), ("日本語" * 20, 2), offset=81_920, commit=17)
ENTRIES = [Cell(i, i + 1996, (i, "line\nbreak " * 20), 103) for i in range(38)]
LOG = LogShape(
    "app.db",
    1_204_224,
    600_000,
    390_000,
    [CommitShape(i, "redo" if i % 3 else "pages", i * 1000, 900, 0, 1e9) for i in range(40)],
    3,
    412,
    65_536,
)
PENS = [Pen(width, unicode) for width in (60, 80, 200) for unicode in (True, False)]


def everything(pen: Pen) -> list[str]:
    step = PathStep(ROOT, 53, "before " * 20, "after " * 20)
    return [
        *trees.forest(pen, [TRACKS, LONG]),
        *trees.tree(pen, TRACKS, ROOT, [LEAF, 90, LEAF]),
        *trees.tree(pen, LONG, LEAF, []),
        *trees.path(pen, "table Track", 2000, [step, PathStep(LEAF, 4)], ENTRIES[:5], True),
        *trees.path(pen, "raw keys", b"\xff" * 90, [step, PathStep(LEAF, 4)], ENTRIES[:5], False),
        *trees.page(pen, LEAF, "table Track", ENTRIES, raw=bytes(range(256)) * 3),
        *trees.page(pen, ROOT, "table Track", [Cell(0, None, None, 9, 12), Cell(1, "x" * 99, None, 9, 13)]),
        *files.log(pen, LOG),
        *files.places(pen, [Place("table Track", "k" * 99, 65, 4, 103, (57, 65))], more=7),
        *files.crash(pen, "app.db", 99, 17, [files.Cut(50, None, "no database " * 20, False)]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "pen", PENS, ids=lambda pen: f"{pen.width}-{'utf8' if pen.unicode else 'ascii'}"
)
def test_no_line_is_wider_than_the_pen_allows(pen: Pen) -> None:
    for line in everything(pen):
        assert cells(line) <= pen.width, line
        assert printable(line) == line, "data can't move the cursor"
        if not pen.unicode:
            assert line.replace("日", "").replace("本", "").replace("語", "").isascii(), line


def test_a_tree_is_drawn_by_levels_and_pages() -> None:
    lines = trees.tree(
        Pen(unicode=False), TRACKS, ROOT, [PageShape(12, True, 38, 3900, 1, 38), 90, LEAF]
    )
    assert lines[0] == "table Track (tree 14): 3,503 rows, 93 pages, 285 KB"
    assert lines[2] == "  level 0  1 branch           [#####.....]  51%  92 children a page"
    assert lines[3] == "  level 1  92 leaves          [########..]  77%  38 rows a page"
    assert lines[5].startswith("page 57    branch  92 children    2.1 KB [####....]  39 -> 3400")
    assert lines[6].startswith("|- page 12    leaf        38 rows")
    assert lines[7] == "|  ... 90 leaves more"


def test_the_path_to_a_key_marks_its_slot() -> None:
    steps = [PathStep(ROOT, 53, 1996, 2034), PathStep(LEAF, 1)]
    around = [Cell(0, 1999, ("x",), 10), Cell(1, 2000, ("y",), 10)]
    lines = trees.path(Pen(unicode=False), "table Track", 2000, steps, around, True)
    assert "child 54 of 92: 1996 <= key < 2034" in lines[3]
    assert lines[-2].split() == ["0", "1999", "'x'"]
    assert lines[-1].split() == ["->", "1", "2000", "'y'"]


def test_a_log_says_what_compaction_would_free() -> None:
    lines = files.log(Pen(unicode=False), LOG, newest=5)
    assert lines[0] == "app.db: 40 commits in the log, 1.1 MB; compaction would free 381 KB (32%)"
    assert "... 35 commits before" in lines
    assert lines[-1] == "to replay at the next open: 3 commits, 412 B"


def test_colour_does_not_change_what_is_said() -> None:
    painted: list[tuple[str, str]] = []

    def paint(role: str, text: str) -> str:
        painted.append((role, text))
        return text

    assert everything(Pen(paint=paint)) == everything(Pen())
    assert {"title", "page.leaf", "page.branch", "page.fill", "good", "bad"} <= {
        r for r, _ in painted
    }


def test_text_is_cut_by_cells_and_not_by_letters() -> None:
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"
    assert cut("日本語", 6) == "日本語"
    assert cut("abc", 0) == ""


def test_small_things_are_said_well() -> None:
    assert [counted(n, w) for n, w in ((1, "page"), (2, "entry"), (2, "branch"))] == ["1 page", "2 entries", "2 branches"]  # fmt: skip
    assert [size_text(n) for n in (0, 999, 4096, 5_400_000)] == ["0 B", "999 B", "4.0 KB", "5.1 MB"]
    assert key_text(("Ada's", 1, None, b"\x00")) == "'Ada''s', 1, NULL, x'00'"
    assert key_text(b"user:1") == "user:1" and key_text(b"\xff") == "x'ff'"


def test_tables_shrink_their_widest_column() -> None:
    lines = table(Pen(20, unicode=False), ("a", "b"), [("x" * 30, "1")], right=(1,))
    assert lines == ["a" + " " * 18 + "b", "x" * 16 + "~  1"]


def test_bytes_are_dumped_in_hexadecimal() -> None:
    assert hex_dump(Pen(unicode=False), b"kvsh\x00") == [
        "00000000  6b 76 73 68 00                                   kvsh."
    ]
