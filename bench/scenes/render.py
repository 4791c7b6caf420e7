"""Script → frames, by compositing: a frame depends on its number only, so each can be made alone."""

import random
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.scenes import HEIGHT, VERSION, WIDTH
from bench.scenes.places import view
from bench.scenes.script import Actor, At, Occluder, Script
from bench.scenes.sprites import Picture, sprite

QUALITY = {"compressed": 18, "night": 60, "headlights": 60, "infrared": 60}
"""JPEG qualities; 80 otherwise. Each frame is compressed alone: no smear over time as in H.264."""
GAIN = {"dusk": 0.4, "night": 0.25, "headlights": 0.25, "infrared": 0.5, "rain": 0.7}
SIGMA = {"dusk": 4.0, "night": 7.0, "headlights": 7.0, "infrared": 7.0, "rain": 3.0, "fog": 2.0}
"""Standard deviation of a pixel's noise; 1.5 otherwise."""


class Renderer:
    """`frame` gives any frame of a script; what stays the same is kept."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._base = view(script.place.name)
        self._gain = self._shading()
        self._kept: dict[tuple[str, int, int, bool], tuple[Picture, NDArray[np.float32]]] = {}

    def frame(self, number: int) -> Picture:
        """Frame ``number`` as a camera would send it, 8 bits, `HEIGHT` x `WIDTH` x BGR."""
        script, chance = self.script, random.Random(f"{self.script.seed} {VERSION} {number}")
        picture = self._base.copy()
        layers: list[tuple[float, Any]] = [
            (at.y + (0.001 if actor.aboard else 0), (actor, at))
            for actor in script.actors
            if (at := actor.path[number]) is not None
        ]
        layers += [(occluder.y, occluder) for occluder in script.occluders]
        for _, layer in sorted(layers, key=lambda one: one[0]):
            if isinstance(layer, Occluder):
                self._put_occluder(picture, layer)
            else:
                self._put_actor(picture, *layer, number, chance)
        return self._as_seen(picture, number, chance)

    # -- things in the picture -----------------------------------------------------------------------------

    def _put_actor(self, picture: Picture, actor: Actor, at: At, number: int, chance: random.Random) -> None:
        place, cut = self.script.place, sprite(actor.sprite)
        frames = len(cut.frames)
        if at.moves:
            turn = number % max(1, 2 * frames - 2)
            index = turn if turn < frames else 2 * frames - 2 - turn
        else:
            index = (frames // 3 + chance.choice([0, 0, 0, 1])) % frames
        mirrored = cut.faces != 0 and (cut.faces > 0) != at.right
        tall = max(4, round(place.height(at.y, actor.metres) * HEIGHT))
        colour, alpha = self._scaled(actor.sprite, index, tall, mirrored)
        x, y = at.x * WIDTH, at.y * HEIGHT
        bob = round(chance.uniform(-0.01, 0.01) * tall) if at.moves else 0
        if actor.swims:
            shown = max(3, round(0.33 * tall + chance.uniform(-0.02, 0.02) * tall))
            colour, alpha = colour[:shown], alpha[:shown].copy()
            fade = max(1, shown // 6)
            alpha[-fade:] *= np.linspace(1, 0.1, fade, dtype=np.float32)[:, None, None]
        if actor.aboard is not None:
            shown = max(3, round(0.6 * tall))
            colour, alpha = colour[:shown], alpha[:shown]
            y -= 0.45 * place.height(at.y, 2.2) * HEIGHT
        _paste(picture, colour, alpha, round(x - colour.shape[1] / 2), round(y - colour.shape[0]) + bob)

    def _scaled(
        self, name: str, index: int, tall: int, mirrored: bool
    ) -> tuple[Picture, NDArray[np.float32]]:
        key = (name, index, tall, mirrored)
        if key not in self._kept:
            if len(self._kept) > 60:
                self._kept.clear()
            cut = sprite(name).frames[index]
            by = tall / cut.shape[0]
            way = cv2.INTER_AREA if by < 1 else cv2.INTER_LINEAR
            cut = np.asarray(cv2.resize(cut, (max(2, round(cut.shape[1] * by)), tall), interpolation=way))
            cut = np.ascontiguousarray(cut[:, ::-1]) if mirrored else cut
            colour = np.ascontiguousarray(cut[..., :3])
            if self.script.place.grey:
                grey = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
                colour = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
            self._kept[key] = colour, (cut[..., 3:].astype(np.float32) / 255)
        return self._kept[key]

    def _put_occluder(self, picture: Picture, occluder: Occluder) -> None:
        left, right = round(occluder.left * WIDTH), round(occluder.right * WIDTH)
        top, bottom = max(0, round(occluder.top * HEIGHT)), round(occluder.y * HEIGHT)
        if occluder.kind == "van":
            cut = sprite("white van").frames[0]
            cut = np.asarray(cv2.resize(cut, (right - left, max(2, bottom - top))), np.uint8)
            _paste(picture, cut[..., :3], cut[..., 3:].astype(np.float32) / 255, left, top)
        else:
            across = np.linspace(-1, 1, max(2, right - left))
            shade = (120 - 70 * across**2 - 25 * across).astype(np.uint8)
            picture[top:bottom, left : left + len(shade)] = shade[None, :, None]

    # -- light, weather, lens, compression -----------------------------------------------------------------

    def _shading(self) -> NDArray[np.uint8] | None:
        """What the light of the scene is multiplied with (255: all of it); None for daylight."""
        gain = GAIN.get(self.script.condition)
        return None if gain is None else np.full((HEIGHT, WIDTH, 3), round(255 * gain), np.uint8)

    def _as_seen(self, picture: Picture, number: int, chance: random.Random) -> Picture:
        condition = self.script.condition
        gain: Any = self._gain
        if condition == "headlights" and self.script.busy[number]:
            gain = _beam(number, self.script.seed)
        elif condition == "shadows":
            gain = _leaves(chance.randrange(8), self.script.seed)
        if gain is not None:
            picture = np.asarray(cv2.multiply(picture, gain, scale=1 / 255), np.uint8)
        if condition == "fog":
            keep, add = _fog(self.script.place.horizon)
            picture = np.asarray(cv2.add(cv2.multiply(picture, keep, scale=1 / 255), add), np.uint8)
        if condition == "rain":
            picture = _rain(picture, chance)
        if condition == "insects" and self.script.busy[number]:
            picture = _insect(picture, chance)
        if condition in ("infrared", "insects"):
            grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
        if condition == "swaying":
            turn = 2 * np.pi * (number % 15) / 15
            shift = np.array([[1, 0, 5 * np.sin(turn)], [0, 1, 3 * np.cos(2 * turn)]], np.float32)
            moved = cv2.warpAffine(picture, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
            picture = np.asarray(moved, np.uint8)
        picture = _noisy(picture, SIGMA.get(condition, 1.5), chance)
        quality = [int(cv2.IMWRITE_JPEG_QUALITY), QUALITY.get(condition, 80)]
        packed = cv2.imencode(".jpg", picture, quality)[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def _paste(picture: Picture, colour: Picture, alpha: NDArray[np.float32], left: int, top: int) -> None:
    rows, columns = colour.shape[:2]
    x, y = max(0, left), max(0, top)
    to_x, to_y = min(WIDTH, left + columns), min(HEIGHT, top + rows)
    if x >= to_x or y >= to_y:
        return
    part = picture[y:to_y, x:to_x]
    over = (slice(y - top, to_y - top), slice(x - left, to_x - left))
    mixed = part + alpha[over] * (colour[over].astype(np.float32) - part)
    part[:] = mixed.astype(np.uint8)


@cache
def _noise(sigma: float) -> tuple[Picture, Picture]:
    made = np.random.default_rng(7).normal(0, sigma, (HEIGHT + 64, WIDTH + 64, 3))
    made = 0.7 * made + 0.3 * np.roll(made, 1, 1)
    return made.clip(0, 255).astype(np.uint8), (-made).clip(0, 255).astype(np.uint8)


def _noisy(picture: Picture, sigma: float, chance: random.Random) -> Picture:
    up, down = chance.randrange(64), chance.randrange(64)
    more, less = (one[up : up + HEIGHT, down : down + WIDTH] for one in _noise(sigma))
    return np.asarray(cv2.subtract(cv2.add(picture, more), less), np.uint8)


@cache
def _fog(horizon: float) -> tuple[Picture, Picture]:
    rows = np.linspace(0, 1, HEIGHT)
    away = 1 / np.clip(rows - horizon, 0.05, None)
    keep = np.exp(-0.16 * away - 0.35)
    whole = np.repeat(np.repeat(keep[:, None, None], WIDTH, 1), 3, 2)
    return (255 * whole).astype(np.uint8), (205 * (1 - whole)).astype(np.uint8)


def _beam(number: int, seed: int) -> Picture:
    """Night, with the cone of a vehicle's lights that sweeps over the picture."""
    centre = (number * 7 + seed * 13) % 140 / 100 - 0.2
    across = np.exp(-(((np.linspace(0, 1, WIDTH) - centre) / 0.12) ** 2))
    down = np.linspace(0.25, 1, HEIGHT)
    light = GAIN["night"] + 0.75 * down[:, None] * across[None]
    one = (255 * light.clip(0, 1)).astype(np.uint8)
    return np.asarray(cv2.merge([one, one, one]), np.uint8)


@cache
def _leaves(phase: int, seed: int) -> Picture:
    """Shadows of leaves and clouds that move; one of eight states."""
    chance = np.random.default_rng(seed)
    small = chance.uniform(0, 1, (12, 20)).astype(np.float32)
    small += 0.35 * np.random.default_rng(phase).uniform(-1, 1, small.shape).astype(np.float32)
    large = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    one = (255 * np.where(large > 0.55, 1.0, 0.55)).astype(np.uint8)
    one = np.asarray(cv2.GaussianBlur(one, (0, 0), 6), np.uint8)
    return np.asarray(cv2.merge([one, one, one]), np.uint8)


def _rain(picture: Picture, chance: random.Random) -> Picture:
    streaks = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(220):
        x, y, long = chance.randrange(WIDTH), chance.randrange(HEIGHT), chance.randrange(15, 60)
        cv2.line(
            streaks, (x, y), (x + long // 6, y + long), chance.randrange(30, 90), chance.choice([1, 1, 2])
        )
    streaks = np.asarray(cv2.blur(streaks, (3, 3)), np.uint8)
    return np.asarray(cv2.add(picture, cv2.merge([streaks, streaks, streaks])), np.uint8)


def _insect(picture: Picture, chance: random.Random) -> Picture:
    """A moth near the lens: bright, large, out of focus, elsewhere in each frame."""
    blob = np.zeros((HEIGHT // 4, WIDTH // 4), np.uint8)
    at = (chance.randrange(WIDTH // 4), chance.randrange(HEIGHT // 4))
    size = (chance.randrange(6, 26), chance.randrange(5, 14))
    cv2.ellipse(blob, at, size, chance.randrange(180), 0, 360, 210, cv2.FILLED)
    blob = np.asarray(cv2.resize(cv2.GaussianBlur(blob, (0, 0), 3), (WIDTH, HEIGHT)), np.uint8)
    return np.asarray(cv2.add(picture, cv2.merge([blob, blob, blob])), np.uint8)
