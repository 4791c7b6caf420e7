"""Cuts whole JPEG pictures out of a byte stream by their own markers, whatever the MIME boundaries."""

import re

MAX_JPEG_BYTES = 16 * 1024 * 1024
"""Maximum size of one picture."""
MAX_SCANS = 64
"""Of one picture: each scan is a pass over the whole picture, in a native call that can't be interrupted.
About 10 are usual."""


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in a JPEG's header, None where it has none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        if kind == 0xFF:
            at += 1
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


class JpegCutter:
    """`feed` it bytes, `cut` the next picture."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        """Offset up to which the picture at the start of ``_data`` was parsed; 0: no start found yet."""
        self._scan = False
        self._scans = 0

    def feed(self, data: bytes) -> None:
        """Adds bytes. OSError where a picture exceeds `MAX_JPEG_BYTES`."""
        self._data += data
        if len(self._data) > MAX_JPEG_BYTES:
            raise OSError(f"a picture of more than {MAX_JPEG_BYTES >> 20} MiB")

    def cut(self) -> bytes | None:
        """The next whole picture, or None where more bytes are needed."""
        while True:
            if self._at == 0:
                start = self._data.find(b"\xff\xd8\xff")
                del self._data[: max(0, len(self._data) - 2) if start < 0 else start]
                if start < 0:
                    return None
                self._at, self._scan, self._scans = 2, False, 0
            done = self._parse()
            if done is None:
                return None
            if done:
                picture = bytes(self._data[: self._at])
                del self._data[: self._at]
                self._at = 0
                return picture
            del self._data[:2]  # damaged or truncated: search for the next start
            self._at = 0

    def _parse(self) -> bool | None:
        """Parses up to the end of the picture: True there, False if damaged, None if bytes are missing."""
        data = self._data
        while True:
            if self._scan:
                found = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(data, self._at)
                if found is None:
                    self._at = max(self._at, len(data) - 1)
                    return None
                self._at, self._scan = found.start(), False
            if len(data) < self._at + 4 and data[self._at : self._at + 2] != b"\xff\xd9":
                return None
            if data[self._at] != 0xFF:
                return False
            kind = data[self._at + 1]
            if kind == 0xD9:
                self._at += 2
                return True
            if kind == 0xFF:
                self._at += 1
                continue
            length = int.from_bytes(data[self._at + 2 : self._at + 4])
            if kind in (0x00, 0x01, 0xD8) or 0xD0 <= kind <= 0xD7 or length < 2:
                return False
            if len(data) < self._at + 2 + length:
                return None
            self._at += 2 + length
            self._scan = kind == 0xDA
            self._scans += self._scan
            if self._scans > MAX_SCANS:
                raise OSError(f"a picture of more than {MAX_SCANS} scans")
