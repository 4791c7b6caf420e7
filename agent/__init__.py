"""The on-device agent. OpenCV reads its limits from the environment when it is loaded, so they stand here."""

import os

MAX_PICTURE_PIXELS = 8192 * 8192
"""A larger picture in a file is refused before it is decoded, whatever its format."""

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PICTURE_PIXELS))
