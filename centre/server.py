"""The reference centre as one process: one MQTT session over all devices, under one client id.

``docs/centre.md`` has the rules of a centre, for those who build a real one; `centre.worker` is the centre of
several processes.
"""

from collections.abc import Callable
from pathlib import Path

from agent.domain.message import ROOT
from agent.host.clock import monotonic_s
from agent.mqtt.broker import Broker
from agent.trust.signing_key import SigningKey
from centre.database import PostgresUrl
from centre.intake import Intake, OnStored
from centre.registrar import Registrar


class Centre:
    """One connection at a time; ``run`` ends when it is lost (OSError)."""

    def __init__(
        self,
        db: Path | PostgresUrl,
        broker: Broker,
        root: str = ROOT,
        on_stored: OnStored | None = None,
        pictures: Path | None = None,
        *,
        fall_back: bool = True,
        key: SigningKey | None = None,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        """``fall_back``: to MQTT 3.1.1, where the broker refuses 5. ``key`` signs the receipts.

        OSError where ``db`` can't be opened.
        """
        self.intake = Intake(db, root, on_stored, pictures, clock, key)
        self._registrar = Registrar(self.intake, broker, root, fall_back=fall_back, clock=clock)
        self.ready = self._registrar.ready
        self.run = self._registrar.run

    def close(self) -> None:
        self.intake.close()
