"""``command/rotate_certificate``: a new key and certificate for the broker, tried before they are kept.

    request   the device makes a key, which never leaves it, and answers with a request (CSR)
    install   the certificate is checked, then tried: the link reconnects with it, and the centre's receipt
              over that connection has to come. Else, and after a restart meanwhile, the pair before is used

A second connection beside the link is no way to try it: a broker that takes the client id from the
certificate would end the first one (decision 0052).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from agent.commands.commands import State
from agent.commands.requests import Command, RotateCertificate
from agent.config.model import Config
from agent.control.certificate_checks import check_certificate, make_key, make_request
from agent.control.certificate_store import CertificateStore
from agent.domain.message import stamp
from agent.host.clock import kernel_clock, read_clocks, utc_now
from agent.mqtt.link import Link
from agent.mqtt.tls import MOST_BYTES
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.runtime.error_text import describe_error
from firmware_bridge.regular_files import read_regular

log = structlog.get_logger()

TRIAL_S = 60.0
POLL_S = 0.1


class Certificates:
    """Carries out ``rotate_certificate``; gives the link its pairs, and health the certificate in use."""

    def __init__(
        self,
        store: CertificateStore,
        pipeline: Pipeline,
        link: Link,
        outbox: Outbox,
        running: Callable[[], Config],
        send_result: Callable[[Mapping[str, Any]], Awaitable[None]],
        spawn: Callable[[Any], object],
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._link = link
        self._outbox = outbox
        self._running = running
        self._send_result = send_result
        self._spawn = spawn
        self._owed: dict[str, Any] | None = None

    def restore(self) -> None:
        """Takes up the pairs of before a restart; a trial that it has cut off is over. Blocking."""
        self._owed = self._store.load()
        if self._owed is not None:
            log.warning("certificate_trial_ended", reason="the agent was restarted")

    async def report_cut_off(self) -> None:
        """A job: sends the result of a trial that a restart has cut off, and ends."""
        if self._owed:
            reason = "the agent was restarted during the trial; the certificate before is in use"
            await self._send_result({**self._owed, "state": "failed", "reason": reason})
        self._owed = None

    def in_use(self) -> dict[str, Path]:
        """The certificate files that can expire, by their keys in the configuration."""
        broker = self._running().broker
        files = broker.certificates()
        used = self._link.connected_cert or self._store.first
        return files if used is None else files | {"broker.cert": used}

    def troubles(self) -> list[str]:
        """Whether the certificate that was installed last is not taken any more."""
        active, used = self._store.state.active, self._link.connected_cert
        first = self._store.first
        if active is None or used in (None, first) or self._store.state.trial is not None:
            return []
        why = f": {self._link.refusals[0]}" if self._link.refusals else ""
        return [f"broker.cert: the link uses {used}, as {first} is of no use{why}"]

    async def command(self, command: Command, result: Mapping[str, Any]) -> State:
        """ValueError where there is nothing to rotate, or the certificate does not fit."""
        wanted = RotateCertificate.model_validate(command.model_dump())
        if not self._running().broker.encrypted:
            raise ValueError("broker.url is mqtt://: there is no certificate")
        if self._store.state.trial is not None:
            raise ValueError("another certificate is on trial: one at a time")
        if wanted.step == "request":
            await self._request(result)
        else:
            await self._install((wanted.certificate or "").encode(), dict(result))
        return "accepted"

    async def _request(self, result: Mapping[str, Any]) -> None:
        key = await asyncio.to_thread(make_key)
        await asyncio.to_thread(self._store.request, key)
        csr = await asyncio.to_thread(make_request, key, self._running().device)
        log.info("certificate_requested")

        async def answer() -> None:
            await self._send_result({**result, "state": "succeeded", "csr": csr})

        self._spawn(answer())

    async def _install(self, certificate: bytes, result: dict[str, Any]) -> None:
        """Checks the certificate, and begins its trial."""
        key = await asyncio.to_thread(self._store.requested_key)
        if key is None:
            raise ValueError('no key was requested: send step "request" first')
        if self._pipeline.deployment.ledger.trial is not None:
            raise ValueError("a configuration is on trial: wait for its end")
        config, now = self._running(), utc_now()
        ca = config.broker.ca
        authorities = None if ca is None else await asyncio.to_thread(read_regular, ca, MOST_BYTES)
        trusted = kernel_clock()[0] and now >= self._link.past
        until = await asyncio.to_thread(
            check_certificate, certificate, key, config.device, authorities,
            now=now if trusted else self._link.past, trusted=trusted,
        )  # fmt: skip
        path = await asyncio.to_thread(self._store.begin_trial, certificate, result)
        self._spawn(self._try(path, result, until))

    async def _try(self, path: Path, result: dict[str, Any], until: datetime) -> None:
        """The trial of the certificate at ``path``: it is kept, or the one before is used again."""
        await self._link.settled()
        self._link.renew()
        reason = f"no receipt of the centre arrived within {TRIAL_S:g} s"
        try:
            async with asyncio.timeout(TRIAL_S):
                reason = await self._prove(path, result)
        except TimeoutError:
            if self._link.connected_url is None:
                reason = f"the broker was not reached within {TRIAL_S:g} s"
        except Exception as error:  # whatever it is, the pair before must come back
            log.exception("certificate_trial_crashed")
            reason = f"{type(error).__name__}: {error}"
        try:
            await asyncio.to_thread(self._store.end_trial, keep=not reason)
        except OSError as error:
            reason = reason or f"it can't be kept on this disk: {describe_error(error)}"
            self._store.state = self._store.state.model_copy(update={"trial": None, "result": None})
        if reason:
            log.warning("certificate_rejected", reason=reason)
            if self._link.connected_cert == path:
                self._link.renew()
            await self._send_result({**result, "state": "failed", "reason": reason})
            return
        log.info("certificate_installed", not_after=stamp(until))
        await self._send_result({**result, "state": "succeeded", "not_after": stamp(until)})

    async def _prove(self, certificate: Path, result: Mapping[str, Any]) -> str:
        """Empty once the centre's receipt came over a connection with ``certificate``; else why it can't."""
        while self._link.connected_url is None or self._link.renewing:  # noqa: ASYNC110  at each change
            await asyncio.sleep(POLL_S)
        if self._link.connected_cert != certificate:
            return f"the broker did not take it: {'; '.join(self._link.refusals)}"
        await self._link.acknowledged()
        if self._running().broker.delivery != "receipt":
            return ""
        message = self._pipeline.messages.command_result({**result, "state": "trial"}, *read_clocks())
        receipt = asyncio.ensure_future(self._link.receipt_of(message.id))
        try:
            await self._outbox.put(message)
            await receipt
        finally:
            receipt.cancel()
        return "" if self._link.connected_cert == certificate else "the connection was lost during the trial"
