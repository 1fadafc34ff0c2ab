"""Reads which modules each file imports, at any depth, and compares them with the rules of the house."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

VALUES = {"errors", "values"}
GROUND = VALUES | {"plugins", "settings", "yaml_files"}
LIBRARIES = {"prompts", "access", "routing", "nodes", "store"}
"""Rooms that are blind to each other."""

SERVICES: dict[str, set[str]] = {
    "studio": set(),
    "herd": {"studio"},
    "evaluation": {"herd", "studio"},
    "knowledge": {"herd"},
    "serving": {"evaluation", "herd", "knowledge", "studio"},
    "people": {"serving"},
}
"""The rooms of services, with those of their own storey that each may import: one way only."""

BELOW_DOORS = GROUND | LIBRARIES | set(SERVICES) | {"orchestrator"}
DOORS = {"api", "bots", "ui", "mcp"}

MAY_IMPORT: dict[str, set[str]] = {
    "": set(),
    "errors": {"errors"},
    "values": VALUES,
    "plugins": VALUES | {"plugins"},
    "yaml_files": GROUND,
    "settings": GROUND,
    **{room: GROUND | {room} for room in LIBRARIES},
    **{room: GROUND | LIBRARIES | {room} | beside for room, beside in SERVICES.items()},
    "orchestrator": GROUND | LIBRARIES | set(SERVICES),
    **{room: BELOW_DOORS | {room, ""} for room in DOORS},
    "engine": VALUES | {"engine", ""},
    "cli": BELOW_DOORS | {"main"},
    "main": BELOW_DOORS | DOORS | {""},
    "__main__": {"cli"},
    "app": {"main"},
}
"""The rooms that each room may import; "" is the package itself, which holds the version."""

ONLY_IN: dict[str, set[str]] = {
    "gradio": {"ui"},
    "sqlmodel": {"store"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "sqlite3": {"store"},
    "pysqlite3": {"store"},
    "torch": {"engine"},
    "transformers": {"engine"},
    "fastapi": {"api", "engine", "main"},
    "starlette": {"api", "engine", "main", "mcp", "ui"},
    "mcp": {"mcp"},
    "discord": {"bots"},
    "pluggy": {"plugins"},
    "mcp_types": {"mcp"},
}
"""The rooms that may import a package."""

ENVIRONMENT_IN = {"settings", "engine", "main"}
PASSES_ENVIRONMENT_ON = "herding/nodes/local.py"


def modules(root: Path) -> dict[str, set[str]]:
    """Return each module of the project at `root` with the modules of the project that it imports."""
    paths = {_module(path.relative_to(root).as_posix()): path for path in sorted((root / "herding").rglob("*.py"))}
    return {name: set(_imported(path, path.relative_to(root).as_posix(), paths)) for name, path in paths.items()}


def _imported(path: Path, name: str, known: Container[str]) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                target = full if full in known else node.module
                if target in known and target != _module(name):
                    yield target


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Import(NamedTuple):
    """One imported module; `typing_only` for one that only type checkers see."""

    module: str
    line: int
    typing_only: bool


def breaches(root: Path) -> list[str]:
    """What breaks the rules in the project at `root`, as `file:line: words`."""
    files = [root / "app.py", *sorted((root / "herding").rglob("*.py"))]
    return [breach for path in files if path.exists() for breach in _in_file(path, path.relative_to(root).as_posix())]


def _in_file(path: Path, name: str) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), name)
    room = _room(name)
    for found in _imports(tree, name):
        if words := _breach(room, found):
            yield f"{name}:{found.line}: {words}"
    if room not in ENVIRONMENT_IN and name != PASSES_ENVIRONMENT_ON:
        for line in _environment(tree):
            yield f"{name}:{line}: {room} reads the environment"


def _room(name: str) -> str:
    parts = name.removesuffix(".py").split("/")
    return parts[0] if parts[0] != "herding" else parts[1].replace("__init__", "")


def _breach(room: str, found: Import) -> str | None:
    package, _, rest = found.module.partition(".")
    if package == "app":
        return "app.py is an entry, and nothing imports it"
    if package == "herding":
        target = rest.partition(".")[0].replace("__version__", "")
        return None if target in MAY_IMPORT.get(room, set()) else f"{room} may not import {target or package}"
    allowed = ONLY_IN.get(package)
    if allowed is None or room in allowed or (found.typing_only and package == "fastapi" and room == "ui"):
        return None
    return f"{room} may not import {package}"


def _imports(tree: ast.AST, name: str, typing_only: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        hidden = typing_only or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, hidden) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(module, node.lineno, hidden) for module in _from(node, name))
        else:
            yield from _dynamic(node)
            yield from _imports(node, name, hidden)


def _from(node: ast.ImportFrom, name: str) -> list[str]:
    """The modules of a `from` import; `from herding import x` names the room x."""
    package = name.removesuffix(".py").split("/")[: -node.level] if node.level else []
    module = ".".join([*package, *([node.module] if node.module else [])])
    return [f"{module}.{alias.name}" for alias in node.names] if module == "herding" else [module]


def _dynamic(node: ast.AST) -> Iterator[Import]:
    """`__import__("x")` and `import_module("x")`."""
    match node:
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            yield Import(module, node.lineno, False)


def _environment(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"))
        or (isinstance(node, ast.Name) and node.id in ("environ", "getenv"))
    ]
