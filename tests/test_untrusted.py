"""Whatever comes from a broker is read, or not, and shown as one line that steers no terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.sanitize import json_object, printable


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xd8",
        b"[1]",
        b"null",
        b'"a"',
        b"[" * 100_000,
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
    ],
)
def test_what_is_no_object_of_json_is_not_read(payload: bytes) -> None:
    assert json_object(payload) is None


def test_an_object_is_read() -> None:
    assert json_object(b'{"a": 1.5, "b": [1, "\\ud800"]}') == {"a": 1.5, "b": [1, "\ud800"]}


@pytest.mark.slow
@given(st.recursive(st.text() | st.integers() | st.none(), st.lists))
def test_what_is_shown_is_one_line_that_can_be_printed(value: object) -> None:
    text = printable(value)
    assert text.isprintable()
    assert len(text) <= 500
    text.encode()


def test_plain_words_are_shown_as_they_are() -> None:
    assert printable("person at 东 railing, 3 °") == "person at 东 railing, 3 °"
    assert printable("\x1b[31mred\n\ud800") == "\ufffd[31mred\ufffd\ufffd"
    assert json.dumps(printable(5)) == '"5"'
