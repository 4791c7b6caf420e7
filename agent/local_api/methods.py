"""The methods of the local socket, by name."""

from agent.local_api.alert_pictures import AlertPictures
from agent.local_api.alerts import AlertView
from agent.local_api.camera import CameraTap
from agent.local_api.configuration import ConfigurationView
from agent.local_api.connection import Methods
from agent.local_api.device import DeviceView
from agent.local_api.log_lines import LogView
from agent.local_api.looks import LookLog
from agent.local_api.parts import AgentParts
from agent.local_api.raw_bytes import RawTap
from agent.local_api.results import ResultTap
from agent.local_api.values import ValueTap


def methods_of(parts: AgentParts) -> Methods:
    """All methods. Only ``order`` changes anything."""
    device, configuration, looks = DeviceView(parts), ConfigurationView(parts), LookLog(parts.audit)
    return Methods(
        requests={
            "hello": device.hello,
            "alerts": AlertView(parts).alerts,
            "picture": AlertPictures(parts, looks).picture,
            "config": configuration.config,
            "order": configuration.order,
        },
        streams={
            "now": device.now,
            "sources": ValueTap(parts).sources,
            "raw": RawTap(parts).raw,
            "camera": CameraTap(parts, looks).camera,
            "results": ResultTap(parts).results,
            "log": LogView(parts).log,
        },
    )
