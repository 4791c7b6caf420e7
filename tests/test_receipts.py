"""When what has no receipt is sent again, and what is said of it. Time is given."""

from itertools import pairwise

from agent.domain.message import Lane
from agent.mqtt.receipts import LONGEST_WAIT_S, SPREAD_S, Receipts
from agent.outbox.opening import memory_store
from agent.outbox.rows import Row

SPARE = memory_store()
FIRST: tuple[Lane, ...] = ("alert", "result")


def row(name: str, rank: int = 0, lane: Lane = "alert", group: str = "") -> Row:
    return Row(lane, 1, name, lane, b"{}", 1, False, None, 0.0, "e", SPARE, 1, rank, group)


def waiting(*rows: Row, resend_s: float = 60.0) -> Receipts:
    """The broker has them since the instant 0."""
    receipts = Receipts(lambda low, _high: low)
    receipts.connected(resend_s)
    for one in rows:
        receipts.await_receipt(one, 0.0)
    return receipts


def sent(receipts: Receipts, until_s: int, rows: tuple[Row, ...]) -> list[tuple[int, str]]:
    """What is sent again up to ``until_s``, where the broker takes it and no receipt comes."""
    found = []
    by_id = {one.id: one for one in rows}
    for now_s in range(1, until_s + 1):
        for name in receipts.due(now_s, 100, FIRST):
            found.append((now_s, name))
            receipts.await_receipt(by_id[name], now_s)
    return found


def test_repeats_to_a_centre_that_gives_no_receipt_grow_rare() -> None:
    one = row("a")
    times = [at for at, _ in sent(waiting(one), 4 * 3600, (one,))]
    assert times[:5] == [60, 180, 420, 900, 1860]
    assert {later - earlier for earlier, later in pairwise(times[4:])} == {LONGEST_WAIT_S}


def test_no_phase_is_sent_again_before_the_earlier_ones_of_its_alert() -> None:
    """The broker lost the first phase twice: it would have come after the end."""
    new, other, end = row("new", group="a"), row("other", group="b"), row("end", group="a")
    receipts = waiting(new, other)
    assert receipts.due(60.0, 10, FIRST) == ["new", "other"]
    receipts.await_receipt(new, 60.0)  # due again at 180
    receipts.await_receipt(other, 60.0)
    receipts.await_receipt(end, 61.0)
    assert receipts.due(121.0, 10, FIRST) == ["new", "end"]
    assert receipts.due(122.0, 10, FIRST) == []


def test_fifty_alerts_and_a_dead_centre_are_few_messages_an_hour() -> None:
    rows = tuple(row(str(number)) for number in range(50))
    assert len(sent(waiting(*rows, resend_s=5.0), 3600, rows)) <= 50 * 10


def test_what_is_new_is_not_repeated_because_another_got_its_receipt() -> None:
    receipts = waiting(row("a"), row("b"))
    receipts.record(["a"], 1.0)
    assert receipts.due(59.0, 10, FIRST) == []
    assert receipts.due(60.0, 10, FIRST) == ["b"]


def test_a_sign_of_life_brings_back_what_is_critical_now_and_the_rest_within_seconds() -> None:
    rows = (row("info", 2), row("critical"), row("result", lane="result"))
    for sign in ("online", "receipt"):
        receipts = Receipts(lambda _low, high: high)
        receipts.connected(60.0)
        for one in rows:
            receipts.await_receipt(one, 0.0)
        sent(receipts, 5000, rows)
        assert receipts.due(5001.0, 10, FIRST) == []
        if sign == "online":
            receipts.record_host_status("online", 5001.0, retained=False)
        else:
            receipts.record(["another"], 5001.0)
        assert receipts.urgent
        assert receipts.due(5001.0, 10, FIRST) == ["critical"]
        spread_s = 60.0 if sign == "online" else SPREAD_S  # a whole fleet hears that it is online
        assert receipts.due(5001.0 + spread_s - 0.1, 10, FIRST) == []
        assert receipts.due(5001.0 + spread_s, 10, FIRST) == ["result", "info"]


def test_once_a_generation_of_the_centre_everything_is_sent_again() -> None:
    """A rolling restart of its workers is no new generation: no fleet sends everything ten times."""
    one = row("a")
    receipts = waiting(one)
    receipts.record_host_status("online", 0.0, retained=True, generation="g1")
    for now_s in range(1, 10):
        receipts.record_host_status("offline", now_s, retained=False)
        receipts.record_host_status("online", now_s, retained=False, generation="g1")
    assert receipts.due(10.0, 10, FIRST) == []
    receipts.connected(60.0)  # of the broker's restart it remembers the generation
    receipts.await_receipt(one, 10.0)
    receipts.record_host_status("online", 11.0, retained=False, generation="g1")
    assert receipts.due(12.0, 10, FIRST) == []
    for generation in ("g2", None, None):
        receipts.record_host_status("online", 12.0, retained=False, generation=generation)
        assert receipts.due(12.0, 10, FIRST) == ["a"]
        receipts.await_receipt(one, 12.0)


def test_within_a_generation_nothing_waits_longer_because_the_centre_was_offline() -> None:
    one = row("a")
    receipts = waiting(one)
    receipts.record_host_status("online", 0.0, retained=True, generation="g")
    receipts.record_host_status("offline", 1.0, retained=False)
    assert receipts.due(60.0, 10, FIRST) == ["a"]
    receipts.await_receipt(one, 60.0)  # for half an hour
    receipts.record_host_status("online", 100.0, retained=False, generation="g")
    assert receipts.due(159.0, 10, FIRST) == []
    assert receipts.due(160.0, 10, FIRST) == ["a"]


def test_a_retained_word_is_no_news() -> None:
    receipts = waiting(row("a"))
    receipts.record_host_status("online", 1.0, retained=True)
    assert receipts.due(2.0, 10, FIRST) == []


def test_what_is_most_urgent_is_repeated_first_and_of_a_held_lane_nothing() -> None:
    receipts = waiting(row("c", 2), row("r", lane="result"), row("a", 0), row("b", 1))
    assert receipts.due(60.0, 2, ("alert",)) == ["a", "b"]
    assert receipts.due(60.0, 9, ("alert",)) == ["c"]
    assert receipts.due(60.0, 9, ("alert", "result")) == ["r"]


def test_over_a_new_connection_how_long_it_waits_is_remembered() -> None:
    one = row("a")
    receipts = waiting(one)
    receipts.record_inbound()
    receipts.connected(60.0)
    assert receipts.due(1000.0, 10, FIRST) == []  # all that is owed is handed out anyway
    receipts.await_receipt(one, 1000.0)
    assert "the oldest for 1001 s" in str(receipts.trouble(1001.0))


def test_a_day_until_it_is_sent_again_is_no_day_without_a_word() -> None:
    """``resend_after`` may be a day, also by push: a deaf device must say so long before."""
    receipts = Receipts(lambda low, _: low)
    receipts.connected(86_400.0)
    receipts.await_receipt(row("a"), 0.0)
    assert receipts.trouble(899.0) is None
    assert "check its rights" in str(receipts.trouble(901.0))


def test_without_receipts_the_likely_cause_is_said() -> None:
    assert waiting().trouble(1e6) is None
    receipts = waiting(row("a"), row("b"))
    assert receipts.trouble(89.0) is None
    assert "check its rights" in str(receipts.trouble(91.0))
    receipts.record_inbound()
    assert "its status is unknown" in str(receipts.trouble(91.0))
    receipts.record_host_status("online", 91.0, retained=True)
    assert "is online, but gives no receipt" in str(receipts.trouble(91.0))
    receipts.record_malformed("ids: Field required")
    assert "name no message ids" in str(receipts.trouble(91.0))
    receipts.record(["a", "b"], 92.0)
    assert receipts.trouble(1e6) is None


def test_a_centre_that_says_it_is_offline_is_heeded_at_once_where_something_is_owed() -> None:
    receipts = waiting()
    receipts.record_host_status("offline", 0.0, retained=True)
    assert receipts.trouble(1.0) is None
    one = row("a")
    receipts.await_receipt(one, 1.0)
    assert (
        receipts.trouble(1.0)
        == "the centre says that it is offline; 1 alerts and results wait for its receipt"
    )
    assert sent(receipts, 1799, (one,)) == []
    receipts.record_host_status("online", 1800.0, retained=False)
    assert receipts.due(1800.0, 10, FIRST) == ["a"]


def test_long_waits_between_resends_are_no_trouble_by_themselves() -> None:
    receipts = waiting(row("a"), resend_s=600.0)
    assert receipts.trouble(899.0) is None
    assert receipts.trouble(901.0) is not None


def test_a_centre_that_gives_receipts_all_the_time_calls_for_no_repeat() -> None:
    """Only the first receipt after a silence is a sign of life: a poisoned message keeps its backoff."""
    one = row("a")
    receipts = waiting(one)
    times = []
    for now_s in range(1, 600):
        if now_s % 10 == 0:
            receipts.record(["another"], now_s)
        if receipts.due(now_s, 10, FIRST):
            times.append(now_s)
            receipts.await_receipt(one, now_s)
    assert times == [60, 180, 420]


def test_a_new_connection_forgets_what_the_centre_said_on_the_last() -> None:
    """It may be another broker, with another centre."""
    one = row("a")
    receipts = waiting(one)
    receipts.record_host_status("offline", 1.0, retained=True)
    receipts.connected(60.0)
    receipts.await_receipt(one, 2.0)
    assert receipts.trouble(3.0) is None
    assert receipts.due(62.0, 10, FIRST) == ["a"]


def test_what_waits_for_its_receipt_is_not_handed_out_beside_until_it_is_due_or_the_connection_ends() -> None:
    receipts = waiting(row("a"), row("b"))
    assert "a" in receipts
    assert receipts.due(60.0, 1, FIRST) == ["a"]
    assert "a" not in receipts  # it goes out once more
    assert "b" in receipts
    receipts.connected(60.0)
    assert "b" not in receipts


def test_a_receipt_is_honoured_for_what_was_handed_out_and_for_nothing_else() -> None:
    receipts = waiting(row("a"), row("b"))
    assert receipts.handed_out(["a", "later", "c", "a"], {"c"}) == ["a", "c", "a"]
    assert receipts.unknown == 1
    receipts.record(["a"], 1.0)
    assert receipts.handed_out(["a"], ()) == []


def test_receipts_that_the_centre_did_not_sign_are_named_as_the_cause() -> None:
    receipts = waiting(row("a"))
    receipts.record_refused("key 1 may not give receipts")
    assert "its receipts are refused: key 1 may not give receipts" in str(receipts.trouble(10_000.0))
    receipts.record([], 10_001.0)
    assert "refused" not in str(receipts.trouble(20_000.0))
