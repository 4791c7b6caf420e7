"""Merge patches as RFC 7396 has them, and the differences and combinations made of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.config_diff import changed_text
from agent.config.layers import text_of, tree_of
from agent.config.merge_patch import changed_paths, combined, depth, difference, merged, patch_digest, same

# Appendix A of RFC 7396.
CASES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
LEAVES = st.one_of(
    st.booleans(), st.integers(-9, 9), st.sampled_from(["x", "5s", "2026-01-01", "on", "", "~", "null"])
)
KEYS = st.sampled_from("abcd")
TREES = st.dictionaries(
    KEYS, st.recursive(LEAVES | st.lists(LEAVES, max_size=2), lambda inner: st.dictionaries(KEYS, inner, max_size=3)), max_size=4
)  # fmt: skip
PATCHES = st.dictionaries(
    KEYS,
    st.recursive(LEAVES | st.none() | st.lists(LEAVES, max_size=2), lambda inner: st.dictionaries(KEYS, inner, max_size=3)),
    max_size=4,
)  # fmt: skip


@pytest.mark.parametrize(("base", "patch", "result"), CASES)
def test_a_patch_is_applied_as_the_standard_has_it(base: Any, patch: Any, result: Any) -> None:
    assert merged(base, patch) == result


@given(TREES, TREES)
def test_the_difference_makes_one_tree_of_another(old: Any, new: Any) -> None:
    assert same(merged(old, difference(old, new)), new)
    assert (list(changed_paths(old, new)) == []) == same(old, new) or merged({}, old) == merged({}, new)


@given(TREES, PATCHES, PATCHES)
def test_two_patches_are_one_where_no_value_becomes_an_object_again(
    base: Any, first: Any, second: Any
) -> None:
    wanted, found = merged(merged(base, first), second), merged(base, combined(first, second))
    if not same(wanted, found):
        assert any(not isinstance(value, dict) for value in first.values())


@given(TREES)
def test_a_tree_survives_its_text(tree: Any) -> None:
    assert same(tree_of(text_of(tree)), tree)


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=9), max_size=3))
def test_any_text_survives_or_is_refused(tree: Any) -> None:
    try:
        text = text_of(tree)
        found = tree_of(text)
    except ValueError:
        return
    assert found == tree


def test_equal_patches_have_one_digest_and_the_depth_needs_no_recursion() -> None:
    assert patch_digest({"b": 1, "a": {"y": 2, "x": None}}) == patch_digest(
        {"a": {"x": None, "y": 2}, "b": 1}
    )
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert depth(deep) == 100_001
    while deep:  # freed level by level: the interpreter would recurse
        deep = deep["a"]


def test_a_patched_text_keeps_its_comments_and_takes_no_null() -> None:
    text = "rules:\n  a: {x: 1}  # kept\n"
    assert changed_text(text, {"rules": {"b": {"y": None, "z": 2}}}) == f"{text}  b:\n    z: 2\n"
