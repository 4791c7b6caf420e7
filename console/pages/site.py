"""The pages of ``ringpost console``."""

from pathlib import Path

from console.pages import alerts, cameras, configuration, log, now, sources
from console.web.site import Page, Site


def device_site(data: Path) -> Site:
    """The site of the device whose data directory is ``data``."""
    return Site(
        str(data),
        (
            Page("/", "Now", "monitor_heart", now.build),
            Page("/sources", "Sources", "sensors", sources.build),
            Page("/cameras", "Cameras", "videocam", cameras.build),
            Page("/alerts", "Alerts", "notifications_active", alerts.build),
            Page("/configuration", "Configuration", "tune", configuration.build),
            Page("/log", "Log and audit", "receipt_long", log.build),
        ),
    )
