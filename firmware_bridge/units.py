"""Units of the wire."""

KNOT_MPS = 1852 / 3600
