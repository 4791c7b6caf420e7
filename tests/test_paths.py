"""The tree refers to nothing that is not in it: every path, module and link in pages, docstrings and comments exists."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from simulators.faults.catalogue import CATALOGUE
from tests.test_architecture import LAYERS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "bench", "centre", "console", "firmware_bridge", "models", "simulators", "tests")
RECORDS = ROOT / "docs" / "decisions"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PATH = re.compile(r"(?<![\w./~{-])[\w.-]*\w(?:/[\w.*-]+)*\.(?:md|py)\b")
MODULE = re.compile(rf"(?<![\w./-])((?:{'|'.join(PACKAGES)})(?!\.md\b)(?:\.[a-z]\w*)+)(?![\w/])")
LINK = re.compile(r"\]\(([^)\s]+)\)")
ADDRESS = re.compile(r"\w+://\S+|(?:github|pypi)\.\S+")
RECIPE = re.compile(r"^```python\n# \S+\.py\n.*?^```$", re.MULTILINE | re.DOTALL)
OF_OTHERS = {"models/nanodet.py", "models/paddle.py", "CHANGELOG.md"}
"""They name files of another project, and files of former versions."""


BEFORE_DOCSTRING = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
"""The token before a string that is a statement of its own."""


def tracked(*suffixes: str) -> list[Path]:
    """Files of the tree that end so; what an editor, a build or an environment leaves is none."""
    found = [
        path for package in (*PACKAGES, "configs", "docs", ".github") for path in (ROOT / package).rglob("*")
    ]
    return sorted(
        path
        for path in [*found, *ROOT.glob("*"), ROOT / ".pre-commit-config.yaml"]
        if path.is_file() and path.name.endswith(suffixes) and name(path) not in OF_OTHERS
    )


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def prose(path: Path) -> str:
    """What a file says to a reader: of code, its docstrings and comments; of a page, all but new files of recipes."""
    text = path.read_text()
    if path.suffix != ".py":
        return ADDRESS.sub("", RECIPE.sub("", text))
    parts, previous = [], tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            parts.append(token.string)
        elif token.type == tokenize.STRING and previous in BEFORE_DOCSTRING:
            parts.append(ast.literal_eval(token.string))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            previous = token.type
    return ADDRESS.sub("", "\n".join(parts))


def expanded(text: str) -> str:
    """Braces written out: each of the files that a pattern such as pyproject.toml's names."""
    return re.sub(
        r"(?P<head>[\w/.-]*)\{(?P<names>[\w,/]+)\}(?P<tail>[\w/.*-]*)",
        lambda found: " ".join(f"{found['head']}{one}{found['tail']}" for one in found["names"].split(",")),
        text,
    )


NAMES = {path.name for path in tracked(".py", ".md")}


@cache
def exists(mention: str, beside: Path) -> bool:
    """A path from the root or from the page's folder; a bare name may stand in any folder."""
    if "*" in mention or (mention.endswith(".py") and "/" not in mention):
        return mention in NAMES or any(ROOT.glob(mention))
    return any((folder / mention).exists() for folder in (ROOT, beside.parent))


@cache
def is_module(dotted: str) -> bool:
    """Whether the first two names are a module, or the second a name in the package."""
    package, second, *_ = dotted.split(".")
    inside = ROOT / package / second
    return (
        inside.with_suffix(".py").exists()
        or inside.is_dir()
        or second in (ROOT / package / "__init__.py").read_text()
    )


def slugs(page: Path) -> Iterator[str]:
    """The anchors of a page's headings, as a forge makes them."""
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_path_and_module_that_is_named_exists() -> None:
    missing = {}
    for path in tracked(".md", ".py", ".toml", ".yaml", ".yml", ".service", "Makefile", "acl"):
        text = expanded(prose(path))
        absent = [mention for mention in PATH.findall(text) if not exists(mention, path)]
        modules = set(MODULE.findall(text)) - CATALOGUE.keys()  # a fault has a name with a dot, too
        absent += [dotted for dotted in modules if not is_module(dotted)]
        if absent:
            missing[name(path)] = absent
    assert missing == {}


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in tracked(".md"):
        for link in LINK.findall(RECIPE.sub("", page.read_text())):
            target, _, anchor = link.partition("#")
            file = page.parent / target if target else page
            if "://" not in link and (not file.exists() or (anchor and anchor not in slugs(file))):
                broken.append((name(page), link))
    assert broken == []


def test_the_index_lists_every_record_once_and_says_its_title() -> None:
    index = (RECORDS / "README.md").read_text()
    records = sorted(path for path in RECORDS.glob("*.md") if path.name != "README.md")
    assert sorted(re.findall(r"^\| \[\d{4} [^\]]+\]\((\d{4}-[\w-]+\.md)\)", index, re.MULTILINE)) == [
        path.name for path in records
    ]
    for path in records:
        title = path.read_text().splitlines()[0].removeprefix("# ")
        assert title.startswith(path.name[:4] + " ")
        assert f"[{title}]({path.name})" in index


def test_every_record_that_is_cited_exists() -> None:
    numbers = {path.name[:4] for path in RECORDS.glob("*.md")}
    cited = {
        (name(path), number)
        for path in tracked(".md", ".py", ".yaml", ".service", "acl")
        for number in re.findall(r"decisions?[ /](\d{4})\b", prose(path))
    }
    assert [one for one in sorted(cited) if one[1] not in numbers] == []


def test_the_page_of_the_architecture_has_all_layers_in_their_order() -> None:
    rows = re.findall(r"^\| [\w -]* \| (`[^|]+) \|.*`[\w/]+\.py` \|$", ARCHITECTURE, re.MULTILINE)
    assert [tuple(re.findall(r"`([\w.]+)`", row)) for row in rows] == list(LAYERS)


def test_the_glossary_is_short_and_in_order() -> None:
    terms = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[1:]
    assert len(terms) <= 40
    assert terms == sorted(terms, key=str.lower)


@pytest.mark.parametrize("package", ["agent", "centre", "console", "firmware_bridge", "models", "simulators"])
def test_the_types_of_each_package_can_be_used_by_others(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
