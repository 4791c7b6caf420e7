"""The picture size in a sequence parameter set of H.264 (7.3.2.1.1) and H.265 (7.3.2.2)."""

Size = tuple[int, int]

HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
CHROMA_UNITS = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}
"""Samples per unit of cropping, by ``chroma_format_idc``."""


class _Bits:
    """Reads bits of a NAL unit, without its emulation prevention. ValueError past the end."""

    def __init__(self, nal: bytes) -> None:
        data = nal.replace(b"\x00\x00\x03", b"\x00\x00")
        self._bits, self._left = int.from_bytes(data), 8 * len(data)

    def read(self, count: int) -> int:
        """``count`` bits as an unsigned number."""
        self._left -= count
        if self._left < 0:
            raise ValueError("too short")
        return (self._bits >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned Exp-Golomb number."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 31:
                raise ValueError("not a number")
        return (1 << zeros) - 1 + self.read(zeros)


def h264_size(nal: bytes) -> Size | None:
    """Width and height in an SPS with its header byte; None where it has none."""
    try:
        return _h264_size(_Bits(nal[:256]))
    except ValueError:
        return None


def h265_size(nal: bytes) -> Size | None:
    """The same for an SPS of H.265, with its header of two bytes."""
    try:
        return _h265_size(_Bits(nal[:256]))
    except ValueError:
        return None


def _h264_size(bits: _Bits) -> Size:
    bits.read(8)
    profile = bits.read(8)
    bits.read(16)
    bits.golomb()
    chroma = 1
    if profile in HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == 3:
            bits.read(1)
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    bits.read(1)
    width = 16 * (bits.golomb() + 1)
    rows = bits.golomb() + 1
    fields = 2 - bits.read(1)
    if fields == 2:
        bits.read(1)
    bits.read(1)
    unit_x, unit_y = CHROMA_UNITS.get(chroma, (1, 1))
    return _cropped(bits, width, 16 * rows * fields, unit_x, unit_y * fields)


def _skip_scaling_list(bits: _Bits, count: int) -> None:
    last = following = 8
    for _ in range(count):
        if following:
            number = bits.golomb()
            following = (last + (-(number // 2) if number % 2 == 0 else (number + 1) // 2)) % 256
        last = following or last


def _h265_size(bits: _Bits) -> Size:
    bits.read(16 + 4)
    layers = bits.read(3)
    bits.read(1 + 96)
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)
    bits.golomb()
    chroma = bits.golomb()
    if chroma == 3:
        bits.read(1)
    width, height = bits.golomb(), bits.golomb()
    return _cropped(bits, width, height, *CHROMA_UNITS.get(chroma, (1, 1)))


def _cropped(bits: _Bits, width: int, height: int, unit_x: int, unit_y: int) -> Size:
    if bits.read(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        width, height = width - unit_x * (left + right), height - unit_y * (top + bottom)
    if width <= 0 or height <= 0:
        raise ValueError("no size")
    return width, height
