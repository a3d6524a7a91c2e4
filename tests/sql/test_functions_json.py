"""JSON functions against sqlite3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sql.engines import same_answers
from tests.sql.function_calls import assert_call, assert_same, engines, outcome

DOCUMENTS: list[Any] = [
    None, "", " ", "null", "true", "false", "nul", "nullx", "truefalse", "0", "-0", "01", "-", "-1", "1.", ".5",
    "1.50", "1e5", "1E+05", "1e", "1.e5", "-.5", "+1", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "123456789012345678901234567890", "1e400", "NaN", "Infinity",
    "-Infinity", '"a"', '"a', '"\\u0041\\n\\"\\\\\\/"', '"\\x"', '"\\u12"', '"\\ud83d\\ude00"', '"\\u0000b"',
    '"tab\there"', '"é😀"', "'a'", "[]", " [ ] ", "[1,]", "[,1]", "[1 2]", "[1,[2,[3]],{}]", "{}", "{ }",
    '{"a":1}', ' { "a" : [ 1 , 2 ] , "b" : { "c" : null } } ', '{"a":1,}', '{"a"}', '{a:1}', '{1:2}',
    '{"a":1,"a":2}', '{"a b":1,"":2,"é":3,"x\\u0041":4,"1a":5,"a1":6}', '[1]\x00junk', "[1] x", "\ufeff[1]",
    '[[1,2,3],[4,[5,6]],{"k":[7,{"z":"w"}]}]', '[null,true,false,1,2.5,"s",[],{}]', 5, 1.5, -3, b"[1,2]", b"\xff",
    "[1,2,3,4,5,6,7,8,9,10,11,12]", '{"a":{"b":{"c":[1,2,{"d":"e"}]}}}', "\t\n\r[1]\n", "\x0b[1]", "[1]]", "{]",
]  # fmt: skip

PATHS: list[Any] = [
    None, "", "$", "$.", "$.a", "$.b.c", "$.a[0]", "$.a[1].b", "$[0]", "$[1]", "$[1][1][0]", "$[2].k[1].z", "$[#]",
    "$[#-1]", "$[#-2]", "$[#-99]", "$[#-0]", "$[#-]", "$[#x]", "$[", "$[x]", "$[1", "$[-1]", "$[12]", "$[00]", "a", "x''y",
    '$."a b"', '$."a', '$.""', '$."é"', "$.é", '$."x\\u0041"', "$.1a", "$.a1", "$.a.b.c[2].d", "$.a.b.new", "$.new",
    "$.new.deep", "$.new[0]", "$.new[1]", "$.new[0].x[0]", "$.new[#]", "$.new.", "$.new[x", "$.a b", "$x", "$ .a", 5, 1.5, b"$.a",
    "$[0]x", "$.a..b", "$[8].q", "$[#].q", "$[3]", "$[#].q[0]", "$[2][0]", "$[3][0]",
]  # fmt: skip

VALUES: list[Any] = [None, 1, -2.5, "text", 'q"\\\n\x01é', "[1]", float("inf"), 1e20]


@pytest.mark.parametrize(
    "name", ["json", "json_valid", "json_type", "json_array_length", "json_quote", "json_array"]
)
def test_documents_are_read_as_sqlite_reads_them(name: str) -> None:
    for document in DOCUMENTS:
        assert_call(name, document)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_leads_where_it_leads_in_sqlite(path: Any) -> None:
    for document in DOCUMENTS:
        assert_call("json_extract", document, path)
        assert_call("json_extract", document, path, "$")
        assert_call("json_type", document, path)
        assert_call("json_array_length", document, path)
        assert_call("json_remove", document, path)
        assert_call("json_remove", document, path, path, "$[0]")
        assert_same("? -> ?", document, path)
        assert_same("? ->> ?", document, path)


@pytest.mark.parametrize("name", ["json_insert", "json_replace", "json_set"])
@pytest.mark.parametrize("path", PATHS)
def test_documents_are_changed_as_in_sqlite(name: str, path: Any) -> None:
    for document in DOCUMENTS:
        assert_call(name, document, path, "v")
    for value in [*VALUES, b"x"]:
        assert_call(name, '{"a":[1,{"b":2}]}', path, value)
        assert_call(name, '{"a":[1,{"b":2}]}', path, 1, "$.a", value, path, 3, "$.a[#]", 4)


@pytest.mark.parametrize(
    "label", ["a", "0", "12", "-1", "[0]", "[#-1]", "a b", "a.b", "", 0, 1, -1, 1.5, '"a b"']
)
def test_arrows_take_labels_and_numbers(label: Any) -> None:
    for document in DOCUMENTS:
        assert_same("? -> ?", document, label)
        assert_same("? ->> ?", document, label)


def test_values_become_json_as_in_sqlite() -> None:
    for value in [*VALUES, b"x"]:
        for name in ("json_quote", "json_array"):
            assert_call(name, value)
        assert_call("json_object", "k", value)
        assert_call("json_object", value, 1)
    for count in range(5):
        assert_call("json_object", *["a"] * count)
        assert_call("json_set", *["{}"] * count)
        assert_call("json_remove", *["{}"] * count)
        assert_call("json_extract", *["{}"] * count)


@pytest.mark.parametrize(
    "expression",
    [
        "json_array(json('[1]'), '[1]', json_array(2), json_object('a', json('{}')))",
        "json_set('{}', '$.a', json('[1, 2]'), '$.b', '[1, 2]')",
        "json_array('{\"a\":[1]}' -> 'a', '{\"a\":[1]}' ->> 'a', json_extract('{\"a\":[1]}', '$.a'))",
        "json_array(json_extract('{\"a\":\"[1]\"}', '$.a'), json_quote(json('[1]')), json_quote('[1]'))",
        "typeof(json('[1]')), length(json(' [1] ')), upper(json('\"a\"')), json('[1]') || 'x'",
        "json('[1]') = '[1]', json('[1]') in ('[1]'), hex(json('[1]')), quote(json('[1]'))",
        "json_object('a', json_patch('{\"a\":1}', '{\"a\":null,\"b\":[1]}'))",
        "json_replace('5', '$', json('[1]')), json_array(json_replace('5', '$', json('[1]')))",
        "coalesce(null, json('[1]')), max(json('[1]'), json('[2]')), substr(json('[123]'), 2, 2)",
        "json_array(json_remove('[1,2]', '$[0]'), json_insert('[1]', '$[#]', json('{}')))",
        "json_group_array(x) from (select 1 x union all select null union all select 'a')",
        "json_group_array(json(x)) from (select '[1]' x union all select '{ }')",
        "json_object('items', json_group_array(x)) from (select 1 x union all select 2)",
        "json_array((select json_group_array(x) from (select 1 x union all select 2)))",
        "json_array((select json('[1]')), (select '[1]'))",
        "json_group_object(x, y) from (select 'a' x, 1 y union all select 'b\"', null)",
        "json_object('o', json_group_object(x, json(y))) from (select 1 x, '[2]' y)",
        "json_group_array(x) from (select 1 x where 0)",
        "json_group_object(x, 1) from (select 1 x where 0)",
        "json_group_array(x) filter (where x > 1) from (select 1 x union select 2)",
        "json_group_array(x) over (order by x rows 1 preceding) from (select 1 x union select 2 union select 3)",
        "json_group_object(x, -x) over (order by x rows 1 preceding) from (select 1 x union select 2 union select 3)",
        "json_group_array(distinct x) from (select 1 x union all select 1)",
        "json_group_array(x) from (select x'61' x)",
        "json_group_array(value) from json_each('[[1],2,\"a\",\"[3]\"]') where type <> 'null'",
    ],
)  # fmt: skip
def test_json_stays_json_inside_json_functions_and_is_text_elsewhere(expression: str) -> None:
    assert_same(expression)


TABLE = "key, value, type, atom, id, parent, fullkey, path"


@pytest.mark.parametrize("name", ["json_each", "json_tree"])
def test_rows_of_documents_are_those_of_sqlite(name: str) -> None:
    for document in DOCUMENTS:
        assert_same(f"{TABLE} from {name}(?)", document)


@pytest.mark.parametrize("name", ["json_each", "json_tree"])
def test_rows_begin_at_the_path(name: str) -> None:
    """Full keys inside an array's element are left out: SQLite 3.40 gives them wrong (`$[0]` for `$[1]`)."""
    for document in ('{"a":{"b":{"c":[1,2,{"d":"e"}]}}}', '{"a":5,"a b":[1]}', "[[1,2],3]", "5"):
        for path in PATHS:
            assert_same(f"key, value, type, atom, id, parent from {name}(?, ?)", document, path)
            if "[" not in str(path):
                assert_same(f"fullkey, path from {name}(?, ?)", document, path)


def test_full_keys_lead_back_to_their_nodes() -> None:
    document = '[[1,{"a b":[2]}],[3,[4,{"c":5}]]]'
    for path in ("$", "$[1]", "$[#-1][1]", "$[0][1]", '$[0][1]."a b"'):
        query = f"select count(*), sum(json_extract('{document}', fullkey) is value) from json_tree(?, ?)"
        ((rows, right),) = engines()[0].execute(query, (document, path))
        assert rows == right > 0


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c d", "é", ""]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
texts = st.builds(
    lambda document, ascii, indent: json.dumps(document, ensure_ascii=ascii, indent=indent),
    documents,
    st.booleans(),
    st.sampled_from([None, 2]),
).filter(lambda text: "\\ud" not in text and text.isprintable())
step = st.sampled_from(
    [".a", ".b", '."c d"', ".é", '.""', "[0]", "[1]", "[#]", "[#-1]", "[2]", ".new", "."]
)
paths = st.lists(step, max_size=4).map(lambda steps: "$" + "".join(steps))
values = st.sampled_from(VALUES)


@settings(max_examples=200, deadline=None)
@given(texts, texts, paths, paths, values)
def test_any_document_answers_as_in_sqlite(
    document: str, other: str, path: str, second: str, value: Any
) -> None:
    assert_call("json", document)
    assert_call("json_extract", document, path)
    assert_call("json_extract", document, path, second)
    assert_call("json_remove", document, path, second)
    assert_call("json_patch", document, other)
    for name in ("json_insert", "json_set", "json_replace"):
        if "[" in path:  # 3.40 loses its way in an array that the same call has appended to
            assert_call(name, document, path, value)
        else:
            assert_call(name, document, path, value, second, 7)
        assert_same(f"{name}(?, ?, json(?))", document, path, other)
    for name in ("json_each", "json_tree"):
        assert_same(f"{TABLE} from {name}(?)", document)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='[]{}:,"\\ ntu0123456789.-+eEa\n', max_size=12))
def test_any_text_is_json_or_not_as_in_sqlite(text: str) -> None:
    assert_call("json", text)
    assert_call("json_valid", text)


def test_a_document_nested_too_deeply_is_malformed() -> None:
    assert outcome(engines()[0], "json(?)", ("[" * 100_000,)) == "error: malformed JSON"
    deep = "[" * 500 + "]" * 500
    assert_call("json", deep)
    assert_call("json_set", deep, "$[0][0]", 1)
    assert_same("count(*) from json_tree(?)", deep)


def test_a_path_finds_its_way_in_an_array_that_the_same_call_has_appended_to() -> None:
    """SQLite 3.40 gives [1,2,3,7] here."""
    assert outcome(engines()[0], "json_set('[1,2,3]', '$[#]', 4, '$[2]', 7)") == "[('[1,2,7,4]',)]"


def test_what_is_wrong_is_told_before_a_null_is_seen() -> None:
    same_answers(
        "SELECT json_patch('[1,]', NULL)",
        "SELECT json_patch(NULL, '[1,]')",
        "SELECT json_patch('{}', NULL)",
        "SELECT * FROM json_tree('nan', NULL)",
        "SELECT * FROM json_each('nan', NULL)",
        "SELECT * FROM json_each('[1]', NULL)",
        "SELECT * FROM json_each(NULL, 'x')",
        "SELECT json_set('[1]', '$', json('[7]'), 'a.b', 1)",
        "SELECT json_set('[1]', '$', 5, '', 1)",
        "SELECT json_set('[1]', '$', json('[7]'), '$x', 1)",
        "SELECT json_set('{}', '$.a', 5, '$.a[x', 1)",
    )


def test_subtype_tells_json_from_text() -> None:
    for value in (
        "'{}'",
        "json('{}')",
        "json('1')",
        "json_array(1) || ''",
        "'[[1]]' -> 0",
        "'[[1]]' ->> 0",
        "json_extract('[[1]]', '$[0]')",
        "json_extract('[1]', '$[0]')",
        "(SELECT json('[]'))",
        "coalesce(NULL, json('[]'))",
        "NULL",
        "x'00'",
    ):
        assert_same(f"subtype({value})")
    assert_same("subtype()")


def test_a_window_of_arrays_goes_on_for_many_rows() -> None:
    """More rows than leave it before what has left is forgotten."""
    setup = (
        "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
        " SELECT i, CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN i / 8.0 WHEN 2 THEN 'x' || i ELSE i END AS v FROM n"
    )
    frames = (
        "2 PRECEDING AND CURRENT ROW",
        "3 PRECEDING AND 1 FOLLOWING",
        "2 PRECEDING AND 1 PRECEDING",
    )
    window = "SELECT i, json_group_array(v) OVER (ORDER BY i ROWS BETWEEN {}) FROM t ORDER BY i"
    same_answers(setup, *[window.format(frame) for frame in frames])
