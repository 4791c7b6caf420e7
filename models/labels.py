"""The labels that a model may have: things, and people as such. A card with another label is refused.

An allow-list, because no list of forbidden words is complete: a label that names a person, a people, a
trait, a feeling, a face or a licence plate is not in it. To run a model for another kind of thing, add the
thing here, where a review sees it.
"""

PEOPLE = frozenset({"person", "people", "human", "pedestrian", "rider", "swimmer", "crew"})
"""Labels for a person. A model without any of them can't be relied on to find people, unless its card
lists in ``people`` which of its labels mean people."""
_SOME_PEOPLE = ("cyclist", "motorcyclist", "diver", "surfer", "skier")

_COCO = (
    "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase",
    "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard",
    "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl",
    "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake",
    "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote",
    "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock",
    "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
_FIELD = ("van", "ship", "vessel", "buoy", "fire", "smoke")
UNREDACTED_LABELS = frozenset((*_COCO, *_FIELD))
"""COCO's things, and a few more: labels whose boxes need no redaction."""

_ON_ROADS = (
    "vehicle", "ambulance", "fire engine", "police car", "taxi", "minibus", "coach", "lorry", "trailer",
    "tractor", "excavator", "crane", "forklift", "scooter", "moped", "motor", "motorbike", "bike", "tricycle",
    "awning tricycle", "tram", "wheelchair", "stroller", "trolley",
)  # fmt: skip
_ON_WATER = (
    "canoe", "kayak", "raft", "dinghy", "sailboat", "sailing boat", "yacht", "ferry", "tug", "barge",
    "speedboat", "motorboat", "motor boat", "fishing boat", "jetski", "jet ski", "rowing boat",
    "passenger ship", "cargo ship", "general cargo ship", "bulk cargo carrier", "container ship",
    "ore carrier", "tanker", "warship", "life ring", "life buoy", "lifebuoy", "life raft", "life jacket",
    "life saving appliances", "driftwood", "debris", "iceberg", "pier", "bridge",
)  # fmt: skip
_IN_AIR = ("aeroplane", "aircraft", "helicopter", "drone", "uav", "balloon", "parachute")
_OTHER = (
    "bag", "box", "parcel", "luggage", "helmet", "hard hat", "barrier", "cone", "traffic cone",
    "traffic sign", "fence", "door", "gate", "ladder", "tree", "flame", "flood", "water", "ice", "landslide",
    "rock", "boulder", "animal", "deer", "goat", "pig", "wild boar", "monkey", "camel", "fox", "wolf", "seal",
    "dolphin", "whale", "shark", "sofa", "pottedplant", "diningtable", "tvmonitor", "table", "lamp",
    "background", "object", "thing", "other",
)  # fmt: skip
OBJECT_LABELS = UNREDACTED_LABELS.union(_ON_ROADS, _ON_WATER, _IN_AIR, _OTHER)

ALLOWED = PEOPLE.union(_SOME_PEOPLE, OBJECT_LABELS)
"""All labels that a card may have, as `plain` writes them."""


def plain(label: str) -> str:
    """A label in the form of these lists: ``Traffic_Light`` is ``traffic light``."""
    return " ".join(label.lower().replace("_", " ").replace("-", " ").split())
