"""The settings ``broker:`` of a configuration."""

import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from agent.domain.durations import Duration
from agent.host.clock import utc_now
from agent.mqtt.byte_budget import METERED_BYTES_PER_HOUR
from agent.mqtt.tls import tls_context
from firmware_bridge.secret import NearPath, Secret

Url = Annotated[str, StringConstraints(max_length=500)]
PORTS = {"mqtt": 1883, "mqtts": 8883}


class Broker(BaseModel):
    """The address of the centre's broker, and the credentials of this device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url
    fallbacks: tuple[Annotated[str, StringConstraints(max_length=500)], ...] = Field(
        default=(), max_length=16
    )
    """Further brokers, tried in this order where the first is unreachable; the link fails back to it."""
    delivery: Literal["receipt", "puback"] = "receipt"
    ca: NearPath | None = None
    cert: NearPath | None = None
    key: Secret | None = None
    username: str | None = None
    password: Secret | None = None
    keepalive: Duration = Field(
        default="30s", validate_default=True, ge=timedelta(seconds=5), le=timedelta(hours=1)
    )
    resend_after: Duration = Field(
        default="60s", validate_default=True, ge=timedelta(milliseconds=100), le=timedelta(days=1)
    )
    """An alert without the centre's receipt is sent again after this."""
    reconnect_wait: Duration = Field(
        default="30s", validate_default=True, ge=timedelta(seconds=1), le=timedelta(minutes=10)
    )
    """After failures the wait for the next connection is random, and grows up to this."""
    backlog_per_s: float = Field(default=50.0, gt=0, le=100_000)
    """Telemetry from before the connection is sent at no more messages a second than this."""
    budget_kb_per_hour: int | None = Field(default=None, ge=10, le=10_000_000)
    """Kilobytes that may be sent in an hour; telemetry and pictures wait for it, alerts never."""
    metered: bool = False
    """The link is paid by volume: without a budget of its own, 2 MB an hour."""
    protocol: Literal["5", "3.1.1"] = "5"
    insecure: bool = False

    @model_validator(mode="after")
    def _reachable_and_safe(self) -> Self:
        for url in (self.url, *self.fallbacks):
            self._check(url)
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        if self.key is not None and self.key.env is not None:
            raise ValueError("key is a file: write {file: …} or {credential: …}")
        if not self.encrypted and (self.ca or self.cert):
            raise ValueError("ca, cert and key need mqtts://")
        return self

    def _check(self, address: str) -> None:
        url = urlsplit(address)
        if url.scheme not in PORTS or not url.hostname:
            raise ValueError(f"url {address!r} is not a valid broker URL; write mqtts://host:8883")
        if url.username or url.password:
            raise ValueError("url carries a password; use username and password: {file: …}")
        try:
            port = url.port
        except ValueError:
            port = 0
        if port == 0:
            raise ValueError(f"url {address!r}: the port is a number from 1 to 65535")
        loopback = url.hostname in ("localhost", "127.0.0.1", "::1")
        if url.scheme == "mqtt" and not loopback and not self.insecure:
            raise ValueError(
                f"mqtt:// to {url.hostname} is not encrypted; use mqtts://, or set insecure: true explicitly"
                " (RINGPOST_INSECURE=1 on the command line)"
            )
        if url.scheme != urlsplit(self.url).scheme:
            raise ValueError(f"url and fallbacks are all mqtt:// or all mqtts://; {address} is not")

    @property
    def longest_wait_s(self) -> float:
        """The longest wait for the next connection."""
        return self.reconnect_wait.total_seconds()

    def is_at(self, reference: str) -> bool:
        """Whether this is the broker that another one refers to, as ``host`` or ``host:port``."""
        host, port = self.address
        return reference in (host, f"{host}:{port}")

    @property
    def in_order(self) -> "list[Broker]":
        """The first broker, then its fallbacks, each with its own ``url``."""
        others = [self.model_copy(update={"url": url, "fallbacks": ()}) for url in self.fallbacks]
        return [self, *others]

    @property
    def address(self) -> tuple[str, int]:
        url = urlsplit(self.url)
        return url.hostname or "", url.port or PORTS[url.scheme]

    @property
    def origin(self) -> str:
        """Scheme, host and port, in normal form."""
        host, port = self.address
        return f"{urlsplit(self.url).scheme}://{host}:{port}"

    @property
    def bytes_per_hour(self) -> int | None:
        """The byte budget, if there is one."""
        if self.budget_kb_per_hour is not None:
            return self.budget_kb_per_hour * 1000
        return METERED_BYTES_PER_HOUR if self.metered else None

    @property
    def encrypted(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    def certificates(self) -> dict[str, Path]:
        """The certificate files that can expire, by their keys in the configuration."""
        named = {"broker.ca": self.ca, "broker.cert": self.cert}
        return {name: path for name, path in named.items() if path is not None}

    def tls(self, past: datetime) -> ssl.SSLContext:
        """The TLS context. With a clock before ``past``, which is certainly past, it does not check the
        dates of certificates.

        OSError where a file cannot be read.
        """
        key = self.key.path() if self.key else None
        return tls_context(self.ca, self.cert, key, check_time=utc_now() >= past)
