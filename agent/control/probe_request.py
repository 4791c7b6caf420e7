"""What a probe looks at: the request to its process. Read this first, then `probe_policy` and `probe`."""

from pydantic import BaseModel

from agent.mqtt.broker import Broker
from agent.vision.camera import Camera
from agent.vision.detector import DetectorSettings

MAX_S = 30.0
"""Seconds that a probe takes at most, its process included."""
STEP_S = 10.0
"""Seconds of one step: a name, a connection, a handshake."""
CAMERA_S = 4.0
"""Seconds for which the frames of a camera are counted."""
PORT_S = 22.0
"""Seconds in which a port must be recognised; all common speeds are tried in them."""
COUNT_S = 4.0
"""Seconds for which the packets of a recognised port are counted."""


class ProbeRequest(BaseModel):
    """One target: a camera, a port, a broker or a model.

    ``this_machine``: its host may be this machine. ``log_in``: a session may be opened at the broker.
    ``within_s``: the process ends after this time, whatever it has found.
    """

    camera: Camera | None = None
    port: str | None = None
    broker: Broker | None = None
    model: DetectorSettings | None = None
    device: str = ""
    this_machine: bool = False
    log_in: bool = True
    within_s: float = MAX_S

    def dump(self) -> bytes:
        """The request for the process."""
        return self.model_dump_json(exclude_defaults=True).encode()
