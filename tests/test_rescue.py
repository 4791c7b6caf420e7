"""Who may have people shown, for how long, and what ends it."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.message import encode, stamp
from agent.host import clock as kernel_clock
from agent.privacy.rescue_grant import Grant, RescueGrants
from firmware_bridge.secret import Secret

AT = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
KEY = "k" * 40
FIELDS: dict[str, Any] = {"id": "g1", "expires": "2026-11-28T12:10:00Z", "role": "watch-officer", "reason": "man in the water"}  # fmt: skip


@pytest.fixture
def key(tmp_path: Path) -> Secret:
    (tmp_path / "key").write_text(KEY + "\n")
    return Secret(file=tmp_path / "key")


def signed(device: str = "d1", key: str = KEY, **fields: Any) -> bytes:
    grant = Grant.model_validate(FIELDS | fields)
    return encode(FIELDS | fields | {"signature": grant.expected_signature(device, key)})


def granted(device: str = "d1", key: str = KEY, **fields: Any) -> Grant:
    return Grant.model_validate_json(signed(device, key, **fields))


def shown(rescue: RescueGrants, camera: str = "cam1", after_s: float = 0) -> bool:
    return rescue.active(camera, AT + timedelta(seconds=after_s), 100 + after_s) is not None


def test_a_grant_lasts_until_it_expires_and_says_so(key: Secret) -> None:
    rescue = RescueGrants("d1")
    rescue.accept(granted(), key, AT, 100)
    assert [shown(rescue, after_s=second) for second in (0, 599, 600, 10_000)] == [True, True, False, False]
    assert list(rescue.status_texts(AT, 100)) == [
        "privacy: people of every camera are shown until 2026-11-28T12:10:00.000Z (watch-officer: man in the water)"
    ]
    assert list(rescue.status_texts(AT, 800)) == []


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (signed(key="x" * 40), "signature: it does not match"),
        (signed(device="d2"), "signature: it does not match"),
        (encode(FIELDS), "signature: it does not match"),
        (signed().replace(b"man in", b"dog in"), "signature: it does not match"),
        (signed().replace(b"12:10", b"12:50"), "signature: it does not match"),
        (signed()[:-1] + b',"camera":"cam1"}', "signature: it does not match"),
        (
            signed(expires="2026-11-28T13:00:01Z"),
            "expires: 2026-11-28T13:00:01.000Z is not within the next 60 minutes",
        ),
        (signed(expires="2026-11-28T11:59:00Z"), "expires: 2026-11-28T11:59:00.000Z is not within"),
        (encode(FIELDS | {"expires": "2026-11-28T12:10:00"}), "expires\n"),
        (encode(FIELDS | {"reason": "x"}), "reason\n"),
        (encode({key: one for key, one in FIELDS.items() if key != "role"}), "role\n  Field required"),
        (b"no json", "Invalid JSON"),
    ],
)
def test_what_is_no_grant_is_refused_in_one_line(payload: bytes, message: str, key: Secret) -> None:
    rescue = RescueGrants("d1")
    with pytest.raises(ValueError, match=re.escape(message)):
        rescue.accept(Grant.model_validate_json(payload), key, AT, 100)
    assert not shown(rescue)


def test_without_a_good_key_nobody_is_shown(tmp_path: Path) -> None:
    rescue = RescueGrants("d1")
    with pytest.raises(ValueError, match=r"privacy\.rescue_key is not configured"):
        rescue.accept(granted(), None, AT, 100)
    (tmp_path / "short").write_text("secret")
    with pytest.raises(ValueError, match="shorter than 32"):
        rescue.accept(granted(key="secret"), Secret(file=tmp_path / "short"), AT, 100)
    with pytest.raises(OSError, match="No such file"):
        rescue.accept(granted(), Secret(file=tmp_path / "none"), AT, 100)


def test_a_grant_for_one_camera_shows_nobody_else(key: Secret) -> None:
    rescue = RescueGrants("d1")
    rescue.accept(granted(camera="cam1"), key, AT, 100)
    assert (shown(rescue, "cam1"), shown(rescue, "cam2")) == (True, False)


def test_a_clock_that_is_set_back_gives_no_time(key: Secret) -> None:
    rescue = RescueGrants("d1")
    rescue.accept(granted(), key, AT, 100)
    assert rescue.active("cam1", AT - timedelta(hours=5), 701) is None
    assert rescue.active("cam1", AT + timedelta(hours=5), 101) is None


def test_a_new_grant_ends_the_old_one_for_good(key: Secret) -> None:
    rescue = RescueGrants("d1")
    rescue.accept(granted(), key, AT, 100)
    rescue.accept(granted(id="g2", expires="2026-11-28T12:00:01Z"), key, AT, 100)
    assert not shown(rescue, after_s=2)
    with pytest.raises(ValueError, match="'g1' was used before"):
        rescue.accept(granted(), key, AT, 102)


def test_it_outlives_the_agent_but_not_the_machine(
    key: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot").write_text("boot-1\n")
    monkeypatch.setattr(kernel_clock, "BOOT_ID", tmp_path / "boot")
    rescue = RescueGrants("d1")
    rescue.accept(granted(), key, AT, 100)
    kept = rescue.dump()
    again = RescueGrants("d1")
    again.restore(kept, 100)
    assert (shown(again), shown(again, after_s=600)) == (True, False)
    (tmp_path / "boot").write_text("boot-2\n")
    again = RescueGrants("d1")
    again.restore(kept, 5)
    assert not shown(again)
    monkeypatch.setattr(kernel_clock, "BOOT_ID", tmp_path / "none")
    again = RescueGrants("d1")
    again.restore(json.dumps([json.loads(kept)[0] | {"boot": ""}]).encode(), 100)
    assert not shown(again)


def test_a_grant_that_comes_again_after_a_reboot_shows_nobody(
    key: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker sends again what was not acknowledged; and whoever recorded it may."""
    boot = tmp_path / "boot"
    monkeypatch.setattr(kernel_clock, "BOOT_ID", boot)
    boot.write_text("boot-1\n")
    rescue = RescueGrants("d1")
    rescue.accept(granted(), key, AT, 50_000)
    kept = rescue.dump()
    for number, wall_s in ((2, 60), (3, 300)):  # also after a second one
        boot.write_text(f"boot-{number}\n")
        rescue = RescueGrants("d1")
        rescue.restore(kept, 5)
        with pytest.raises(ValueError, match="'g1' was used before"):
            rescue.accept(granted(), key, AT + timedelta(seconds=wall_s), 30)
        assert rescue.active("cam1", AT + timedelta(seconds=wall_s), 30) is None
        later = granted(id=f"later-{number}", expires="2026-11-28T12:20:00Z")
        rescue.accept(later, key, AT + timedelta(seconds=wall_s), 40)
        kept = rescue.dump()


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.integers(-300, 300),  # minutes by which the wall clock differs
            st.integers(0, 59),  # when it expires, in minutes of that clock
            st.booleans(),  # an old one again, or a new one
            st.integers(0, 10_000),
            st.booleans(),  # a restart before it
        ),
        max_size=25,
    )
)
def test_no_grant_is_taken_twice_however_the_clock_is_set(
    script: list[tuple[int, int, bool, int, bool]],
) -> None:
    secret = Secret.model_construct(file=None, env=None, credential=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Secret, "read", lambda _: KEY)
        rescue, made, taken, now_s = RescueGrants("d1"), [], [], 100.0
        for off_min, left_min, again, which, restart in script:
            at, now_s = AT + timedelta(minutes=off_min), now_s + 900
            if restart:
                kept, rescue = rescue.dump(), RescueGrants("d1")
                rescue.restore(kept, now_s)
            if again and made:
                grant = made[which % len(made)]
            else:
                grant = granted(
                    id=f"g{len(made)}", expires=stamp(at + timedelta(minutes=left_min, seconds=1))
                )
                made.append(grant)
            try:
                rescue.accept(grant, secret, at, now_s)
            except ValueError:
                continue
            assert grant.id not in taken
            taken.append(grant.id)
    assert len(json.loads(rescue.dump())) <= len(made)


def test_a_recorded_grant_is_refused_after_a_later_one_and_a_clock_set_back(key: Secret) -> None:
    rescue = RescueGrants("d1")
    rescue.accept(granted(), key, AT, 100)
    later = AT + timedelta(hours=2)
    rescue.accept(granted(id="g2", expires=stamp(later + timedelta(minutes=5))), key, later, 8000)
    assert len(json.loads(rescue.dump())) == 1
    with pytest.raises(ValueError, match=r"expires: 2026-11-28T12:10:00.000Z is older than a grant"):
        rescue.accept(granted(), key, AT, 8100)


def test_a_grant_that_could_not_be_kept_shows_nobody_and_is_taken_no_more(key: Secret) -> None:
    rescue = RescueGrants("d1")
    rescue.accept(granted(), key, AT, 100)
    rescue.withdraw(granted(), 100)
    assert not shown(rescue)
    with pytest.raises(ValueError, match="used before"):
        rescue.accept(granted(), key, AT, 100)
    rescue.accept(granted(id="g2"), key, AT, 100)
    assert shown(rescue)


def test_a_right_clock_refuses_no_grant(key: Secret) -> None:
    rescue = RescueGrants("d1")
    for number in range(50):  # one each 7 minutes, each for as long as may be or just for a second
        at = AT + timedelta(minutes=7 * number)
        left = timedelta(minutes=60) if number % 2 else timedelta(seconds=1)
        rescue.accept(granted(id=f"g{number}", expires=stamp(at + left)), key, at, 100 + 420 * number)
        assert rescue.active("cam1", at, 100 + 420 * number) is not None
    assert len(json.loads(rescue.dump())) < 25


@pytest.mark.parametrize("kept", [None, b"", b"{", b"{}", b"[1]", b'[{"grant": {}}]', b"\xff"])
def test_what_was_kept_and_is_damaged_shows_nobody(kept: bytes | None) -> None:
    rescue = RescueGrants("d1")
    rescue.restore(kept, 100)
    assert not shown(rescue)
