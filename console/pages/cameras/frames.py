"""The pictures of the cameras for the browser: those that the agent has redacted, and no others."""

from collections.abc import Awaitable, Callable
from typing import Any

from console.camera_feeds import CameraFeeds


def frame_route(feeds: CameraFeeds) -> Callable[..., Awaitable[Any]]:
    """The handler of ``/frame/{camera}?n=NUMBER``, below the access gate. 204 for a picture that newer ones
    have replaced, 404 where nobody looks at the camera: then none is kept."""
    from fastapi import Response

    async def frame(camera: str, n: int) -> Response:
        jpeg = feeds.picture(camera, n)
        headers = {"Cache-Control": "no-store"}
        if jpeg is None:
            return Response(status_code=404 if feeds.feed(camera) is None else 204, headers=headers)
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    return frame
