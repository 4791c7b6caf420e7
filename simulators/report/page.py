"""``index.html``: one page with its style, script and data in it."""

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from console.web.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from simulators.report.faults import faults_section
from simulators.report.film import film_data, film_section, log_section
from simulators.report.html import Html, e, section, table
from simulators.report.latency import latency_section
from simulators.report.marks import marks_of
from simulators.report.run_files import number
from simulators.report.story import Story
from simulators.report.timeline import timeline_section
from simulators.report.verdict import (
    expectations_section,
    losses_section,
    verdict_section,
)

COLOURS = {
    "blue": BLUE, "sky": SKY, "green": GREEN, "orange": ORANGE, "red": RED, "purple": PURPLE, "grey": GREY,
}  # fmt: skip


@cache
def static(name: str) -> str:
    """A file of the folder ``static``."""
    return (files("simulators.report") / "static" / name).read_text()


def document(title: str, body: Html, data: dict[str, Any] | None = None) -> str:
    """A whole page. Its policy allows this style, this script, and no request at all."""
    colours = "".join(f"--{name}:{value};" for name, value in COLOURS.items())
    script, scripts = "", "'none'"
    if data is not None:
        code = static("film.js")
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        scripts = f"'sha256-{digest}'"
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace("&", "\\u0026").replace("\u2028", "\\u2028")
        script = f'<script type="application/json" id="data">{text}</script>\n<script>{code}</script>'
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {scripts}"
    policy += "; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{e(title)}</title>\n'
        f"<style>:root{{{colours}}}\n{static('report.css')}</style>\n</head>\n<body>\n{body}\n{script}\n</body>\n</html>\n"
    )


def page(verdict: dict[str, Any], story: Story, scenario: dict[str, Any]) -> str:
    """The report of one run."""
    marks = marks_of(verdict, story)
    data = film_data(story)
    parts = [
        *([] if data is None else [film_section(story)]),
        expectations_section(verdict),
        *([log_section(story)] if data is None else []),
        timeline_section(story, verdict, marks),
        faults_section(verdict),
        latency_section(story, virtual=verdict.get("clock") == "virtual"),
        losses_section(verdict),
        _figures(verdict, story, scenario),
        _left_out(story),
    ]
    head = verdict_section(verdict, str(scenario.get("about") or ""))
    body = f"{head}\n<main>\n{''.join(parts)}\n</main>"
    empty = {"duration": story.duration_s, "objects": [], "rows": [], "alerts": [], "shapes": {}}
    return document(f"{verdict.get('scenario', 'run')}: {verdict.get('verdict', '?')}", body, data or empty)


def _figures(verdict: dict[str, Any], story: Story, scenario: dict[str, Any]) -> Html:
    speed = number(verdict.get("speed"))
    memory = number(verdict.get("memory_mb"))
    found = [
        ("Devices", str(len(story.devices) or len(scenario.get("devices") or ()))),
        ("Messages", ", ".join(f"{count} {topic}" for topic, count in sorted(story.topics.items()))),
        ("Alert messages that came again", str(story.repeats)),
        ("Receipts", str(story.receipts)),
        ("Speed", "–" if speed is None else f"{speed:.0f} × real time"),
        ("Memory", "–" if memory is None else f"{memory:.0f} MB"),
        ("ringpost, Python", f"{verdict.get('version', '?')}, {verdict.get('python', '?')}"),
        ("SHA-256 of the record", str(verdict.get("sha256", "?"))),
    ]
    rows = [(e(name), e(value)) for name, value in found]
    return section("figures", "Figures", table("Figures", ("Figure", "Value"), rows))


def _left_out(story: Story) -> Html:
    if not story.left_out:
        return ""
    lines = "".join(f"<li>{e(line)}</li>" for line in story.left_out)
    words = "<p>The files beside this page have all of it.</p>"
    return section("left-out", "Left out of this page", f"<ul>{lines}</ul>", words)
