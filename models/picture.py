"""Decodes pictures: the only place where OpenCV's own error for a damaged header is caught."""

from models.detection import Frame

TOO_LARGE = "larger than OpenCV decodes"


def decode_picture(data: bytes) -> Frame:
    """The pixels of a JPEG, PNG or the like. ValueError, in one line, where it is damaged or too large."""
    import cv2
    import numpy as np

    try:
        picture = cv2.imdecode(np.frombuffer(data or b"-", np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # a header that claims too many pixels, among others
        if "CV_IO_MAX_IMAGE_PIXELS" in str(error):
            raise ValueError(TOO_LARGE) from error
        raise ValueError(f"OpenCV rejects it: {' '.join(str(error).split())[:120]}") from error
    if picture is None:
        raise ValueError("not a picture that OpenCV can decode")
    return np.asarray(picture, np.uint8)
