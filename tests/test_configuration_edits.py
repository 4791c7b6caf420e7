"""Edits of a configuration by form and by text: they mean the same, and comments stay."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from agent.config.loader import json_schema
from agent.config.merge_patch import difference, merged, plain, same
from agent.domain.yaml_loader import BadConfig, load_yaml
from console.configuration.chinese import HELP, chinese_mistake
from console.configuration.edits import EditError, apply_patch, remove_value, set_value
from console.configuration.schema import Field, kinds, top_fields
from console.configuration.three_way import combine, compare

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
TEXT = """\
# the bridge
device: bridge-07        # its name
sources:
  # the receiver
  gnss: {kind: nmea, port: /dev/ttyUSB0, baud: 9600}   # slow
  cam1:
    kind: camera
    labels:
      - person   # first
      - boat
    zones:                # corners
      rail: [[0.4, 0.10], [0.6, 0.10]]
    note: |
      two
      lines
rules: {}
empty:
"""


def tree(text: str) -> Any:
    return plain(load_yaml(text, ""))


EDITS: list[tuple[str, tuple[str | int, ...], Any, str, str]] = [
    ("a word", ("device",), "bridge-08", "device: bridge-07  ", "device: bridge-08  "),
    ("in braces", ("sources", "gnss", "baud"), 4800, "baud: 9600}   # slow", "baud: 4800}   # slow"),
    ("new in braces", ("sources", "gnss", "required"), True, "9600}", "9600, required: true}"),
    ("new in a block", ("sources", "cam1", "fps"), 5, "      lines\n", "      lines\n    fps: 5\n"),
    ("new part", ("rules", "x"), {"kind": "silence"}, "rules: {}", "rules: {x: {kind: silence}}"),
    ("of nothing", ("empty",), "a: b", "empty:\n", 'empty: "a: b"\n'),
    ("item of a list", ("sources", "cam1", "labels", 1), "dog", "- boat", "- dog"),
    ("a word that is none", ("device",), "yes", "device: bridge-07", 'device: "yes"'),
    ("a block of text", ("sources", "cam1", "note"), "one", "|\n      two\n      lines\n", "one\n"),
    ("new at the end", ("data", "max_mb"), 64, "empty:\n", "empty:\ndata: {max_mb: 64}\n"),
]


@pytest.mark.parametrize(
    ("path", "value", "before", "after"), [one[1:] for one in EDITS], ids=[one[0] for one in EDITS]
)
def test_an_edit_touches_nothing_else(
    path: tuple[str | int, ...], value: Any, before: str, after: str
) -> None:
    assert TEXT.count(before) == 1
    assert set_value(TEXT, path, value) == TEXT.replace(before, after)


def test_what_is_removed_goes_with_its_line_only() -> None:
    assert remove_value(TEXT, ("sources", "gnss", "baud")) == TEXT.replace(", baud: 9600", "")
    assert remove_value(TEXT, ("sources", "gnss", "kind")) == TEXT.replace("kind: nmea, ", "")
    gone = remove_value(TEXT, ("sources", "cam1", "zones", "rail"))  # the only one: the section goes, too
    assert "zones" not in gone
    assert remove_value(TEXT, ("sources", "cam1", "note")) == TEXT.replace(
        "    note: |\n      two\n      lines\n", ""
    )
    assert remove_value(TEXT, ("nowhere", "at", "all")) == TEXT


@pytest.mark.parametrize("text", ["a: [", "a: &x 1\nb: *x\n", "- 1\n", "a: 1\na: 2\n", "a:\n\t- 1\n"])
def test_a_text_that_is_no_configuration_is_not_edited(text: str) -> None:
    with pytest.raises(BadConfig):
        set_value(text, ("b",), 1)


def test_a_value_in_a_list_that_is_too_short_is_refused() -> None:
    with pytest.raises(EditError, match="no place"):
        set_value(TEXT, ("sources", "cam1", "labels", 7), "x")


WORDS = st.text(max_size=12) | st.sampled_from(
    ["yes", "null", "1e3", "# a", "a: b", "- x", "{", "'", "12:30:00", ""]
)
SCALARS = st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6, width=32) | WORDS
KEYS = st.sampled_from(
    ["device", "sources", "gnss", "cam1", "labels", "zones", "rail", "note", "rules", "x", "empty"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.lists(KEYS, min_size=1, max_size=4), VALUES | st.none()), max_size=4))
def test_any_edits_mean_what_was_wanted(edits: list[tuple[list[str], Any]]) -> None:
    """The text means what a merge patch on the tree means, whatever is edited in whatever order."""
    text = TEXT
    for path, value in edits:
        try:
            text = remove_value(text, tuple(path)) if value is None else set_value(text, tuple(path), value)
        except (EditError, BadConfig):
            continue
        if value is not None:
            assert same(_at(tree(text), path), value)
        else:
            assert _at(tree(text), path) is None
    assert isinstance(tree(text), dict)


def _at(node: Any, path: list[str]) -> Any:
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    return node


COMMENT = re.compile(r"(?<!\S)#[^\n]*")


@pytest.mark.parametrize("file", CONFIGS[:2], ids=lambda file: file.stem)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_comments_and_order_survive_edits_of_scalars(file: Path, data: st.DataObject) -> None:
    text = file.read_text()
    paths = [path for path in _scalars(tree(text)) if path != ("schema_version",)]
    for _ in range(2):
        path = data.draw(st.sampled_from(paths))
        text = set_value(text, path, data.draw(SCALARS))
    assert COMMENT.findall(text) == COMMENT.findall(file.read_text())
    assert list(tree(text)) == list(tree(file.read_text()))
    assert text.count("\n") == file.read_text().count("\n")


def _scalars(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(node, dict):
        return [one for key, value in node.items() for one in _scalars(value, (*path, key))]
    return [] if isinstance(node, list) else [path]


@pytest.mark.parametrize("file", CONFIGS[:2], ids=lambda file: file.stem)
def test_a_patch_by_edits_is_the_patch_of_the_trees(file: Path) -> None:
    text = file.read_text()
    name, rule = next(iter(tree(text)["rules"].items()))
    patch = {"rules": {name: None, "other": {**rule, "severity": "info"}}, "data": {"max_mb": 77}}
    assert same(tree(apply_patch(text, patch)), merged(tree(text), patch))
    assert difference(tree(text), tree(apply_patch(text, patch))) == patch


def test_two_people_are_told_apart_and_put_together() -> None:
    mine = set_value(set_value(TEXT, ("device",), "a"), ("sources", "gnss", "baud"), 1)
    theirs = set_value(set_value(TEXT, ("device",), "b"), ("sources", "cam1", "fps"), 9) + "# theirs\n"
    three = compare(TEXT, mine, theirs)
    assert [change.path for change in three.theirs] == [("device",), ("sources", "cam1", "fps")]
    assert [conflict.path for conflict in three.conflicts] == [("device",)]
    both = combine(theirs, three)
    assert (tree(both)["device"], tree(both)["sources"]["cam1"]["fps"]) == ("a", 9)
    assert both.endswith("# theirs\n")
    kept = tree(combine(theirs, three, {("device",)}))
    assert (kept["device"], kept["sources"]["gnss"]["baud"]) == ("b", 1)


def test_what_both_made_alike_is_no_conflict() -> None:
    mine, theirs = set_value(TEXT, ("device",), "a"), set_value(TEXT, ("device",), "a")
    three = compare(TEXT, mine, theirs)
    assert (three.mine, three.theirs, three.conflicts) == ((), (), ())


def test_a_part_that_one_removed_and_the_other_changed_is_a_conflict() -> None:
    three = compare(
        TEXT, remove_value(TEXT, ("sources", "gnss")), set_value(TEXT, ("sources", "gnss", "baud"), 1)
    )
    assert [conflict.path for conflict in three.conflicts] == [("sources", "gnss")]


def test_the_form_has_each_field_of_the_schema() -> None:
    schema = json_schema()
    assert {*top_fields(), "sources", "rules"} == set(schema["properties"])
    for part in ("sources", "rules"):
        node = next(iter(schema["properties"][part]["patternProperties"].values()))
        for name, ref in node["discriminator"]["mapping"].items():
            known = {field.key for field in kinds(part)[name].fields}  # type: ignore[index]
            assert {*known, "kind"} == set(schema["$defs"][ref.rsplit("/", 1)[-1]]["properties"])
            assert kinds(part)[name].help  # type: ignore[index]


FIELDS = [
    (("place", "lat"), {"widget": "number", "least": -90, "most": 90, "unit": "°", "guard": "free"}),
    (("place", "ring"), {"widget": "choice", "required": True, "guard": "guarded"}),
    (("broker", "keepalive"), {"widget": "duration", "default": "30s", "guard": "free"}),
    (("broker", "url"), {"widget": "text", "required": True, "guard": "guarded"}),
    (("evidence", "keep_most"), {"widget": "duration", "default": "3d", "guard": "picture"}),
    (("data", "max_mb"), {"widget": "integer", "unit": "MB", "guard": "local"}),
    (("privacy", "rescue_key"), {"widget": "yaml", "guard": "local"}),
]


@pytest.mark.parametrize(("path", "wanted"), FIELDS, ids=[".".join(path) for path, _ in FIELDS])
def test_a_field_says_what_may_stand_in_it(path: tuple[str, str], wanted: dict[str, Any]) -> None:
    found = next(one for one in top_fields()[path[0]].fields if one.key == path[1])
    assert {key: getattr(found, key) for key in wanted} == wanted


def test_help_and_guards_of_a_camera() -> None:
    camera = {field.key: field for field in kinds("sources")["camera"].fields}
    assert "inferences per second" in camera["fps"].help
    assert (camera["rotate"].guard, camera["rotate"].choices) == ("picture", (0, 90, 180, 270))
    detector: dict[str, Field] = {field.key: field for field in camera["detector"].fields}
    assert (detector["model"].guard, detector["score"].guard, detector["score"].least) == (
        "picture",
        "free",
        0.05,
    )


def test_chinese_help_is_of_fields_that_there_are() -> None:
    known: set[str] = set()

    def add(fields: tuple[Field, ...]) -> None:
        for field in fields:
            known.add(field.help)
            add(field.fields)

    add(tuple(top_fields().values()))
    for part in ("sources", "rules"):
        for kind in kinds(part).values():  # type: ignore[arg-type]
            known.add(kind.help)
            add(kind.fields)
    assert set(YAML(typ="safe").load(HELP.read_text())) - known == set()


def test_usual_mistakes_are_told_in_chinese() -> None:
    assert chinese_mistake("unknown key; did you mean 'after'? known: after, kind") == (
        "未知的键；是否想写 'after'？可用：after, kind"
    )
    assert chinese_mistake("something new") == "something new"
