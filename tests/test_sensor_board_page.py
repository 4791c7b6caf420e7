"""``docs/sensor_board.md`` is right: its frames are the vectors, the vectors are what we read and write, its C runs."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.readings import BoardState, Switch, Value
from firmware_bridge.sensors.board_frames import encode, parse
from firmware_bridge.sensors.sensor_board import SensorBoardDecoder
from firmware_bridge.serial.sniffer import Sniffer
from simulators.board import Firmware
from tests.test_sensor_board import Pair

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/sensor_board.md").read_text()
VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors/sensor_board.json").read_text())
FRAMES: dict[str, dict[str, Any]] = {one["name"]: one for one in VECTORS["frames"]}
HEX = re.compile(r"^```hex (.+)\n((?:[0-9a-f ]+\n)+)```$", re.MULTILINE)
C = re.compile(r"^```c\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def wire(content: dict[str, Any]) -> dict[Any, Any]:
    """The map of a vector: keys of digits are integers."""
    return {int(key) if key.isdigit() else key: value for key, value in content.items()}


def messages(data: bytes) -> list[Any]:
    return [parse(packet.data) for packet in Sniffer(("cobs",)).feed(data)]


def values(decoder: SensorBoardDecoder, data: bytes) -> list[Value]:
    heard = [value for packet in Sniffer(("cobs",)).feed(data) for value in decoder.feed(packet.data)]
    return [value for value in heard if not isinstance(value, BoardState)]


@pytest.mark.parametrize("name", FRAMES)
def test_a_vector_is_what_we_write_and_read(name: str) -> None:
    frame = FRAMES[name]
    content = wire(frame["map"])
    assert encode(frame["command"], content, frame["sequence"], frame["op"]).hex() == frame["hex"]
    assert messages(bytes.fromhex(frame["hex"])) == [
        (frame["op"], frame["command"], content, frame["sequence"])
    ]


@pytest.mark.parametrize("name", [name for name, frame in FRAMES.items() if "values" in frame])
def test_a_vector_says_what_it_says(name: str) -> None:
    frame, decoder = FRAMES[name], SensorBoardDecoder()
    said = [
        {key: one for key, one in asdict(value).items() if one is not None}
        for value in values(decoder, bytes.fromhex(frame["hex"]))
    ]
    assert said == frame["values"]
    assert decoder.bad == frame.get("thrown_away", 0)


@pytest.mark.parametrize("bad", VECTORS["bad"], ids=lambda bad: bad["name"])
def test_a_bad_vector_says_nothing_and_the_next_frame_is_read(bad: dict[str, str]) -> None:
    decoder = SensorBoardDecoder()
    press = bytes.fromhex(FRAMES["press"]["hex"])
    assert values(decoder, bytes.fromhex(bad["hex"]) + press) == [
        Switch(name="panic_button", on=True, event=1)
    ]


@pytest.mark.parametrize("stream", VECTORS["streams"], ids=lambda stream: stream["name"])
def test_a_stream_gives_its_frames(stream: dict[str, Any]) -> None:
    expected = [messages(bytes.fromhex(FRAMES[name]["hex"]))[0] for name in stream["frames"]]
    data = bytes.fromhex(stream["hex"])
    assert [one for one in messages(data) if one is not None] == expected
    sniffer = Sniffer(("cobs",))
    packets = [packet for byte in data for packet in sniffer.feed(bytes((byte,)))]
    assert [parse(packet.data) for packet in packets] == expected


def test_the_frames_of_the_page_are_vectors() -> None:
    found = {name: text.replace(" ", "").replace("\n", "") for name, text in HEX.findall(PAGE)}
    assert len(found) >= 8
    assert found == {name: FRAMES[name]["hex"] for name in found}


def test_the_dissected_report_of_the_page_is_the_vector() -> None:
    block = next(
        text for text in re.findall(r"^```\n(.*?)^```$", PAGE, re.M | re.S) if text.startswith("header")
    )
    digits = re.compile(r"(?:[0-9a-f]{2} )*[0-9a-f]{2}(?= |$)")
    hexes = "".join("".join(digits.findall(line[9:37])) for line in block.splitlines()).replace(" ", "")
    (packet,) = Sniffer(("cobs",)).feed(bytes.fromhex(FRAMES["report"]["hex"]))
    assert hexes == packet.data.hex() + "03c6"


# The C of the page, compiled, as the board in the conversations of test_sensor_board.

HARNESS = r"""
#include <stdio.h>
#include <stdlib.h>
static uint32_t now, boot;
static int32_t measured[9];
static bool broken[9];
void uart_write(const uint8_t *bytes, size_t count) { while (count--) printf("%02x", *bytes++); }
uint32_t millis(void) { return now; }
uint32_t boot_number(void) { return boot; }
const char *serial_number(void) { return "c-1"; }
bool measure(uint8_t key, int32_t *value) { *value = measured[key]; return !broken[key]; }
void set_pin(uint8_t output, bool on) { fprintf(stderr, "%u %d\n", output, on); }
int main(int count, char **words) {
    char line[8192];
    unsigned ms, key; int value;
    boot = (uint32_t)strtoul(words[1], NULL, 10); now = (uint32_t)strtoul(words[2], NULL, 10);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "set %u %d", &key, &value) == 2) measured[key] = value;
        else if (sscanf(line, "break %u", &key) == 1) broken[key] = true;
        else if (sscanf(line, "press %u %d", &key, &value) == 2) { measured[key] = value; changed((uint8_t)key, value); }
        else if (sscanf(line, "step %u", &ms) == 1) {
            now = ms;
            for (char *at = strrchr(line, ' ') + 1; at[0] > ' ' && at[1] > ' '; at += 2) {
                unsigned byte; sscanf(at, "%2x", &byte); on_byte((uint8_t)byte);
            }
            loop();
            printf("\n"); fflush(stdout);
        }
    }
    return count == 0;
}
"""
KEYS = {"tamper": 4, "smoke": 6, "panic_button": 7}


class Compiled:
    """The page's C in a process, with the face of `Firmware`."""

    def __init__(self, program: Path, now_s: float, boot: int = 1, up_ms: int = 0) -> None:
        self._began_s = now_s
        self._up_ms = up_ms
        self.pins = program.with_name(f"pins-{boot}")
        self._process = subprocess.Popen(
            [program, str(boot), str(up_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.pins.open("wb"), text=True,
        )  # fmt: skip
        self._event = 0

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def press(self, name: str, on: bool = True) -> int:
        self.tell(f"press {KEYS[name]} {int(on)}")
        self._event += 1
        return self._event

    def step(self, now_s: float, received: bytes = b"") -> bytes:
        ms = (self._up_ms + round((now_s - self._began_s) * 1000)) % (1 << 32)
        self.tell(f"step {ms} {received.hex()}")
        assert self._process.stdout is not None
        return bytes.fromhex(self._process.stdout.readline().strip())

    def on(self, now_s: float) -> set[str]:
        """The pins as they were set last."""
        names = {"16": "siren", "17": "light", "18": "relay"}
        last = dict(line.split() for line in self.pins.read_text().splitlines())
        return {names[pin] for pin, on in last.items() if on == "1"}

    def end(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt-get install gcc")
    folder = tmp_path_factory.mktemp("board")
    (code,) = C.findall(PAGE)
    (folder / "board.c").write_text(code + HARNESS)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1", "-fsanitize=undefined"]
    for options in (flags, flags[:-1]):
        done = subprocess.run(
            [compiler, *options, "-o", folder / "board", folder / "board.c"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return folder / "board"
    raise AssertionError(done.stderr)


@pytest.fixture
def pair(program: Path) -> Iterator[Pair]:
    made = Pair("siren", "light")
    made.board = Compiled(program, made.now_s)  # type: ignore[assignment]
    yield made
    made.board.end()  # type: ignore[attr-defined]


def test_the_c_of_the_page_reports_and_answers(pair: Pair, program: Path) -> None:
    for line in ("set 0 -1234", "set 2 12300", "set 7 1", "break 1"):
        pair.board.tell(line)  # type: ignore[attr-defined]
    pair.run(12)
    state = pair.state()
    assert (state.uid, state.boot, state.hears, state.failed) == ("c-1", 1, True, ("relative_humidity",))
    said = [repr(value) for value in pair.said]
    assert "Reading(kind='reading', quantity='temperature', value=-12.34, unit='degC')" in said
    assert "Switch(kind='switch', name='panic_button', on=True, event=None)" in said
    assert pair.decoder is not None
    assert (pair.decoder.bad, pair.decoder.lost, pair.line_decoder.bad.total()) == (0, 0, 0)


def test_the_c_of_the_page_switches_and_is_off_by_itself(pair: Pair) -> None:
    pair.run(2)
    pair.wanted = {"siren": 60, "light": 1}
    assert pair.run(2, lambda: pair.on() == {"siren", "light"}) < 0.5
    pair.wanted = {"siren": 60}
    pair.run(20)
    assert pair.on() == {"siren"}
    pair.decoder = None
    assert pair.run(60, lambda: not pair.on()) <= 10


def test_the_c_of_the_page_goes_to_its_safe_state(program: Path) -> None:
    board = Compiled(program, 0)
    board.step(0, encode(4, {"out": 17, "on": 1, "ttl_ms": 60_000}, 1, 2))
    seen = []
    for second in range(1, 40):
        board.step(second)
        seen.append(bool(board.on(second)))
    board.end()
    assert seen.index(False) == 29
    assert seen[:29] == [True] * 29


def test_the_c_of_the_page_repeats_an_event_until_it_is_acknowledged(pair: Pair) -> None:
    pair.run(2)
    deaf, pair.to_board = pair.to_board, lambda _: b""
    pair.board.press("panic_button")
    sent: list[float] = []
    carry = pair.to_agent

    def listen(data: bytes) -> bytes:
        sent.extend(round(pair.now_s - 1002, 2) for one in messages(data) if one.command == 2)
        return carry(data)

    pair.to_agent = listen
    pair.run(12)
    assert sent == pytest.approx([0.05, 0.15, 0.35, 0.75, 1.55, 3.15, 6.35, 9.55], abs=0.06)
    pair.to_board = deaf
    pair.run(4)
    sent.clear()
    pair.run(10)
    assert sent == []
    assert [value.event for value in pair.said if isinstance(value, Switch) and value.event] == [1]


def test_the_c_of_the_page_answers_a_repeat_and_refuses_what_it_has_not(program: Path) -> None:
    board = Compiled(program, 0)
    board.step(0)
    siren = encode(4, {"out": 16, "on": 1, "ttl_ms": 2000}, 9, 2)
    assert messages(board.step(0.1, siren)) == [(3, 4, {"rc": 0}, 9)]
    assert messages(board.step(0.3, siren)) == [(3, 4, {"rc": 0}, 9)]
    cases: list[tuple[bytes, int]] = [
        (encode(4, {"out": 15, "on": 1, "ttl_ms": 1}, 10, 2), 5),
        (encode(4, {"out": 16, "on": 2, "ttl_ms": 1}, 11, 2), 3),
        (encode(4, {"out": 16, "on": 1, "ttl_ms": 60_001}, 12, 2), 3),
        (encode(4, {"out": 16, "on": 1}, 13, 2), 3),
        (encode(7, {}, 14, 2), 8),
        (encode(6, {}, 15, 0), 8),
    ]
    for frame, code in cases:
        (answer,) = messages(board.step(0.4, frame))
        assert answer.content == {"rc": code}
    for vector in VECTORS["bad"]:
        assert board.step(0.5, bytes.fromhex(vector["hex"])) == b""
    board.step(2.0)
    assert board.on(2.0) == {"siren"}
    board.step(2.1)
    assert board.on(2.1) == set()
    board.end()


def test_the_c_of_the_page_keeps_a_press_when_its_list_is_full(program: Path) -> None:
    board = Compiled(program, 0)
    board.step(0)
    board.press("panic_button")
    for number in range(30):
        board.press("tamper", on=number % 2 == 0)
    events = [one for one in messages(board.step(0.1)) if one.command == 2]
    board.end()
    assert len(events) == 16
    assert events[0].content == {"id": 1, "boot": 1, 7: 1}
    assert [event.content["id"] for event in events[1:]] == list(range(17, 32))


def test_the_c_of_the_page_goes_on_when_its_clock_wraps(program: Path) -> None:
    pair = Pair("siren")
    pair.board = Compiled(program, pair.now_s, up_ms=2**32 - 5000)  # type: ignore[assignment]
    pair.wanted = {"siren": 60}
    pair.run(2)
    for _ in range(20):
        pair.run(1)
        assert pair.on() == {"siren"}
    assert pair.state().restarts == 0
    pair.board.end()  # type: ignore[attr-defined]


def test_the_simulated_board_and_the_c_of_the_page_answer_alike(program: Path) -> None:
    compiled, simulated = Compiled(program, 0), Firmware(0)
    compiled.step(0), simulated.step(0)
    for name in ("siren on", "siren off", "ack of the press", "ping"):
        frame = bytes.fromhex(FRAMES[name]["hex"])
        assert compiled.step(0.5, frame) == simulated.step(0.5, frame), name
    compiled.end()
