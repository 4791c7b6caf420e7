"""Units used on the wire."""

KNOT_MPS = 1852 / 3600
