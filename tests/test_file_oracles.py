"""No error of a configuration quotes a file that it names: a push could read the device's secrets that way."""

import itertools
from pathlib import Path

import pytest

from agent.config.loader import parse
from agent.domain.yaml_loader import BadConfig
from tests.pushed_configurations import LOCAL_FILE, add

MARK = "S3cretM4rk"
CONTENTS = {
    "text": f"{MARK}\n",
    "json": f'{{"{MARK}": "{MARK}"}}',
    "json string": f'"{MARK}"',
    "json list": f'[["{MARK}", "{MARK}"]]',
    "geojson": f'{{"type": "{MARK}", "coordinates": [["{MARK}", 1], [2, "{MARK}"]]}}',
    "geojson line": f'{{"type": "LineString", "coordinates": [["{MARK}", 1], [2, 3]]}}',
    "geojson feature": f'{{"type": "Feature", "geometry": {{"type": "LineString", "coordinates": [[1, "{MARK}"]]}}}}',
    "csv": f"x,y,lat,lon\n{MARK},1,2,3\n1,{MARK},3,4\n",
    "csv head": f"{MARK},y,lat,lon\n1,2,3,4\n",
    "csv far": f"x,y,lat,lon\n1,1,{MARK},3\n1,1,95,{MARK}\n",
    "yaml card": f"name: {MARK}\nlabels: [{MARK}]\ninput: {MARK}\nurl: {MARK}\n",
    "yaml error": f"a: [{MARK}\nb: {MARK}: {MARK}",
    "yaml tag": f"!{MARK} {MARK}",
    "pem": f"-----BEGIN CERTIFICATE-----\n{MARK}\n-----END CERTIFICATE-----\n",
}
WAYS = {
    "route": LOCAL_FILE.replace("rules:\n", "rules:\n  way: {kind: route, source: gnss, path: FILE}\n"),
    "duty": LOCAL_FILE.replace("rules:\n", "duty: {unit: u, responsible: r, route: FILE}\nrules:\n  way: {kind: route, source: gnss}\n"),
    "points": add("{kind: camera, url: rtsp://192.0.2.20/2, purpose: rescue, ground: {points: FILE}}"),
    "card": add("{kind: camera, url: rtsp://192.0.2.20/2, purpose: rescue, detector: {model: ./FILE}}"),
    "ca": add("{kind: camera, url: rtsps://192.0.2.40/2, purpose: rescue, ca: FILE}"),
    "clip": LOCAL_FILE + "drill: {clip: FILE}\n",
    "roles": LOCAL_FILE + "roles: FILE\n",
}  # fmt: skip
SUFFIXES = {"route": (".json",), "duty": (".json",), "points": (".csv", ".json"), "card": (".yaml", ".yml")}


@pytest.mark.parametrize("way", WAYS)
def test_no_error_quotes_a_file(tmp_path: Path, way: str) -> None:
    for (name, content), suffix in itertools.product(CONTENTS.items(), SUFFIXES.get(way, ("",))):
        (tmp_path / f"file{suffix}").write_text(content)
        assert MARK not in said(WAYS[way].replace("FILE", f"file{suffix}"), tmp_path), (name, suffix)


def said(text: str, base: Path) -> str:
    try:
        parse(text, name="push", base=base, only=frozenset())
    except BadConfig as error:
        return str(error)
    return ""
