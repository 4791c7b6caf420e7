"""A camera over HTTP(S): MJPEG in any container, one JPEG per GET, or other video as a byte stream.

The connection is our own: certificates are verified, no redirect to another server is followed, and the
password is sent only where `http_auth` allows it. The size of a JPEG is checked before it is decoded.
"""

import http.client
import io
import time
from contextlib import AbstractContextManager

from agent.host.clock import monotonic_s
from agent.vision.camera_url import MAX_PIXELS, Trust, too_large_text
from agent.vision.http_connection import HttpConnection
from agent.vision.jpeg_stream import JpegCutter, jpeg_size
from models.detection import Frame
from models.picture import decode_picture

REPEAT_S = 1.0
"""How often the same snapshot counts as a frame."""
OTHER_VIDEO = (b"\x47", b"FLV", b"\x00\x00\x01", b"\x00\x00\x00\x01", b"\x1a\x45\xdf\xa3")
"""First bytes of MPEG-TS, FLV, MPEG-PS, H.264/H.265 and Matroska."""


class HttpJpegSource:
    """MJPEG or snapshots, with the methods of cv2.VideoCapture that `CameraCapture` uses."""

    def __init__(
        self,
        connection: HttpConnection,
        response: http.client.HTTPResponse,
        head: bytes,
        read_s: float,
        every_s: float,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._max_pixels = max_pixels
        self._connection, self._response, self._read_s, self._every_s = connection, response, read_s, every_s
        self._cutter = JpegCutter()
        self._cutter.feed(head)
        self._single = response.headers.get_content_type() in ("image/jpeg", "image/jpg", "image/pjpeg")
        self._picture = b""
        self._due_s = self._handed_s = 0.0
        self.error: str | None = None

    def grab(self) -> bool:
        """Whether the next picture came, within the read timeout."""
        until_s = monotonic_s() + self._read_s
        try:
            while (picture := self._cutter.cut()) is None or self._is_repeated(picture):
                data = b"" if self._response.isclosed() else self._response.read1(65536)
                if not data and not self._next_snapshot():
                    return False
                self._cutter.feed(data)
                if monotonic_s() > until_s:
                    return False
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not isinstance(error, TimeoutError):
                self.error = str(error) or None
            return False
        self._handed_s = monotonic_s()
        size = jpeg_size(picture)
        if size is not None and size[0] * size[1] > self._max_pixels:
            self.error = too_large_text(*size, self._max_pixels)
            return False
        self._picture = picture
        return True

    def retrieve(self) -> tuple[bool, Frame]:
        """The picture grabbed last; False where it can't be decoded."""
        import numpy as np

        try:
            return True, decode_picture(self._picture)
        except ValueError:
            return False, np.empty((0, 0, 3), np.uint8)

    def get(self, _: int) -> float:
        """0: such a camera has no clock and no frame rate."""
        return 0.0

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return True

    def release(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        """Ends a blocking `grab`; called from another thread."""
        self._connection.abort()

    def _is_repeated(self, picture: bytes) -> bool:
        """Whether a snapshot is the one before, byte for byte: it is asked more often than it takes any.

        One in `REPEAT_S` counts, so that a frozen picture is noticed. ETags are ignored: some cameras send
        constant ones.
        """
        return self._single and picture == self._picture and monotonic_s() - self._handed_s < REPEAT_S

    def _next_snapshot(self) -> bool:
        """Requests the next snapshot once it is due; False where this is a stream, which has ended."""
        if not self._single or not self._picture:
            return False
        self._response.read(1)  # http.client releases the connection only now
        self._due_s = max(self._due_s + self._every_s, monotonic_s())
        time.sleep(max(0.0, min(self._every_s, self._due_s - monotonic_s())))
        self._response = self._connection.get()
        return True


class HttpByteStream(io.BufferedIOBase):
    """The body of a response as a file object for FFmpeg."""

    def __init__(
        self, connection: HttpConnection, response: http.client.HTTPResponse, head: bytes, within_s: float
    ) -> None:
        self._connection, self._response, self._head = connection, response, head
        self.until_s = monotonic_s() + within_s
        """The stream ends at this time (monotonic) unless a frame is grabbed before."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = size if size is not None and size > 0 else 65536
        if monotonic_s() > self.until_s:
            return b""
        if self._head:
            data, self._head = self._head[:most], self._head[most:]
            return data
        try:
            return self._response.read1(most)
        except (OSError, http.client.HTTPException, ValueError):
            return b""  # end of file, for FFmpeg

    def seek(self, _offset: int, _whence: int = 0, /) -> int:
        return -1

    def abort(self) -> None:
        """Ends a blocking `read`; called from another thread."""
        self._connection.abort()

    def at_most(self, seconds: float) -> AbstractContextManager[None]:
        """Closes the connection unless the block ends within ``seconds``."""
        return self._connection.at_most(seconds)

    def close(self) -> None:
        self._connection.close()
        super().close()


def open_http_camera(
    url: str, open_s: float, read_s: float, trust: Trust, fps: float, max_pixels: int = MAX_PIXELS
) -> HttpJpegSource | HttpByteStream:
    """Opens a camera. OSError: one line saying why it delivers nothing."""
    connection = HttpConnection(url, open_s, trust)
    try:
        response = connection.get()
        connection.limit(read_s)
        with connection.at_most(2 * read_s):
            head = response.read1(65536)
        if not head:
            raise OSError("it answers, but no picture came")
        if head.startswith(OTHER_VIDEO) and response.headers.get_content_maintype() != "multipart":
            return HttpByteStream(connection, response, head, open_s + read_s)
        return HttpJpegSource(connection, response, head, read_s, min(1 / fps, read_s / 2), max_pixels)
    except BaseException:
        connection.close()
        raise
