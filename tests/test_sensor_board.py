"""The sensor board's wire: what is encoded is read back, nothing damaged is believed, outputs do what is wanted."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.damaged_frames import campaign
from firmware_bridge.readings import BoardState, Reading, Switch, Value
from firmware_bridge.sensors.board_frames import ACK, EVENT, HELLO, OUTPUT, READ, REPORT, WRITE, encode, parse
from firmware_bridge.sensors.board_requests import ANSWER_WITHIN_S, HOLD_S, REFUSED_WAIT_S, RETRY_AFTER_S
from firmware_bridge.sensors.sensor_board import SensorBoardDecoder
from firmware_bridge.serial.sniffer import Sniffer
from simulators.board import OK, REMEMBERS_S, SAFE_AFTER_S, UNKNOWN, Firmware


def read(data: bytes, decoder: SensorBoardDecoder | None = None) -> list[Value]:
    """What is said, but for what the board says of itself."""
    return [value for value in hear(data, decoder) if not isinstance(value, BoardState)]


def messages(data: bytes) -> list[object]:
    return [parse(packet.data) for packet in Sniffer(("cobs",)).feed(data)]


def hear(data: bytes, decoder: SensorBoardDecoder | None = None) -> list[Value]:
    decoder = decoder or SensorBoardDecoder()
    return [value for packet in Sniffer(("cobs",)).feed(data) for value in decoder.feed(packet.data)]


REPORTS = [
    ("temperature", {0: 1850}, [Reading(quantity="temperature", value=18.5, unit="degC")]),
    ("below zero", {0: -1234}, [Reading(quantity="temperature", value=-12.34, unit="degC")]),
    ("humidity", {1: 655}, [Reading(quantity="relative_humidity", value=65.5, unit="percent")]),
    ("supply", {2: 12_345, 3: 250}, [Reading(quantity="supply_voltage", value=12.345, unit="V"), Reading(quantity="supply_current", value=0.25, unit="A")]),
    ("inputs", {4: 1, 7: 0}, [Switch(name="tamper", on=True), Switch(name="panic_button", on=False)]),
    ("outputs as they are", {16: 1, 18: 0}, [Switch(name="siren", on=True), Switch(name="relay", on=False)]),
    ("a failed sensor is no reading", {0: None, 1: 500}, [Reading(quantity="relative_humidity", value=50.0, unit="percent")]),
    ("out of range", {0: 99_999}, []),
    ("out of all bounds", {0: 2**700, 7: -(2**700)}, []),
    ("an input of 2", {7: 2}, []),
    ("floats are not ours", {0: 18.5}, []),
    ("true is no integer", {7: True}, []),
    ("unknown keys are passed over", {99: 1, "x": 2, 0: 100}, [Reading(quantity="temperature", value=1.0, unit="degC")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"), [case[1:] for case in REPORTS], ids=[case[0] for case in REPORTS]
)
def test_report(content: dict[object, object], expected: list[object]) -> None:
    assert read(encode(REPORT, {"seq": 1, "up_ms": 5, "boot": 1} | content)) == expected


def test_what_cannot_be_is_counted() -> None:
    decoder = SensorBoardDecoder()
    read(encode(REPORT, {0: 99_999, 7: 2}) + encode(REPORT, {0: 18.5}) + encode(EVENT, {7: 1}), decoder)
    assert decoder.bad == 4


def test_an_event_is_told_once_and_answered_each_time() -> None:
    decoder = SensorBoardDecoder()
    press = encode(EVENT, {"id": 5, "boot": 3, 7: 1})
    assert read(press, decoder) == [Switch(name="panic_button", on=True, event=5)]
    first = decoder.replies()
    assert read(press + press, decoder) == []
    again = decoder.replies()
    assert again == first * 2
    (packet, *_) = Sniffer(("cobs",)).feed(first)
    assert parse(packet.data) == (2, ACK, {"id": 5, "boot": 3}, 5)
    assert decoder.replies() == b""


def test_the_same_number_after_a_reboot_is_another_event() -> None:
    decoder = SensorBoardDecoder()
    assert len(read(encode(EVENT, {"id": 1, "boot": 3, 7: 1}), decoder)) == 1
    assert len(read(encode(EVENT, {"id": 1, "boot": 4, 7: 1}), decoder)) == 1


def test_a_board_that_always_says_the_same_start_loses_no_press() -> None:
    decoder = SensorBoardDecoder()
    press, before = encode(EVENT, {"id": 1, "boot": 0, 7: 1}), encode(REPORT, {"boot": 0, "up_ms": 9000})
    assert len(read(before + press, decoder)) == 1
    assert len(read(encode(HELLO, {"boot": 0, "up_ms": 3}) + press, decoder)) == 1


def test_an_event_before_the_first_report_is_told_once() -> None:
    decoder = SensorBoardDecoder()
    press, report = encode(EVENT, {"id": 1, "boot": 3, 7: 1}), encode(REPORT, {"boot": 3, "up_ms": 9000})
    assert len(read(press + report + press, decoder)) == 1


def test_an_event_of_which_nothing_is_known_is_counted_and_answered() -> None:
    decoder = SensorBoardDecoder()
    assert read(encode(EVENT, {"id": 1, "boot": 3, 77: 1}), decoder) == []
    assert (decoder.bad, bool(decoder.replies())) == (1, True)


def test_hello_says_what_it_is_and_our_own_frames_say_nothing() -> None:
    hello = {"proto": 1, "fw": "1.2\n", "hw": "pico", "uid": "e661", "boot": 7, "up_ms": 12}
    (state,) = hear(encode(HELLO, hello))
    assert state == BoardState(firmware="1.2", hardware="pico", uid="e661", protocol=1, boot=7)
    ours = (
        encode(ACK, {"id": 1}, op=WRITE) + encode(OUTPUT, {"out": 16}, op=WRITE) + encode(HELLO, {}, op=READ)
    )
    assert hear(ours) == []


def test_a_sensor_that_fails_is_named_until_it_is_well() -> None:
    decoder = SensorBoardDecoder()
    states = [
        value.failed
        for number, content in enumerate(({0: None, 7: None}, {0: None, 7: None}, {0: 100, 7: 0}))
        for value in hear(encode(REPORT, {"seq": number, "boot": 1} | content), decoder)
        if isinstance(value, BoardState)
    ]
    assert states == [("panic_button", "temperature"), ()]


def test_reports_that_never_came_are_counted_but_not_over_a_restart() -> None:
    decoder = SensorBoardDecoder()
    for boot, number in ((1, 7), (1, 8), (1, 8), (1, 12), (2, 1), (2, 2), (2, 4)):
        hear(encode(REPORT, {"seq": number, "boot": boot}), decoder)
    assert decoder.lost == 3 + 1


@pytest.mark.parametrize(
    ("before", "after", "restarts"),
    [
        ({"boot": 1, "up_ms": 900}, {"boot": 2, "up_ms": 5}, 1),
        ({"boot": 1, "up_ms": 900}, {"boot": 1, "up_ms": 5}, 1),
        ({"boot": 1, "up_ms": 900}, {"boot": 1, "up_ms": 901}, 0),
        ({"boot": 1, "up_ms": 2**32 - 9}, {"boot": 1, "up_ms": 5}, 0),
        ({"boot": 1}, {}, 0),
    ],
    ids=["counted", "no counter", "goes on", "49 days", "says nothing"],
)
def test_a_restart_is_noticed(before: dict[str, int], after: dict[str, int], restarts: int) -> None:
    decoder = SensorBoardDecoder()
    hear(encode(REPORT, before), decoder)
    states = [value for value in hear(encode(REPORT, after), decoder) if isinstance(value, BoardState)]
    assert [state.restarts for state in states] == [1] * restarts


def test_a_frame_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes; the maximum is 256"):
        encode(REPORT, {"text": "x" * 300})


class Pair:
    """The agent's side and a board, joined by a wire that may do something to what is said; time is injected."""

    def __init__(self, *outputs: str, wire: Callable[[bytes], bytes] = bytes) -> None:
        self.now_s = 1000.0
        self.board = Firmware(self.now_s)
        self.outputs = outputs
        self.to_board = self.to_agent = wire
        self.wanted: dict[str, float] = {}
        self.asked: list[bytes] = []
        self.said: list[Value] = []
        self.begin()

    def begin(self) -> None:
        """An agent begins (anew)."""
        self.decoder: SensorBoardDecoder | None = SensorBoardDecoder(self.outputs)
        self.line_decoder = Sniffer(("cobs",))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Lets time pass, in steps of 50 ms; how much."""
        began_s = self.now_s
        down = b""
        while self.now_s - began_s < seconds and not until():
            self.now_s += 0.05
            up = self.to_agent(self.board.step(self.now_s, self.to_board(down)))
            down = b""
            if self.decoder is None:
                continue
            for packet in self.line_decoder.feed(up):
                self.said += self.decoder.feed(packet.data)
            self.said += self.decoder.pause()
            asked = self.decoder.next_request(self.now_s, self.wanted)
            if asked:
                self.asked.append(asked)
            down = self.decoder.replies() + asked
        return self.now_s - began_s

    def on(self) -> set[str]:
        return self.board.on(self.now_s)

    def state(self) -> BoardState:
        return [value for value in self.said if isinstance(value, BoardState)][-1]


def test_an_output_is_on_while_it_is_wanted() -> None:
    pair = Pair("siren", "light")
    pair.run(2)
    pair.wanted = {"siren": 60}
    assert pair.run(1, lambda: pair.on() == {"siren"}) <= 0.15
    for _ in range(60):
        pair.run(1)
        assert pair.on() == {"siren"}
    assert len(pair.asked) < 30  # refreshed now and then, not all the time
    pair.wanted = {"light": 60}
    assert pair.run(1, lambda: pair.on() == {"light"}) <= 0.25
    assert Switch(name="siren", on=True) in pair.said
    assert pair.said[-1] in (Switch(name="light", on=True), Switch(name="siren", on=False))


def test_what_is_wanted_for_a_moment_is_off_when_the_moment_is_over_also_without_us() -> None:
    pair = Pair("siren")
    pair.wanted = {"siren": 0.5}
    pair.run(1, lambda: bool(pair.on()))
    pair.decoder = None
    assert pair.run(5, lambda: not pair.on()) == pytest.approx(0.5, abs=0.06)


def test_the_siren_of_an_agent_that_died_falls_silent_by_itself() -> None:
    pair = Pair("siren")
    pair.wanted = {"siren": 600}
    pair.run(20)
    assert pair.on() == {"siren"}
    pair.decoder = None
    assert pair.run(60, lambda: not pair.on()) <= HOLD_S


def test_a_new_agent_switches_off_what_it_does_not_want() -> None:
    pair = Pair("siren")
    pair.wanted = {"siren": 600}
    pair.run(5)
    pair.wanted = {}
    pair.begin()
    assert pair.run(5, lambda: not pair.on()) <= 1.2  # with the next report


def test_a_board_that_was_reset_is_told_again_and_the_reset_is_said() -> None:
    pair = Pair("siren")
    pair.wanted = {"siren": 600}
    pair.run(5)
    pair.board = Firmware(pair.now_s, boot=2)
    assert pair.run(5, lambda: pair.on() == {"siren"}) <= 0.3
    assert (pair.state().boot, pair.state().restarts) == (2, 1)


def test_an_unanswered_request_is_sent_three_times_and_then_said() -> None:
    pair = Pair("siren")
    pair.run(2)
    assert pair.state().hears is True
    pair.to_board = lambda _: b""
    pair.asked.clear()
    pair.wanted = {"siren": 600}
    pair.run(3 * ANSWER_WITHIN_S + 0.2)
    assert (len(pair.asked), len(set(pair.asked))) == (3, 1)
    assert pair.state().hears is False
    pair.run(RETRY_AFTER_S)
    assert len(set(pair.asked)) == 2
    pair.to_board = bytes
    assert pair.run(5, lambda: bool(pair.on())) < 2
    assert pair.run(1, lambda: pair.state().hears is True) < 1


def test_a_repeated_request_is_answered_and_not_carried_out_again() -> None:
    board = Firmware(0)
    frame = encode(OUTPUT, {"out": 16, "on": 1, "ttl_ms": 2000}, 9, WRITE)
    answer = (3, OUTPUT, {"rc": OK}, 9)
    assert answer in messages(board.step(0, frame))
    assert messages(board.step(0.2, frame)) == [answer]
    assert (board.on(1.9), board.on(2.1)) == ({"siren"}, set())  # counted from the first time
    board.step(0.2 + REMEMBERS_S, frame)
    assert board.on(2.3) == {"siren"}


def test_without_a_word_from_the_agent_outputs_are_off() -> None:
    board = Firmware(0)
    board.step(0, encode(OUTPUT, {"out": 17, "on": 1, "ttl_ms": 60_000}, 1, WRITE))
    board.step(SAFE_AFTER_S - 1)
    assert board.on(SAFE_AFTER_S - 1) == {"light"}
    board.step(SAFE_AFTER_S)
    assert board.on(SAFE_AFTER_S) == set()


def test_a_quiet_agent_pings() -> None:
    pair = Pair()
    pair.run(120)
    assert pair.now_s - pair.board._received_s < 6
    assert pair.state().hears is True
    assert pair.state().uid == "sim-0"


def test_a_board_is_asked_who_it_is_though_it_is_told_to_switch_first() -> None:
    pair = Pair("siren")
    pair.board.step(pair.now_s)  # its hello, which nobody heard
    pair.wanted = {"siren": 60}
    assert pair.run(1, lambda: pair.on() == {"siren"}) <= 0.15
    assert pair.run(1, lambda: bool(pair.state().uid)) <= 0.3


def test_an_output_that_the_board_has_not_is_said_and_not_hammered() -> None:
    pair = Pair("siren")
    pair.board._switch = lambda content, now_s: UNKNOWN  # type: ignore[method-assign]
    pair.wanted = {"siren": 600}
    pair.run(1)
    assert pair.state().refused == ("siren",)
    pair.run(REFUSED_WAIT_S * 3)
    assert 3 <= sum(b"ttl" in frame for frame in pair.asked) <= 5
    del pair.board._switch
    pair.run(REFUSED_WAIT_S + 1)
    assert (pair.on(), pair.state().refused) == ({"siren"}, ())


def noisy(chance: random.Random, share: float) -> Callable[[bytes], bytes]:
    """A wire that flips, drops and doubles bytes, and puts a burst of noise in now and then."""

    def carry(data: bytes) -> bytes:
        hurt = bytearray()
        for byte in data:
            draw = chance.random()
            if draw < share:
                hurt.append(byte ^ 1 << chance.randrange(8))
            elif draw < 1.5 * share:
                hurt += bytes((byte, byte))
            elif draw > share * 2:
                hurt.append(byte)
        if chance.random() < share * 10:
            hurt += chance.randbytes(chance.randrange(20))
        return bytes(hurt)

    return carry


@pytest.mark.parametrize("seed", range(5))
def test_on_a_noisy_wire_a_press_comes_once_and_the_siren_follows(seed: int) -> None:
    pair = Pair("siren", wire=noisy(random.Random(seed), 2e-3))
    pair.run(3)
    for _ in range(20):
        numbers = [pair.board.press("panic_button", on) for on in (True, False)]
        pair.run(10, lambda numbers=numbers: pair.board.acknowledged >= set(numbers))  # type: ignore[misc]
        pair.wanted = {"siren": 60}
        pair.run(10, lambda: pair.on() == {"siren"})
        pair.wanted = {}
        pair.run(10, lambda: not pair.on())
    events = [value.event for value in pair.said if isinstance(value, Switch) and value.event]
    assert sorted(events) == list(range(1, 41))
    names = {value.name for value in pair.said if isinstance(value, Switch) and value.on}
    assert names <= {"panic_button", "siren"}  # nothing was ever on that was not


def test_no_damaged_frame_is_believed() -> None:
    """As one stream, hurt in five ways (``python -m bench.damaged_frames`` sends 100,000)."""
    found = campaign(10_000, seed=7)
    assert found["damaged"] >= 10_000
    assert found["believed"] > 5_000
    assert found["wrong"] == 0


@given(st.binary(max_size=300))
def test_any_payload_raises_nothing(payload: bytes) -> None:
    decoder = SensorBoardDecoder()
    decoder.feed(payload)
    decoder.replies()


@given(
    st.dictionaries(
        st.one_of(
            st.integers(-5, 20), st.sampled_from(["id", "boot", "seq", "up_ms", "rc", "fw", "uid", "proto"])
        ),
        st.one_of(
            st.none(),
            st.integers(),
            st.integers(-(2**900), 2**900),
            st.text(max_size=5),
            st.floats(),
            st.booleans(),
            st.lists(st.integers(), max_size=3),
        ),
        max_size=6,
    ),
    st.integers(0, 7),
    st.integers(0, 3),
    st.integers(0, 255),
)
def test_any_content_raises_nothing(
    content: dict[object, object], command: int, op: int, sequence: int
) -> None:
    try:
        frame = encode(command, content, sequence, op)
    except ValueError:
        return
    decoder = SensorBoardDecoder(("siren",))
    decoder.next_request(0.0, {"siren": 5.0})
    decoder._requests._open.sequence = sequence  # type: ignore[union-attr]
    hear(frame, decoder)
    decoder.replies()
    Firmware(0).step(1, frame)


def test_a_board_that_wakes_at_its_deadlines_says_what_one_says_that_never_sleeps() -> None:
    awake, sleeping = Firmware(0.0, seed=3), Firmware(0.0, seed=3)
    said = [b"", b""]
    presses = {1.5: True, 1.9: False}
    for tick in range(8000):
        now_s = tick / 1000
        if now_s in presses:
            for board in (awake, sleeping):
                board.press("panic_button", presses[now_s])
        said[0] += awake.step(now_s)
        if tick == 0 or now_s in presses or sleeping.next_s() <= now_s:
            said[1] += sleeping.step(now_s)
    assert said[0] == said[1]
    assert sleeping.repeats > 4
