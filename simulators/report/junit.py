"""``junit.xml``: one case for each expectation, ``never``, ``sometimes``, invariant and fault."""

import re
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from simulators.report.run_files import number, rows

KINDS = {
    "expectations": "expectation",
    "never": "never",
    "sometimes": "sometimes",
    "invariants": "invariant",
}
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(verdict: dict[str, Any]) -> bytes:
    """A test suite. What failed is a failure; what makes the run incomplete is an error."""
    scenario = _text(verdict.get("scenario", ""))
    suite = Element("testsuite", name=f"ringpost.{scenario}", time=_text(verdict.get("wall_s", 0)))
    if began := verdict.get("began_at"):
        suite.set("timestamp", _text(began))
    properties = SubElement(suite, "properties")
    for key in ("seed", "clock", "verdict", "sha256", "version", "python", "speed"):
        if key in verdict:
            SubElement(properties, "property", name=key, value=_text(verdict[key]))
    for key, kind in KINDS.items():
        for one in rows(verdict, key):
            case = _case(suite, f"{scenario}.{kind}", one.get("name") or one.get("text"), one.get("actual_s"))
            if not one.get("met"):
                word = "error" if kind == "sometimes" else "failure"
                SubElement(case, word, message=_text(one.get("detail") or "not met")).text = _text(
                    one.get("text")
                )
    for one in rows(verdict, "faults"):
        name = f"{one.get('number')} {one.get('kind')} {one.get('device') or ''}".strip()
        case = _case(suite, f"{scenario}.fault", name, one.get("effect_s"))
        if one.get("effect_s") is None:
            SubElement(case, "error", message="the fault had no effect: nothing of it was seen")
    for line in verdict.get("incomplete") or ():
        SubElement(_case(suite, f"{scenario}.incomplete", line), "error", message=_text(line))
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: Element, of: str, name: Any, took_s: Any = None) -> Element:
    took = f"{number(took_s) or 0:.3f}"
    return SubElement(suite, "testcase", classname=f"ringpost.{of}", name=_text(name), time=took)


def _text(value: Any) -> str:
    """Text without the characters that XML can't hold."""
    return _NOT_IN_XML.sub("�", "" if value is None else str(value))
