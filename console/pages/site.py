"""The pages of ``ringpost console``."""

from functools import partial
from pathlib import Path

from console.pages import alerts, cameras, configuration, log, now, sources
from console.pages.device import Device
from console.web.site import Page, Site


def device_site(data: Path) -> Site:
    """The site of the device whose data directory is ``data``. All its pages share one `AgentClient`."""
    device = Device(data)
    agent = device.client
    return Site(
        str(data),
        (
            Page("/", "Now", "monitor_heart", partial(now.build, device)),
            Page("/sources", "Sources", "sensors", partial(sources.build, device)),
            Page("/cameras", "Cameras", "videocam", partial(cameras.build, device)),
            Page("/alerts", "Alerts", "notifications_active", partial(alerts.build, device)),
            Page("/configuration", "Configuration", "tune", partial(configuration.build, agent)),
            Page("/log", "Log and audit", "receipt_long", partial(log.build, device)),
        ),
        routes={"/frame/{camera}": cameras.frame_route(device.feeds)},
        on_start=(device.start,),
        on_stop=(device.stop,),
    )
