"""The pictures of the cameras for the browser: those that the agent has redacted, and no others."""

from collections.abc import Awaitable, Callable
from typing import Any

from console.camera_feeds import CameraFeeds


def frame_route(feeds: CameraFeeds) -> Callable[..., Awaitable[Any]]:
    """The handler of ``/frame/{camera}?n=NUMBER``, below the access gate. 404 for a picture that is gone:
    none is kept once nobody looks."""
    from fastapi import Response

    async def frame(camera: str, n: int) -> Response:
        jpeg = feeds.picture(camera, n)
        headers = {"Cache-Control": "no-store"}
        if jpeg is None:
            return Response(status_code=404, headers=headers)
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    return frame
