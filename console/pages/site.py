"""The pages of ``ringpost console``."""

from functools import partial
from pathlib import Path

from console.agent_client import AgentClient
from console.pages import alerts, cameras, configuration, log, now, sources
from console.web.site import Page, Site


def device_site(data: Path) -> Site:
    """The site of the device whose data directory is ``data``. All its pages share one `AgentClient`."""
    agent = AgentClient(data)
    return Site(
        str(data),
        (
            Page("/", "Now", "monitor_heart", partial(now.build, agent)),
            Page("/sources", "Sources", "sensors", partial(sources.build, agent)),
            Page("/cameras", "Cameras", "videocam", partial(cameras.build, agent)),
            Page("/alerts", "Alerts", "notifications_active", partial(alerts.build, agent)),
            Page("/configuration", "Configuration", "tune", partial(configuration.build, agent)),
            Page("/log", "Log and audit", "receipt_long", partial(log.build, agent)),
        ),
        on_start=(agent.start,),
        on_stop=(agent.close,),
    )
