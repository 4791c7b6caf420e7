"""The pages of ``ringpost console``."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from console.pages import alerts, cameras, configuration, log, now, sources
from console.pages.device import Device
from console.session_signer import roles_in_force, roles_of
from console.web.session import Session
from console.web.site import Page, Site


def device_site(data: Path, roles_file: Path | None = None, device: Device | None = None) -> Site:
    """The site of the device whose data directory is ``data``. All its pages share one `AgentClient`.

    ``roles_file`` is the roles document that its configuration names.
    """
    device = device or Device(data)

    def heading() -> str:
        return device.hello["device"] if device.hello is not None else ""

    def prepare(session: Session) -> None:
        if device.hello is not None:
            with suppress(KeyError, ValueError, OSError, TypeError):
                session.place_zone = session.zone = ZoneInfo(device.hello["place"]["timezone"])

    def key_roles(ids: tuple[str, ...]) -> tuple[str, ...]:
        return roles_of(roles_in_force(data, roles_file), ids, dict(device.hello or {}))

    return Site(
        "ringpost",
        (
            Page("/", "Now", "monitor_heart", partial(now.build, device)),
            Page("/sources", "Sources", "sensors", partial(sources.build, device)),
            Page("/cameras", "Cameras", "videocam", partial(cameras.build, device)),
            Page("/alerts", "Alerts", "notifications_active", partial(alerts.build, device)),
            Page("/configuration", "Configuration", "tune", partial(configuration.build, device)),
            Page("/log", "Log and audit", "receipt_long", partial(log.build, device)),
        ),
        routes={"/frame/{camera}": cameras.frame_route(device.feeds)},
        on_start=(device.start,),
        on_stop=(device.stop,),
        heading=heading,
        prepare=prepare,
        key_roles=key_roles,
    )
