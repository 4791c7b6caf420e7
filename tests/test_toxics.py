"""The toxics of the fault proxy in words, and the addresses that it takes."""

import asyncio

import pytest

from simulators.faults.proxy import parse_address, serve
from simulators.faults.toxics import (
    Bandwidth,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
    parse_toxic,
)


@pytest.mark.parametrize(
    ("text", "toxic"),
    [
        ("latency=200,jitter=50", Latency(latency=200, jitter=50)),
        ("bandwidth=10,stream=upstream", Bandwidth(rate=10, stream="upstream")),
        ("slicer=64,size_variation=8,delay=100,toxicity=0.5",
         Slicer(average_size=64, size_variation=8, delay=100, toxicity=0.5)),
        ("limit_data=100", LimitData(limit=100)),
        ("timeout=0", Timeout()),
        ("reset_peer=20", ResetPeer(timeout=20)),
        ("slow_close=1000", SlowClose(delay=1000)),
    ],
)  # fmt: skip
def test_a_toxic_is_written_in_words(text: str, toxic: Toxic) -> None:
    assert parse_toxic(text) == toxic


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("lag=5", "unknown toxic 'lag'; known: latency, bandwidth"),
        ("latency=soon", "latency: latency is a number, not 'soon'"),
        ("latency=5,speed=1", "latency: unknown attribute 'speed'"),
        ("latency=5,stream=up", "latency: stream is upstream or downstream, not 'up'"),
        ("latency=5,toxicity=2", "latency: toxicity is out of range: 2"),
        ("latency=nan", "latency: latency is out of range: nan"),
        ("bandwidth=0", "bandwidth: rate is above 0"),
        ("", "unknown toxic ''"),
    ],
)
def test_wrong_words_are_refused(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error.replace("(", r"\(")):
        parse_toxic(text)


@pytest.mark.parametrize("address", ["10.0.0.1:1883", "broker.example:1883", "0.0.0.0:1883", ":1883"])
def test_the_proxy_is_for_this_machine_only(address: str) -> None:
    with pytest.raises(ValueError, match="faults are for simulations"):
        parse_address(address)
    with pytest.raises(ValueError, match="faults are for simulations"):
        asyncio.run(serve("127.0.0.1:1", address, []))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        parse_address(address)
