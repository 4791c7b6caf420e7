"""Texts of the pages: the English text is the key, ``console/web/chinese/*.yaml`` have the Chinese ones."""

from functools import cache
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML

Language = Literal["en", "zh"]
LANGUAGES: dict[Language, str] = {"en": "English", "zh": "中文"}
CHINESE = Path(__file__).parent / "chinese"


@cache
def chinese() -> dict[str, str]:
    """All Chinese texts by their English ones."""
    reader = YAML(typ="safe")
    return {
        english: text
        for path in sorted(CHINESE.glob("*.yaml"))
        for english, text in (reader.load(path.read_text(encoding="utf-8")) or {}).items()
    }


def translated(text: str, language: Language) -> str:
    """``text`` in ``language``; in English where it has no translation."""
    return chinese().get(text, text) if language == "zh" else text
