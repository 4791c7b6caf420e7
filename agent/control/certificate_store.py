"""The keys and certificates that the device was given after its start, in ``<data>/identity``.

Each pair has a folder of its own. One file, replaced atomically, says which pair is requested, on trial and
in force, so a power cut leaves no half of a pair in force. That of the configuration is kept beside.
"""

import shutil
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel

from agent.mqtt.broker import Broker
from agent.mqtt.tls import MOST_BYTES, validity_of
from agent.runtime.atomic_files import write_durably
from firmware_bridge.regular_files import read_regular
from firmware_bridge.secret import Secret

log = structlog.get_logger()

FOLDER, FILE = "identity", "certificates.json"
KEY, CERT = "key.pem", "cert.pem"


class CertificateState(BaseModel):
    """The numbers of the pairs; ``result`` has the first fields of the result that the trial still owes."""

    last: int = 0
    requested: int | None = None
    trial: int | None = None
    active: int | None = None
    result: dict[str, Any] | None = None


class CertificateStore:
    """Blocking. OSError where the disk refuses a write; then nothing has changed."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER
        self._file = self._folder / FILE
        self.state = CertificateState()
        self.first: Path | None = None
        """The certificate that was to be tried first when `pairs` was last called."""

    def load(self) -> dict[str, Any] | None:
        """Reads the state. A trial that a restart has cut off is over; returns the result that it owes."""
        try:
            self.state = CertificateState.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("certificates_damaged", error=str(error).splitlines()[0])
            return None
        if self.state.trial is None:
            return None
        owed = self.state.result or {}
        try:
            self.end_trial(keep=False)
        except OSError as error:  # the trial is over in memory
            log.warning("certificates_not_saved", error=str(error))
            self.state = self.state.model_copy(update={"trial": None, "result": None})
        return owed

    def path(self, number: int, name: str) -> Path:
        return self._folder / f"tls-{number}" / name

    def request(self, key: bytes) -> None:
        """Keeps a new key; one that was requested before is forgotten."""
        number = self.state.last + 1
        path = self.path(number, KEY)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_durably(path, key)
        path.chmod(0o600)
        self._save(self.state.model_copy(update={"last": number, "requested": number}))

    def requested_key(self) -> bytes | None:
        """The key for which a certificate is awaited."""
        number = self.state.requested
        return None if number is None else read_regular(self.path(number, KEY), MOST_BYTES)

    def begin_trial(self, certificate: bytes, result: dict[str, Any]) -> Path:
        """From now on the requested key and ``certificate`` are tried first; a restart ends that. Returns
        the certificate's path."""
        number = self.state.requested
        if number is None:
            raise ValueError("no key was requested")
        write_durably(self.path(number, CERT), certificate)
        self._save(self.state.model_copy(update={"trial": number, "result": result}))
        return self.path(number, CERT)

    def end_trial(self, *, keep: bool) -> None:
        """The pair on trial is in force from now on, or is not tried again; its key may get another
        certificate."""
        ended: dict[str, Any] = {"trial": None, "result": None}
        if keep:
            ended |= {"active": self.state.trial, "requested": None}
        self._save(self.state.model_copy(update=ended))

    def _save(self, state: CertificateState) -> None:
        write_durably(self._file, state.model_dump_json().encode())
        self.state = state
        used = {state.requested, state.trial, state.active}
        for path in self._folder.glob("tls-*"):
            if path.name not in {f"tls-{number}" for number in used}:
                shutil.rmtree(path, ignore_errors=True)

    def pairs(self, broker: Broker) -> list[Broker]:
        """``broker`` and its fallbacks, with each pair: the one on trial; then that in force and that of the
        configuration, the one issued later first."""
        if not broker.encrypted:
            return broker.in_order
        found: list[Broker] = [broker]
        if (active := self._with(broker, self.state.active)) is not None:
            local_is_newer = _issued(broker) > _issued(active) > 0
            found = [broker, active] if local_is_newer else [active, broker]
        if (trial := self._with(broker, self.state.trial)) is not None:
            found.insert(0, trial)
        self.first = found[0].cert
        return [one for variant in found for one in variant.in_order]

    def _with(self, broker: Broker, number: int | None) -> Broker | None:
        if number is None:
            return None
        key = Secret.model_validate({"file": self.path(number, KEY)})
        return broker.model_copy(update={"cert": self.path(number, CERT), "key": key})


def _issued(broker: Broker) -> float:
    """From when on its certificate is valid, as a number; 0 where it has none that is readable."""
    try:
        return 0.0 if broker.cert is None else validity_of(broker.cert)[0].timestamp()
    except (OSError, ValueError):
        return 0.0
