"""The overlap and the distance of boxes."""

from models.detection import Box


def area(box: Box) -> float:
    """Width times height."""
    return (box[2] - box[0]) * (box[3] - box[1])


def intersection(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def iou(one: Box, other: Box) -> float:
    """Intersection over union, 0..1."""
    shared = intersection(one, other)
    return shared / (area(one) + area(other) - shared) if shared > 0 else 0.0


def distance(one: Box, other: Box) -> float:
    """Distance of the centres, across or down, the larger one, in sizes of the larger box."""
    across, down = (
        abs(one[axis] + one[axis + 2] - other[axis] - other[axis + 2])
        / 2
        / max(one[axis + 2] - one[axis], other[axis + 2] - other[axis], 1e-6)
        for axis in (0, 1)
    )
    return max(across, down)
