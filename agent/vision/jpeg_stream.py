"""Whole JPEG pictures cut out of a stream of bytes."""

import re

LARGEST = 16 * 1024 * 1024
"""Bytes of one picture."""
MOST_SCANS = 64
"""Of one picture: each is a pass over all of it, in a native call that nothing ends. About 10 are usual."""


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG declares, None where it declares none."""
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
    """Cuts whole JPEG pictures out of a stream: `feed` it bytes, `cut` the next picture."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        """How far the picture at the start of ``_data`` was walked through; 0: its start is looked for."""
        self._scan = False
        self._scans = 0

    def feed(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > LARGEST:
            raise OSError(f"a picture of more than {LARGEST >> 20} MiB")

    def cut(self) -> bytes | None:
        """The next whole picture, or None where more must come first."""
        while True:
            if self._at == 0:
                start = self._data.find(b"\xff\xd8\xff")
                del self._data[: max(0, len(self._data) - 2) if start < 0 else start]
                if start < 0:
                    return None
                self._at, self._scan, self._scans = 2, False, 0
            done = self._walk()
            if done is None:
                return None
            if done:
                picture = bytes(self._data[: self._at])
                del self._data[: self._at]
                self._at = 0
                return picture
            del self._data[:2]  # damaged or cut short: the next start is looked for
            self._at = 0

    def _walk(self) -> bool | None:
        """To the end of the picture: True; False where it is damaged; None where more must come."""
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
            if self._scans > MOST_SCANS:
                raise OSError(f"a picture of more than {MOST_SCANS} scans")
