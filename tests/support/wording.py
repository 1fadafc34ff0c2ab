"""Reads all texts of the product and finds words that the product does not use.

`python -m tests.support.wording [FOLDER]` lists them.

Three kinds of text are read: strings of the code that people may meet, docstrings, and documents.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLAIN_WORDS: dict[str, str] = {
    r"\b[Cc]ontract(s|ed)?\b(?! test)": "checks",
    r"\bbreach(es|ed)?\b": "check failure",
    r"\b[Mm]end(s|ed|ing)?\b": "fix",
    r"\b[Ee]verybody\b": "all users",
    r"\b[Ww]hoever\b": "the user who ...",
    r"\bso many as\b": "as many as",
    r"\b[Tt]here is no such\b": "not found",
    r"(?i)\b(an?|the|this|that|each|every|no|its|their|your|last|whole) answers?\b": "response",
    r"^Answers?\b": "response",
    r"\b(\d|[Tt]he|[Nn]o|[Ff]ailed|[Aa]ll|[Oo]f) tries\b": "attempts",
    r"\b([Ff]igures|its figures)\b": "metrics",
    r"\bserved is\b|^served$|\bserved version\b": "live",
    r"\bcan be run no more\b|\bdoes not work\b|\bis not usable\b": "can't run / has an error",
    r"^Not run$|^Cancelled$": "Not sent / Stopped",
    r"What changes, and why": "Change note (optional)",
    r"Keep these inputs": "Save these values as defaults",
    r"\b(Inputs|Draft|Edits?) kept\b|is kept as a draft|What you type": "Draft saved / Changes are saved",
    r"edited, not saved": "Unsaved changes",
    r"as it stands\b|nobody else's": "Only you can see this",
    r"Key of the new prompt|Start writing": "Prompt ID / Create",
    r"\band all else\b": "name what it is",
    r"is greedy|is wild|same dice|\blikeliest\b|length of the answer": "the field's terms",
    r"one text a line|[Oo]ne a line": "one per line",
    r"the model's own\b": "Model default",
    r"commas? between": "comma-separated",
    r"pick the variant|picks the variant": "Variant: ...",
    r"Use it elsewhere|^Call it with": "API / Code",
    r"its stars\b": "Rate this response",
    r"Why this node|was asked for": "Routed to ...",
    r"counted by the node|estimated from the text": "Token count: reported / estimated",
    r"expected worth|no complaint|nothing is known": "Score / no failures / No data",
    r"Who answers next|what is learned": "Routing / routing data",
    r"in steps of (a|an) ": "per day",
    r"Take the label away|Moves of labels|now stands for|means the newest": "Remove label / Label history / moved",
    r"Open both in|^One column$|saved by itself": "Compare these versions / Unified",
    r"Requests of |No request fits|Nothing chosen": "All users' requests / No matching requests",
    r"^Answer of$|[Tt]he same words|as my draft|stand side by side": "Compare / No differences / Copy to draft",
    r"As requests name them|Serves now|Serves when|It serves no|^What happened$": "Model IDs / Models / Events",
    r"a node of the kind": "(OpenAI-compatible) added",
    r"^Switch( to)?$": "Load / Load model",
    r"Admin of this machine|shown this once|Whoever has it|weaker role|^Lasts$": "Local admin / Copy it now / Expires",
    r"it stays as it is|Keep no texts|Of what they ask|stands for all|in force at once": "Can't be changed later / ...",
}
"""Words and phrases that texts for people do not contain, with what stands there instead."""

DOCSTRING_OPENING = re.compile(r"^(What|Whether|How|Who|Whom|Whose|Why)\b")
"""A docstring says what a thing does: "Return ...", "Stream ...", or names the thing."""

DOCSTRING_WORDS = re.compile(r"\b(whoever|so many as|everybody|nobody|mended|mends|in one breath)\b", re.IGNORECASE)

PRIVATE_NAMES = frozenset(
    [
        "gatehouse",
        "shelf",
        "sight",
        "flight",
        "flights",
        "voices",
        "bell",
        "seed_chat",
        "tallies",
        "intake",
        "filing",
        "lane",
        "lanes",
        "bench",
        "desk",
        "elsewhere",
        "hush",
        "hushed",
        "expel",
        "expelled",
        "scrub",
        "seal",
        "narrow",
    ]
)
"""Private metaphors that no identifier consists of any more."""


@dataclass(frozen=True)
class Finding:
    """A place that uses a word of the lists."""

    place: str
    text: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text!r} -> {self.instead}"


def findings(root: Path) -> list[Finding]:
    """Return all findings of the project at `root`."""
    found = [one for path in sorted((root / "herding").rglob("*.py")) for one in _in_code(path, root)]
    documents = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").glob("*.md"))]
    assets = [path for kind in ("js", "html") for path in sorted((root / "herding").rglob(f"*.{kind}"))]
    for path in (*documents, *assets):
        if path.exists():
            found += _in_lines(path, root)
    return found


def _in_code(path: Path, root: Path) -> Iterator[Finding]:
    name = path.relative_to(root).as_posix()
    if "/migrations/" in name:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = set(_docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            place = f"{name}:{node.lineno}"
            if node in docstrings:
                yield from _docstring(place, node.value)
            elif _is_text(node.value):
                yield from _text(place, node.value)
        for identifier in _identifiers(node):
            if identifier.strip("_").lower() in PRIVATE_NAMES:
                yield Finding(f"{name}:{getattr(node, 'lineno', 0)}", identifier, "the field's word")


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield docstrings, those of attributes included."""
    for node in ast.walk(tree):
        for statement in getattr(node, "body", None) if isinstance(getattr(node, "body", None), list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value


def _identifiers(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
            yield name


def _is_text(value: str) -> bool:
    """Tell whether people may read a string: it has a space, or begins like a label."""
    return len(value) > 2 and (" " in value.strip() or value[0].isupper())


def _docstring(place: str, text: str) -> Iterator[Finding]:
    if DOCSTRING_OPENING.match(text.strip()):
        yield Finding(place, text.strip()[:80], "begin with a verb or the thing")
    for match in DOCSTRING_WORDS.finditer(text):
        yield Finding(place, match.group(), "plain library English")


def _text(place: str, text: str) -> Iterator[Finding]:
    for pattern, instead in PLAIN_WORDS.items():
        if re.search(pattern, text):
            yield Finding(place, text[:120], instead)


def _in_lines(path: Path, root: Path) -> Iterator[Finding]:
    name = path.relative_to(root).as_posix()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        prose = re.sub(r"`[^`]*`", "", line) if path.suffix == ".md" else line
        yield from _text(f"{name}:{number}", prose.strip())


def main() -> int:
    """Print the findings below a folder; exit status 1 if there are any."""
    folder = sys.argv[1] if len(sys.argv) > 1 else ""
    found = [one for one in findings(Path.cwd()) if one.place.startswith(folder)]
    sys.stdout.writelines(f"{one}\n" for one in found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
