"""A picture as it is kept and as it leaves: its size, its label, and what of it is covered."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.domain.message import encode
from agent.evidence import jpeg as module
from agent.evidence.jpeg import STEPS, QualityHint, encode_picture, read_label, reencode, without_nested
from agent.privacy.redaction import FILL
from models.detection import Box, Frame

MAN: Box = (0.4, 0.3, 0.5, 0.7)
CORNER = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.4)]
LABEL = {"camera": "cam1", "frame": 7, "at": "2026-11-28T06:12:31.410Z"}


def scene(rows: int = 720, columns: int = 1280, seed: int = 3) -> Frame:
    """Detail everywhere, brighter than the fill."""
    blocks = np.random.default_rng(seed).integers(90, 256, (rows // 8, columns // 8, 3), np.uint8)
    return np.ascontiguousarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8)))


def pixels(jpeg: bytes) -> Any:
    import cv2

    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def inside(shown: Any, box: Box) -> Any:
    rows, columns = shown.shape[:2]
    return shown[int(box[1] * rows) : int(box[3] * rows), int(box[0] * columns) : int(box[2] * columns)]


def corner_of(shown: Any) -> Any:
    """The pixels of CORNER, its edge too."""
    import cv2

    rows, columns = shown.shape[:2]
    mask = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(mask, [np.array([[x * columns, y * rows] for x, y in CORNER]).astype(np.int32)], 1)
    return shown[mask == 1]


@pytest.mark.slow
@pytest.mark.parametrize("step", range(len(STEPS)))
def test_at_every_quality_people_are_one_grey_and_blackout_is_exactly_zero(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEPS", STEPS[step : step + 1])
    for seed in range(3):
        shown = pixels(
            encode_picture(scene(seed=seed), [MAN], LABEL, blackout=[CORNER], max_bytes=10_000_000)
        )
        assert max(shown.shape) == STEPS[step][0]
        assert abs(inside(shown, MAN).astype(int) - FILL).max() <= 2
        assert corner_of(shown).max() == 0
        assert inside(shown, (0.6, 0.3, 0.9, 0.7)).max() > 200


@settings(deadline=None)
@given(st.integers(3_000, 200_000), st.integers(40, 900), st.integers(40, 1400))
def test_it_is_never_larger_than_allowed_and_keeps_its_label(most: int, rows: int, columns: int) -> None:
    frame = scene(rows, columns)
    rows, columns = frame.shape[:2]
    try:
        jpeg = encode_picture(frame, [MAN], LABEL, max_bytes=most)
    except ValueError:
        too_small = True
    else:
        too_small = False
    if too_small:
        assert most < 16_000 or max(rows, columns) > 16 * min(rows, columns)
        return
    assert len(jpeg) <= most
    assert read_label(jpeg) == LABEL | {"covered": True, "people": [[0.4, 0.3, 0.5, 0.7]]}


@pytest.mark.slow
def test_a_quality_hint_spares_tries_and_is_never_too_large() -> None:
    hint = QualityHint()
    busy, calm = scene(), np.full((720, 1280, 3), 90, np.uint8)
    sizes = [len(encode_picture(busy, [], LABEL, hint=hint)) for _ in range(5)]
    assert len(set(sizes)) == 1
    assert hint.first_step() > 0
    for _ in range(400):
        encode_picture(calm, [], LABEL, hint=hint)
    assert hint.first_step() == 0
    assert len(encode_picture(busy, [], LABEL, hint=hint)) <= 64_000


@pytest.mark.slow
def test_a_crowd_that_its_label_can_not_name_is_no_picture() -> None:
    crowd = [(x / 64, y / 64, x / 64 + 0.01, y / 64 + 0.01) for x in range(63) for y in range(63)]
    with pytest.raises(ValueError, match="3969 people"):
        encode_picture(scene(), crowd, LABEL, max_bytes=512_000)


def test_whoever_takes_it_from_the_disk_covers_it_again() -> None:
    """Kept under a flag, sent after it: nobody is seen, and what is black today is black in it."""
    kept = encode_picture(scene(), [MAN], LABEL, unredacted=True)
    assert inside(pixels(kept), MAN).max() > 200
    sent = reencode(kept, {"why": "fetch"}, blackout=[CORNER])
    assert abs(inside(pixels(sent), MAN).astype(int) - FILL).max() <= 2
    assert corner_of(pixels(sent)).max() == 0
    assert read_label(sent) == LABEL | {"why": "fetch", "covered": True, "people": [[0.4, 0.3, 0.5, 0.7]]}
    shown = reencode(kept, {}, unredacted=True)
    assert (read_label(shown)["covered"], inside(pixels(shown), MAN).max() > 200) == (False, True)


def test_what_was_covered_stays_covered_under_a_flag() -> None:
    sent = reencode(encode_picture(scene(), [MAN], LABEL), {}, unredacted=True)
    assert read_label(sent)["covered"]
    assert abs(inside(pixels(sent), MAN).astype(int) - FILL).max() <= 2


def test_where_nobody_knows_where_people_are_all_of_it_is_covered() -> None:
    """As it is made and when it is taken from the disk; it says so, and blackout stays black."""
    never_looked = encode_picture(scene(), None, LABEL, blackout=[CORNER])
    not_again = reencode(encode_picture(scene(), [MAN], LABEL), {}, people=None, blackout=[CORNER])
    under_a_flag = encode_picture(scene(), None, LABEL, unredacted=True)
    assert inside(pixels(under_a_flag), MAN).max() > 200
    later = [reencode(under_a_flag, {}, people=found, blackout=[CORNER]) for found in (None, (), [MAN])]
    for jpeg in (never_looked, not_again, *later):
        shown = pixels(jpeg).astype(int)
        assert ((abs(shown - FILL) <= 2) | (shown <= 2)).mean() > 0.99
        assert (abs(shown - FILL) <= 2).mean() > 0.9
        assert corner_of(shown).max() == 0
        label = read_label(jpeg)
        assert (label["covered"], label["people"]) == (True, None)
    shown_again = read_label(reencode(under_a_flag, {}, people=[MAN], unredacted=True))
    assert (shown_again["covered"], shown_again["people"]) == (False, None)


def test_whom_a_later_look_finds_is_covered_with_those_who_were_known() -> None:
    other: Box = (0.6, 0.2, 0.8, 0.5)
    sent = reencode(encode_picture(scene(), [MAN], LABEL), {}, people=[other])
    for box in (MAN, other):
        assert abs(inside(pixels(sent), box).astype(int) - FILL).max() <= 2
    assert sorted(read_label(sent)["people"]) == [list(MAN), list(other)]


def commented(comment: bytes) -> bytes:
    import cv2

    jpeg = cv2.imencode(".jpg", scene(80, 80))[1].tobytes()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


@pytest.mark.parametrize(
    "jpeg",
    [
        b"",
        b"\xff\xd8",
        commented(b"a holiday"),
        commented(b"[]"),
        commented(encode({"people": [], "at": "x"})),
        commented(encode({"covered": True})),
        commented(encode({"covered": True, "people": "all"})),
        commented(encode({"covered": True, "people": [[0, 0, 1]]})),
        commented(encode({"covered": True, "people": [["a", "b", "c", "d"]]})),
        commented(b"[" * 60_000),
        commented(encode({"covered": True, "people": []}))[:200],
    ],
)
def test_what_does_not_say_where_people_are_is_no_picture(jpeg: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each says it in its way
        reencode(jpeg, {})


@settings(deadline=None)
@example(noise=b"\x0b\x00]", at=271)  # a header that claims too many pixels
@given(st.binary(max_size=300), st.integers(0, 300))
def test_a_damaged_picture_is_refused_or_covered_and_never_falls_over(noise: bytes, at: int) -> None:
    kept = encode_picture(scene(80, 80), [MAN], LABEL, unredacted=True)
    damaged = kept[:at] + noise + kept[at + len(noise) :]
    try:
        sent = reencode(damaged, {})
    except ValueError:
        return
    assert read_label(sent)["covered"]


def test_boxes_within_others_are_not_told() -> None:
    small = (0.0, 0.0, 0.2, 0.1)
    assert without_nested([small, MAN, (0.41, 0.31, 0.49, 0.69), MAN]) == [MAN, small]
