"""A camera, in the process of a probe: size, frame rate, codec, and one frame with its masks."""

import base64

from agent.control.probe_request import CAMERA_S
from agent.host.clock import monotonic_s
from agent.runtime.child_process import answer
from agent.vision.camera import Camera
from agent.vision.camera_capture import CameraCapture
from agent.vision.camera_url import is_file, redacted_url, source_kind
from agent.vision.capture import open_capture
from agent.vision.capture_properties import FOURCC, FPS
from agent.vision.preprocess import preprocessor

LONGER_SIDE = 1280
"""Pixels of the frame that is answered, on its longer side."""
QUALITY = 95
DARK, BRIGHT = 12, 243
"""Mean grey levels (0..255) beyond which a picture shows nothing."""


async def probe_camera(camera: Camera) -> None:
    """Answers with what a camera delivers. OSError: why it delivers nothing."""
    began_s = monotonic_s()
    answer({"kind": "camera", "url": redacted_url(camera.url), "source": source_kind(camera.url)})
    url = await camera.url_once_it_sends()
    open_s, read_s = camera.open_timeout.total_seconds(), camera.read_timeout.total_seconds()
    capture = open_capture(url, open_s, read_s, trust=camera.trust, mode=camera.mode, fps=camera.fps)
    try:
        _count(capture, camera, began_s)
    finally:
        capture.release()


def _count(capture: CameraCapture, camera: Camera, began_s: float) -> None:
    """Counts frames, and answers with the last one."""
    good, frame = capture.read()
    if not good:
        raise OSError(f"{redacted_url(camera.url)}: {capture.error or 'it sends, but no frame came'}")
    first_s = monotonic_s()
    rows, columns = frame.shape[:2]
    facts = {"width": columns, "height": rows, "codec": _codec(capture, camera.url)}
    answer(facts | {"first_frame_s": round(first_s - began_s, 1)})
    if capture.granted:
        answer({"granted": capture.granted})
    count = 0
    while monotonic_s() - first_s < CAMERA_S and not is_file(camera.url):
        if not capture.grab():
            answer({"trouble": capture.error or "the stream ended"})
            break
        count += 1
        good, newer = capture.retrieve()
        frame = newer if good else frame
    span_s = monotonic_s() - first_s
    answer({"fps": round(capture.get(FPS) if is_file(camera.url) else count / span_s, 1)})
    _answer_frame(camera, frame)


def _answer_frame(camera: Camera, frame: object) -> None:
    import cv2
    import numpy as np

    masked = preprocessor(camera.rotate, camera.crop, camera.blackout)(np.asarray(frame, np.uint8))
    brightness = float(masked.mean())
    shows = "dark" if brightness < DARK else "over exposed" if brightness > BRIGHT else None
    answer({"brightness": round(brightness)} | ({"blind": [shows]} if shows else {}))
    scale = min(1.0, LONGER_SIDE / max(masked.shape[:2]))
    small = cv2.resize(masked, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if done:
        answer({"jpeg": base64.b64encode(jpeg.tobytes()).decode()})


def _codec(capture: CameraCapture, url: str) -> str:
    code = int(capture.get(FOURCC)) & 0xFFFFFFFF
    name = "".join(letter for letter in code.to_bytes(4, "little").decode("latin-1") if letter.isalnum())
    if not name and url.startswith("http"):
        return "MJPG"
    return name or "unknown"
