"""Loads OpenCV for this process."""

import ctypes
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from agent.vision.camera_url import MAX_PIXELS


@cache
def load_opencv() -> Any:
    """OpenCV: quiet, single-threaded, with a limit on the memory of one picture plane in its FFmpeg."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")  # fatal only: this package reports the errors
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))  # read as cv2 is imported
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it may have been imported before
    loaded = re.search(r"/\S*libavutil[^\s/]*\.so[^\s/]*$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    if loaded:
        limit = ctypes.CDLL(loaded[0]).av_max_alloc
        limit.argtypes, limit.restype = [ctypes.c_size_t], None
        limit(3 * MAX_PIXELS + 1024 * 1024)
    return cv2
