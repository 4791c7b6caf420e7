"""``ringpost models pull``: downloads weights, by the name of their card or by URL."""

import json
from pathlib import Path

import click

import models
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_USAGE
from models import pulled
from models.pull import pull


def pull_command(model: str, sha256: str | None, folder: Path | None, as_json: bool) -> int:
    """Downloads weights. 1 where the download fails or the hash differs, 2 for wrong options."""
    by_url = "://" in model or model.endswith(".onnx")
    if by_url != (sha256 is not None):
        wanted = "needs --sha256 HEX" if by_url else "has its SHA-256 in its card: leave out --sha256"
        click.echo(f"models: {model} {wanted}", err=True)
        return EX_USAGE
    try:
        path = pull(model, sha256, folder or Path()) if sha256 is not None else _pull_card(model, folder)
    except (OSError, ValueError) as error:
        click.echo(f"models: {describe_error(error)}", err=True)
        return 1
    sha256 = sha256 or models.find(model).sha256
    print(json.dumps({"file": str(path), "sha256": sha256}) if as_json else f"{path}: SHA-256 matches")
    if not by_url and pulled.weights_here(models.find(model).weights) != path:
        click.echo(f"models: {path.parent} is found with RINGPOST_MODELS={path.parent.resolve()}", err=True)
    return 0


def _pull_card(name: str, folder: Path | None) -> Path:
    card = models.find(name)
    if card.url is None:
        raise ValueError(f"{card.name}: its card has no url: its weights are {card.weights}")
    if folder is None:
        folder = card.weights.parent if models.is_path(name) else pulled.folder_to_write()
    made = not folder.exists()
    most_bytes = {} if card.size is None else {"most_bytes": card.size}
    path = pull(card.url, card.sha256, folder, name=card.weights.name, **most_bytes)
    # Anybody may read published weights: root pulls them, and the service reads them.
    path.chmod(0o644)
    if made:
        folder.chmod(0o755)
    return path
