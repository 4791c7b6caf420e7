"""What is taken out of a configuration that becomes a test case. Pure: each step changes a tree."""

from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

USED = (
    "schema_version", "device", "kind", "place", "duty", "holidays", "positioning", "sources", "rules",
)  # fmt: skip
"""Sections that a replay reads; of all others nothing depends."""
SECRET = frozenset(
    {"login", "password", "token", "key", "certificate", "trust", "username", "ca", "fingerprint"}
)
CAMERA = frozenset({"kind", "url", "purpose", "zones", "ground", "mount"})


def yaml_of(tree: Any) -> str:
    """The tree as text."""
    from ruamel.yaml import YAML

    text = StringIO()
    yaml = YAML(typ="safe")
    yaml.default_flow_style = None
    yaml.width = 110
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # the order of the sections
    yaml.dump(copy_of(tree), text)
    return text.getvalue()


def copy_of(tree: Any) -> Any:
    """A copy of plain dictionaries, lists and values: those of a loaded file know how they were written."""
    if isinstance(tree, Mapping):
        return {str(key): copy_of(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [copy_of(value) for value in tree]
    plain = next((kind for kind in (bool, int, float, str) if isinstance(tree, kind)), None)
    return tree if plain is None else plain(tree)


def _only_used(tree: Any) -> None:
    for name in set(tree) - set(USED):
        del tree[name]
    tree["broker"] = {"url": "mqtt://127.0.0.1:1883"}


def _no_addresses(tree: Any) -> None:
    for name, source in (tree.get("sources") or {}).items():
        for key in SECRET & set(source):
            del source[key]
        for key in ("port", "url", "host"):
            value = source.get(key)
            if isinstance(value, str) and ("://" in value or "@" in value or key == "host"):
                source[key] = f"{name}.mp4" if source.get("kind") == "camera" else f"/dev/{name}"


def _cameras(tree: Any) -> None:
    for name, source in (tree.get("sources") or {}).items():
        if source.get("kind") == "camera":
            for key in set(source) - CAMERA:
                del source[key]
            source |= {"url": f"{name}.mp4", "purpose": "a replay"}


def _names(tree: Any) -> None:
    tree["device"] = "replay"
    tree["place"] |= {"site": "site", "post": "post"}


def _duty(tree: Any) -> None:
    tree.pop("duty", None)


def _surveyed(tree: Any) -> None:
    tree["place"].pop("lat", None)
    tree["place"].pop("lon", None)


MANDATORY: tuple[Callable[[Any], None], ...] = (_only_used, _no_addresses)
OPTIONAL: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("settings of cameras", _cameras),
    ("names of the device, its site and its post", _names),
    ("duty", _duty),
    ("its surveyed position", _surveyed),
)
"""Words for people, and the step."""
