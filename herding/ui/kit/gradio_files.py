"""The scripts and styles of Gradio's page: served so that browsers keep them, and named early.

Gradio's page finds its scripts in four steps, each after the one before has come and run. The page names them all in
its head instead, so that they come at once. Which ones these are is read from the scripts themselves; where that fails,
as it may with another version of Gradio, the page is as slow as it would be without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import gradio as gr
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from herding.ui.kit.compression import StaticFile
from herding.ui.kit.format import el

FRONTEND = Path(gr.__file__).parent / "templates" / "frontend"
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".woff2": "font/woff2",
    ".woff": "font/woff",
    ".svg": "image/svg+xml",
}

_ENTRY = re.compile(r'src="\./assets/(index-[\w-]+\.js)"')
_LIST = re.compile(r"m\.f=(\[.*?\])\)")
_IMPORT = r"import\(`\./([\w.-]+\.js)`\)(?:(?!import\().){0,80}?__vite__mapDeps\(\[([\d,]*)\]\)"


class GradioFiles:
    """The files below `/assets`. Their names change with their content."""

    def __init__(self, folder: Path = FRONTEND / "assets") -> None:
        self._folder = folder
        self._names = frozenset(path.name for path in folder.iterdir() if path.suffix in TYPES)
        self._read: dict[str, StaticFile] = {}

    def route(self) -> Route:
        """Return the route that serves the files."""
        return Route("/assets/{name}", self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._names:
            raise HTTPException(404)
        if name not in self._read:
            path = self._folder / name
            self._read[name] = StaticFile(path.read_bytes(), TYPES[path.suffix])
        return self._read[name].response(request.headers, FOREVER)

    def needed(self, types: Iterable[str]) -> list[str]:
        """Return the names of the files that a page with these types of components needs, in the order of their use."""
        try:
            return self._needed(types)
        except (OSError, ValueError, IndexError, TypeError, AttributeError, StopIteration):
            return []

    def _needed(self, types: Iterable[str]) -> list[str]:
        entry = _ENTRY.search((FRONTEND / "index.html").read_text(encoding="utf-8"))[1]  # type: ignore[index]
        first = self._imports(entry)
        app = next(name for name in first if name.startswith("Index-"))
        later = self._imports(app)
        blocks = next(name for name in later if name.startswith("Blocks-"))
        found = [*first[app], *later[blocks]]
        core = next(name for name in found if name.startswith("core-"))
        script = self._text(core)
        files = self._list(script)
        for kind in types:
            for part in ("example", "base", "component"):
                at = re.search(rf"[{{,]{kind}:\{{[^{{}}]*?\b{part}:\(\)=>\w+\(\(\)=>{_IMPORT}", script)
                if at:
                    found += [at[1], *self._named(files, at[2])]
        return [name for name in dict.fromkeys([entry, *found]) if name in self._names]

    def _imports(self, name: str) -> dict[str, list[str]]:
        """Return the scripts that a script loads later, each with what it needs."""
        script = self._text(name)
        files = self._list(script)
        return {found[1]: [found[1], *self._named(files, found[2])] for found in re.finditer(_IMPORT, script)}

    def _text(self, name: str) -> str:
        return (self._folder / name).read_text(encoding="utf-8")

    @staticmethod
    def _list(script: str) -> list[str]:
        found = _LIST.search(script)
        return [path.removeprefix("./") for path in json.loads(found[1])] if found else []

    @staticmethod
    def _named(files: list[str], numbers: str) -> list[str]:
        return [files[int(number)] for number in numbers.split(",") if number]


def early_links(names: Iterable[str]) -> tuple[Markup, Markup]:
    """Return elements that load scripts ahead, and elements that load styles."""
    scripts = [el("link", rel="modulepreload", crossorigin="", href=f"./assets/{n}") for n in names if n.endswith("js")]
    # The HTML names the style of the first script.
    css = [name for name in names if name.endswith("css") and not name.startswith("index-")]
    styles = [el("link", rel="stylesheet", crossorigin="", href=f"./assets/{name}") for name in css]
    return Markup().join(scripts), Markup().join(styles)
