"""Seed → script: who is where in each frame, and the condition of the picture. No pictures are needed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.scenes import FPS, REPORTING, VERSION
from bench.scenes.places import PERSON_M, PLACES, Place
from bench.scenes.sprites import NEAR, TRACKS

SECONDS = 120
FRAMES = SECONDS * FPS
CONDITIONS = (
    "day", "compressed", "dusk", "night", "headlights", "rain", "fog", "insects", "shadows", "swaying",
    "infrared",
)  # fmt: skip
LAND = (
    "visit",
    "passes by",
    "loiter",
    "behind a post",
    "group",
    "parks",
    "drives",
    "cross",
    "edge",
    "wrong way",
    "animal",
)
WATER = ("swims", "treads", "boat passes", "boat stays", "people aboard", "swims and boat")
STILL = 12
"""Of a stretch in which nothing moves so many frames are different; they are shown in a random order."""


@dataclass(frozen=True, slots=True)
class At:
    """Where something is: its foot point, whether it moves, and whether to the right."""

    x: float
    y: float
    moves: bool
    right: bool


@dataclass
class Actor:
    """Somebody or something: its place in each frame, None while it is not there."""

    number: int
    label: str
    sprite: str
    metres: float
    path: list[At | None] = field(default_factory=lambda: [None] * FRAMES)
    swims: bool = False
    """Only the upper third is above the water."""
    aboard: int | None = None
    """The number of the boat that carries it."""

    def height(self, place: Place, at: At) -> float:
        """Its visible height in picture heights."""
        whole = place.height(at.y, self.metres)
        return whole * (0.33 if self.swims else 1.0)


@dataclass(frozen=True)
class Occluder:
    """A post or a parked van: the columns that it hides behind its row, up to its top."""

    kind: str
    left: float
    right: float
    y: float
    top: float


@dataclass
class Script:
    """A scene without its pictures."""

    seed: int
    place: Place
    condition: str
    plot: str
    actors: list[Actor]
    occluders: list[Occluder]
    busy: list[bool]
    """By frame: something moves that is no actor (headlights, insects)."""

    @property
    def name(self) -> str:
        return f"{self.seed}: {self.plot} at {self.place.name}, {self.condition}"

    def content(self) -> list[int]:
        """By frame: the number of the frame whose picture is shown. Still stretches repeat `STILL` frames."""
        chance = random.Random(f"{self.seed} {VERSION} still")
        shown: list[int] = []
        began = 0
        for number in range(FRAMES):
            if number == 0 or not self._still(number):
                began = number
            reach = number - began
            if self.condition == "swaying":
                shown.append(began + reach % (3 * FPS))
            else:
                shown.append(number if reach < STILL else began + chance.randrange(STILL))
        return shown

    def _still(self, number: int) -> bool:
        if self.busy[number] or self.busy[number - 1]:
            return False
        return all(
            (now := actor.path[number]) == actor.path[number - 1] and (now is None or not now.moves)
            for actor in self.actors
        )


def script(seed: int) -> Script:
    """The script of a seed."""
    chance = random.Random(f"{seed} {VERSION} script")
    base = seed - REPORTING if seed >= REPORTING else seed
    plots = LAND * 2 + WATER
    plot = plots[base % len(plots)]
    water = plot in WATER
    outdoors = plot in ("parks", "drives", "animal")
    fits = [one for one in PLACES.values() if one.water == water and not (outdoors and one.name == "hall")]
    place = chance.choice(fits)
    condition = CONDITIONS[(base * 3 + seed // len(LAND)) % len(CONDITIONS)]  # not tied to the plot
    made = Script(seed, place, condition, plot, [], [], [False] * FRAMES)
    writer = _Writer(made, chance)
    getattr(writer, plot.replace(" ", "_"))()
    if chance.random() < 0.35 and plot not in ("group", "edge"):
        writer.bystander()
    if condition in ("headlights", "insects"):
        for _ in range(3):
            began = chance.randrange(FRAMES - 40)
            for number in range(began, began + chance.randrange(10, 35)):
                made.busy[number] = True
    return made


class _Writer:
    """Writes the actors of one script; paths are in shares of the place's columns and ground."""

    def __init__(self, made: Script, chance: random.Random) -> None:
        self.made, self.place, self.chance = made, made.place, chance
        names = [name for name in TRACKS if name not in NEAR][made.seed >= REPORTING :: 2]
        if made.place.name in ("hall", "street"):
            names = [*NEAR, *names[:6]]
        self.people = names
        self.start_s = chance.uniform(12, 22)

    # -- on land -------------------------------------------------------------------------------------------

    def visit(self) -> None:
        """Walks into the floor, stands for a while, goes back."""
        self._stands(self.chance.choice([4, 8, 14]))

    def loiter(self) -> None:
        """Stands on the floor for longer than the dwell of 20 s."""
        self._stands(self.chance.uniform(30, 60))

    def edge(self) -> None:
        """Walks up to the zone, stands outside of it, goes back: no alert of the zone's rules is right."""
        y = self.chance.uniform(0.3, 0.8)
        self._walk([(-0.3, y, 0), (0.1, y, self.chance.uniform(15, 40)), (-0.3, y, 0)], self.start_s)

    def passes_by(self) -> None:
        """Walks across the floor, over the line, and past the railing."""
        y = self.chance.uniform(0.2, 0.9)
        self._walk([(-0.3, y, 0), (1.3, y, 0)], self.start_s)

    def wrong_way(self) -> None:
        """From the right to the left."""
        y = self.chance.uniform(0.25, 0.9)
        self._walk([(1.3, y, 0), (0.4, y, self.chance.choice([0, 0, 5])), (-0.3, y, 0)], self.start_s)

    def cross(self) -> None:
        """Two people in opposite directions."""
        y = self.chance.uniform(0.25, 0.75)
        self._walk([(-0.3, y, 0), (1.3, y, 0)], self.start_s)
        self._walk([(1.3, y + 0.12, 0), (-0.3, y + 0.12, 0)], self.start_s + self.chance.uniform(0, 4))

    def behind_a_post(self) -> None:
        """Goes to and fro behind a post or a parked van while loitering."""
        y = self.chance.uniform(0.25, 0.55)
        left, at_y = self.place.at(0.3, y)
        post = self.place.name == "hall" or self.chance.random() < 0.6
        wide = 0.42 * self.place.height(at_y) * 9 / 16 * (1 if post else 4.5)
        left = self.place.at(0.37, y)[0] - wide / 2
        tall = self.place.height(at_y + 0.03) * (1.6 if post else 1.25)
        self.made.occluders.append(
            Occluder("post" if post else "van", left, left + wide, at_y + 0.03, at_y + 0.03 - tall)
        )
        span = self.place.columns[1] - self.place.columns[0]
        away = wide / span / 2 + 0.03
        stops: list[tuple[float, float, float]] = [(-0.3, y, 0)]
        for turn in range(4):
            stops.append((0.37 - away if turn % 2 == 0 else 0.37 + away, y, self.chance.uniform(6, 10)))
            if turn < 3:
                stops.append((0.37, y, self.chance.uniform(2, 5)))
        self._walk([*stops, (-0.3, y, 0)], self.start_s)

    def group(self) -> None:
        """Three to five people come one after the other, stand, and go."""
        for number in range(self.chance.choice([3, 4, 4, 5])):
            y = 0.25 + 0.16 * number
            x = self.chance.uniform(0.25, 0.5)
            stay_s = self.chance.uniform(25, 40)
            began = self.start_s + self.chance.uniform(0, 8)
            self._walk([(-0.3, y, 0), (x, y, stay_s), (-0.3, y, 0)], began)

    def parks(self) -> None:
        """A vehicle comes, stands for longer than 30 s, and leaves; somebody passes in front of it."""
        self._drive([(-0.6, 0.35, 0), (0.4, 0.35, self.chance.uniform(50, 65)), (1.5, 0.35, 0)], 12)
        if self.chance.random() < 0.6:
            self._walk([(1.3, 0.8, 0), (-0.3, 0.8, 0)], 45)

    def drives(self) -> None:
        """A vehicle passes, and later a person."""
        self._drive([(-0.6, 0.4, 0), (1.6, 0.4, 0)], 15)
        self._walk([(-0.3, 0.7, 0), (0.35, 0.7, 5), (-0.3, 0.7, 0)], 50)

    def animal(self) -> None:
        """A bird of the size of a dog walks over the floor: no alert is right."""
        y = self.chance.uniform(0.5, 0.95)
        bird = self._actor("bird", "guinea fowl", 0.55)
        stops = [(1.2, y, 0.0), (0.4, y, 8.0), (-0.2, y, 0.0)]
        self._along(bird, stops, 0.7, self.start_s)

    def bystander(self) -> None:
        """Somebody else passes later, far from the plot."""
        if self.place.water:
            return
        y = self.chance.uniform(0.15, 0.9)
        ways = [[(-0.3, y, 0.0), (1.3, y, 0.0)], [(1.3, y, 0.0), (-0.3, y, 0.0)]]
        self._walk(self.chance.choice(ways), self.chance.uniform(78, 90))

    def _stands(self, stay_s: float) -> None:
        y = self.chance.uniform(0.25, 0.9)
        x = self.chance.uniform(0.26, 0.5)
        self._walk([(-0.3, y, 0), (x, y, stay_s), (-0.3, y, 0)], self.start_s)

    # -- on the water --------------------------------------------------------------------------------------

    def swims(self) -> None:
        """Swims from one side to the other part of the picture."""
        y = self.chance.uniform(0.1, 0.9)
        self._swim([(-0.2, y, 0), (0.6, y + 0.05, 3), (0.9, y, 0)], self.start_s, 1.0)

    def treads(self) -> None:
        """Comes up, treads water for long, and goes under."""
        x, y = self.chance.uniform(0.2, 0.8), self.chance.uniform(0.1, 0.9)
        self._swim([(x, y, 0), (x + 0.02, y, self.chance.uniform(30, 60)), (x, y, 0)], self.start_s, 0.3)

    def boat_passes(self) -> None:
        """No alert of `person_in_water` is right."""
        self._sail([(1.7, 0.45, 0), (-0.7, 0.45, 0)], self.start_s)

    def boat_stays(self) -> None:
        self._sail([(1.7, 0.5, 0), (0.45, 0.5, self.chance.uniform(20, 40)), (-0.7, 0.5, 0)], 12)

    def people_aboard(self) -> None:
        """A boat with somebody on it: no alert of `person_in_water` is right."""
        boat = self._sail([(1.7, 0.5, 0), (0.45, 0.5, 15), (-0.7, 0.5, 0)], 12)
        rider = self._actor("person", self.chance.choice(self.people), PERSON_M)
        rider.aboard = boat.number
        rider.path = list(boat.path)

    def swims_and_boat(self) -> None:
        """Somebody swims, and a boat passes behind."""
        self._swim([(0.2, 0.8, 0), (0.7, 0.85, 20), (1.2, 0.8, 0)], self.start_s, 0.9)
        self._sail([(1.7, 0.15, 0), (-0.7, 0.15, 0)], 40)

    # -- paths ---------------------------------------------------------------------------------------------

    def _actor(self, label: str, sprite: str, metres: float) -> Actor:
        actor = Actor(len(self.made.actors) + 1, label, sprite, metres)
        self.made.actors.append(actor)
        return actor

    def _walk(self, stops: Sequence[tuple[float, float, float]], began_s: float) -> None:
        used = {actor.sprite for actor in self.made.actors}
        free = [name for name in self.people if name not in used] or self.people
        person = self._actor("person", self.chance.choice(free), self.chance.uniform(1.6, 1.85))
        self._along(person, stops, self.chance.uniform(1.0, 1.7), began_s)

    def _swim(self, stops: Sequence[tuple[float, float, float]], began_s: float, speed: float) -> None:
        person = self._actor("person", self.chance.choice(self.people), PERSON_M)
        person.swims = True
        self._along(person, stops, speed, began_s)

    def _drive(self, stops: Sequence[tuple[float, float, float]], began_s: float) -> None:
        name = self.chance.choice(["van", "van", "bus"] if self.place.name in ("plaza", "yard") else ["van"])
        vehicle = self._actor("bus" if name == "bus" else "car", name, 3.0 if name == "bus" else 2.1)
        self._along(vehicle, stops, self.chance.uniform(3, 5), began_s)

    def _sail(self, stops: Sequence[tuple[float, float, float]], began_s: float) -> Actor:
        name = "motor boat"
        boat = self._actor("boat", name, 2.2)
        self._along(boat, stops, self.chance.uniform(2.0, 4.0), began_s)
        return boat

    def _along(
        self, actor: Actor, stops: Sequence[tuple[float, float, float]], speed: float, began_s: float
    ) -> None:
        """Writes the way through ``stops`` (column, row, seconds to wait) at ``speed`` metres a second."""
        number = round(began_s * FPS)
        points = [(*self.place.at(x, y), wait_s) for x, y, wait_s in stops]
        for (x, y, _), (to_x, to_y, wait_s) in pairwise(points):
            (across, away), (to_across, to_away) = (
                self.place.to_ground(x, y),
                self.place.to_ground(to_x, to_y),
            )
            far = ((to_across - across) ** 2 + (to_away - away) ** 2) ** 0.5
            steps = max(1, round(far / speed * FPS))
            for step in range(1, steps + 1):
                share = step / steps
                at = self.place.to_picture(
                    across + share * (to_across - across), away + share * (to_away - away)
                )
                self._put(actor, number, At(*at, moves=True, right=to_x >= x))
                number += 1
            for _ in range(round(wait_s * FPS)):
                self._put(actor, number, At(to_x, to_y, moves=False, right=to_x >= x))
                number += 1

    def _put(self, actor: Actor, number: int, at: At) -> None:
        if number < FRAMES:
            actor.path[number] = at
