"""Commands that a restart cuts off: each gets an end."""

import asyncio
from typing import Any

import pytest

from agent.commands.under_way import CUT_OFF, KEY, MOST, UnderWay
from agent.inbound import Inbound

ORDER = {"command": "drill", "command_id": "d-1", "answer_to": None, "keys": ["0" * 16]}


def after_restart(before: UnderWay) -> UnderWay:
    again = UnderWay()
    again.restore(before.remembered().get(KEY))
    return again


def test_a_command_that_a_restart_cuts_off_has_failed() -> None:
    before = UnderWay()
    assert before.remembered() == {}
    before.note({**ORDER, "state": "accepted"})
    again = after_restart(before)
    assert again.cut_off() == [{**ORDER, "state": "failed", "reason": CUT_OFF}]
    assert after_restart(again).cut_off() == again.cut_off()  # the next restart came before it was said
    again.note(again.cut_off()[0])
    assert after_restart(again).cut_off() == []


@pytest.mark.parametrize("state", ["succeeded", "failed", "rejected", "expired"])
def test_a_command_that_ended_is_not_cut_off(state: str) -> None:
    for results in (["accepted", "accepted", state], [state, "accepted"]):
        under_way = UnderWay()
        for one in results:
            under_way.note({**ORDER, "state": one})
        assert after_restart(under_way).cut_off() == []


@pytest.mark.parametrize(
    "other",
    [
        {"state": "rejected", "command": "drill", "command_id": "d-1", "answer_to": None},
        {**ORDER, "state": "rejected", "keys": ["1" * 16]},
        {**ORDER, "state": "duplicate"},
        {**ORDER, "state": "succeeded", "command_id": "d-2"},
        {"state": "rejected", "command": "drill", "answer_to": None},
    ],
)
def test_the_answer_to_another_order_ends_no_command(other: dict[str, Any]) -> None:
    under_way = UnderWay()
    under_way.note({**ORDER, "state": "accepted"})
    under_way.note(other)
    assert len(after_restart(under_way).cut_off()) == 1


def test_their_number_is_bounded() -> None:
    under_way = UnderWay()
    for number in range(1000):
        under_way.note({**ORDER, "command_id": f"d-{number}", "state": "accepted"})
    ids = [one["command_id"] for one in after_restart(under_way).cut_off()]
    assert ids == [f"d-{number}" for number in range(1000 - MOST, 1000)]
    assert len(under_way.remembered()[KEY]) < 16_384


@pytest.mark.parametrize("data", [b"{", b"{}", b'["x"]', b'[{"command": "drill"}]', b"\xff"])
def test_damaged_data_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|Expecting|decode"):
        UnderWay().restore(data)


def test_it_is_remembered_in_the_commit_of_its_result_and_told_after_the_restart() -> None:
    sent: list[dict[str, Any]] = []

    async def send(result: dict[str, Any]) -> None:
        sent.append(result)

    under_way = UnderWay()
    inbound: Any = type("", (), {"under_way": under_way, "send_result": staticmethod(send)})()
    under_way.restore(b'[{"command": "drill", "command_id": "d-1"}]')
    asyncio.run(Inbound.report_cut_off(inbound))
    assert [(one["command_id"], one["state"]) for one in sent] == [("d-1", "failed")]
