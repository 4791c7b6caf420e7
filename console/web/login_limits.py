"""How often a login may be tried: delays that grow for an address and for an account, and a limit for all.

Pure; time is monotonic, in seconds. Memory is bounded: the addresses that failed last are remembered.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_FAILURES = 3
"""So many failures cost nothing: people mistype."""
MOST_DELAY_S, MOST_USER_DELAY_S = 900.0, 60.0
"""The longest delay of an address, and of an account. The second is short, since anybody can cause it."""
FORGET_S = 3600.0
MAX_KNOWN = 2000
ALL_BURST, ALL_PER_S = 20.0, 0.5
"""Attempts of everybody together: each costs the device the time of one scrypt."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_s: float = 0.0

    def wait_s(self, now_s: float, most_s: float) -> float:
        over = self.count - FREE_FAILURES
        delay_s = 0.0 if over < 0 else min(2.0 ** min(over, 20), most_s)
        return max(0.0, self.last_s + delay_s - now_s)


class LoginLimits:
    """Failures by address and by account. An account's delay, and the limit of all, spare the addresses that
    it logged in from."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._tokens, self._filled_s = ALL_BURST, clock()

    def wait_s(self, address: str, user: str) -> float:
        """How long until this attempt may be made; 0: now, and it is counted for the limit of all."""
        now_s = self._clock()
        own_s = self._of("address", network_of(address)).wait_s(now_s, MOST_DELAY_S)
        if (network_of(address), user) in self._known:
            return own_s  # a flood of others does not keep it out
        waits = [own_s, self._of("user", user).wait_s(now_s, MOST_USER_DELAY_S)]
        self._tokens = min(ALL_BURST, self._tokens + (now_s - self._filled_s) * ALL_PER_S)
        self._filled_s = now_s
        if (wait_s := max(waits)) > 0:
            return wait_s
        if self._tokens < 1:
            return (1 - self._tokens) / ALL_PER_S
        self._tokens -= 1
        return 0.0

    def failed(self, address: str, user: str) -> None:
        """An attempt was wrong."""
        now_s = self._clock()
        for key in (("address", network_of(address)), ("user", user)):
            found = self._of(*key)
            found.count, found.last_s = found.count + 1, now_s
            self._failures[key] = found
            self._failures.move_to_end(key)
        _bound(self._failures)

    def succeeded(self, address: str, user: str) -> None:
        """An attempt was right: the address starts anew, and is known to the account."""
        self._failures.pop(("address", network_of(address)), None)
        self._failures.pop(("user", user), None)
        self._known[network_of(address), user] = None
        _bound(self._known)

    def _of(self, kind: str, name: str) -> _Failures:
        found = self._failures.get((kind, name))
        if found is None or self._clock() - found.last_s > FORGET_S:
            return _Failures()
        return found


def network_of(address: str) -> str:
    """What counts as one address: one of IPv4, 64 bits of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)


def _bound(table: "OrderedDict[tuple[str, str], _Failures] | OrderedDict[tuple[str, str], None]") -> None:
    while len(table) > MAX_KNOWN:
        table.popitem(last=False)
