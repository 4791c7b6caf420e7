"""Weights that are pulled by the name of their card, and found again; no network: file:// addresses."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import models
from agent.__main__ import cli
from models import pulled
from models.card import Card
from tests.test_models import CARD, network

pytest.importorskip("onnxruntime", reason="needs the extra vision: pip install -e .[vision]")
SHARED = Path(__file__).resolve().parents[2] / "shared"
PULLED = {card.name: card for card in models.cards_here() if card.url is not None}
MAN = Path(models.__file__).parent / "pictures" / "man.jpg"


def ringpost(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of pulled weights: not there yet."""
    monkeypatch.setattr(pulled, "SYSTEM", tmp_path / "none" / "system")
    monkeypatch.setenv("RINGPOST_MODELS", str(tmp_path / "pulled"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "pulled"


@pytest.fixture
def far(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """A built-in card whose weights are at another place."""
    place = tmp_path / "release"
    place.mkdir()
    data = network([[16, 8, 48, 24, 0.9, 1]])
    (place / "model.onnx").write_bytes(data)
    card = tmp_path / "cards" / "far.yaml"
    card.parent.mkdir()
    text = CARD.format(sha256=hashlib.sha256(data).hexdigest(), labels="person, boat")
    text = text.replace("tiny", "far") + f"url: {(place / 'model.onnx').as_uri()}\nsize: {len(data)}\n"
    card.write_text(text)
    found = models.read_card(card)
    monkeypatch.setattr(models, "cards_here", lambda: (found,))
    return found


def test_a_named_model_is_pulled_in_one_command_and_found_again(far: Card, here: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not here yet: ringpost models pull far"):
        far.load()
    said = ringpost("models", "pull", "far", "--json")
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout) == {"file": str(here / "far.onnx"), "sha256": far.sha256}
    assert here.stat().st_mode & 0o777 == 0o755
    assert (here / "far.onnx").stat().st_mode & 0o777 == 0o644
    assert [one.label for one in models.find("far").load()(np.zeros((100, 200, 3), np.uint8))] == ["boat"]


def test_a_model_in_another_folder_is_found_by_the_environment(
    far: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ringpost("models", "pull", "far", "--folder", str(tmp_path / "other"))
    assert said.exit_code == 0
    assert f"RINGPOST_MODELS={tmp_path / 'other'}" in said.stderr
    monkeypatch.setenv("RINGPOST_MODELS", str(tmp_path / "other"))
    assert far.weights_file() == tmp_path / "other" / "far.onnx"


def test_without_weights_the_commands_name_the_remedy(far: Card, here: Path) -> None:
    assert "not here yet: ringpost models pull far" in ringpost("models", "list").stdout
    every, named = ringpost("models", "verify"), ringpost("models", "verify", "far")
    assert (every.exit_code, named.exit_code) == (0, 1)
    assert named.stderr == "far: its weights are not here yet: ringpost models pull far\n"
    bench = ringpost("models", "bench", "far")
    assert (bench.exit_code, bench.stderr) == (1, f"models: {named.stderr}")
    assert json.loads(ringpost("models", "list", "--json").stdout)["here"] is False
    said = ringpost("detect", str(MAN), "--model", "far")
    assert (said.exit_code, said.stderr.count("ringpost models pull far")) == (1, 1)


@pytest.mark.parametrize("changed", [{"size": 100}, {"sha256": "0" * 64}], ids=["larger", "other hash"])
def test_other_weights_are_not_kept(
    far: Card, here: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object]
) -> None:
    other = far.model_copy(update=changed)
    monkeypatch.setattr(models, "cards_here", lambda: (other,))
    assert ringpost("models", "pull", "far").exit_code == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["far", "--sha256", "0" * 64], 2, "in its card"),
        (["https://127.0.0.1/m.onnx"], 2, "needs --sha256"),
        (["near"], 1, "no model 'near'"),
    ],
)
def test_wrong_options_of_pull_are_one_line(far: Card, arguments: list[str], code: int, said: str) -> None:
    done = ringpost("models", "pull", *arguments)
    assert done.exit_code == code
    assert said in done.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1:9/m.onnx", "Connection refused"),
        ("https://no-such-host.invalid/m.onnx", "known|resolution"),
        ("file:///no/such/m.onnx", "No such file"),
    ],
)
def test_without_network_pull_tells_the_address_and_the_reason(
    far: Card, here: Path, monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setattr(models, "cards_here", lambda: (far.model_copy(update={"url": url}),))
    done = ringpost("models", "pull", "far")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"models: {url}: ")
    assert re.search(reason, done.stderr)
    assert "urlopen" not in done.stderr
    assert list(here.iterdir()) == []


def test_a_card_without_url_has_nothing_to_pull() -> None:
    done = ringpost("models", "pull", "default")
    assert (done.exit_code, "no url" in done.stderr) == (1, True)


@pytest.mark.parametrize("name", PULLED)
def test_a_card_without_weights_names_an_official_address(name: str) -> None:
    card = PULLED[name]
    assert card.url is not None
    assert card.url.startswith(("https://github.com/", "https://huggingface.co/"))
    assert "/main/" not in card.url, "an address whose file may change"
    assert card.licence == "Apache-2.0"
    assert card.labels == models.find("default").labels


@pytest.mark.parametrize(
    ("name", "file"), [("nanodet-plus", "nanodet-plus-m_416_raw"), ("yolox-nano", "yolox_nano_416")]
)
def test_a_card_without_weights_is_decoded_right(name: str, file: str) -> None:
    """The same weights in another file."""
    import cv2

    weights = SHARED / "models" / f"{file}.onnx"
    if not weights.is_file():
        pytest.skip(f"needs the reference models beside this folder: ../shared/models/{file}.onnx")
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = models.find(name).model_copy(update={"weights": weights, "sha256": sha256})
    frame = cv2.imread(str(MAN))
    assert frame is not None
    seen = card.load()(np.asarray(frame, np.uint8))[0]
    assert (seen.label, seen.box) == ("person", pytest.approx((0.35, 0.38, 0.6, 1), abs=0.03))
