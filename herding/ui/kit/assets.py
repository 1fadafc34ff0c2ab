"""Scripts and styles of the views, served below `/ui/assets`."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.util import find_spec
from pathlib import Path

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from herding.ui.kit.compression import StaticFile
from herding.ui.kit.format import el, join
from herding.ui.kit.gradio_files import FOREVER, TYPES
from herding.ui.kit.theme import ASSETS

STYLES = "views.css"
_NO_SCRIPTS = frozenset({"page.js"})
"""The script that is part of Gradio's page."""

_FIRST = frozenset(
    {"engineer.js", "engineer_menu.js", "draft_page.js", "run.js", "stream.js", "code_panel.js", "response.js"}
    | {"controls.js", "focus.js", "shortcuts.js"}
)
"""Scripts of all views, and of the tab that opens first for most roles."""

_HTMX = {
    "historyEnabled": False,
    "includeIndicatorStyles": False,
    "scrollBehavior": "auto",
    "defaultSettleDelay": 0,
}
"""Pages are not kept in the browser's storage: they hold what people wrote. New fields react from the first moment."""

_IMPORT = re.compile(rb'(from|import) "\./([\w.]+\.js)"')
_CHECKED = {"Cache-Control": "no-cache"}


def _htmx() -> bytes:
    """Return the script of htmx, of which the package django-htmx has a copy. Its own code is not imported."""
    found = find_spec("django_htmx")
    if found is None or found.origin is None:
        raise RuntimeError("The package django-htmx is missing. Install the requirements.")
    return (Path(found.origin).parent / "static" / "django_htmx" / "htmx-2.min.js").read_bytes()


def _base_first(path: Path) -> tuple[bool, str]:
    return path.name != "base.css", path.name


class ViewAssets:
    """The files, read once; their addresses change with their content, so that browsers keep them for good."""

    def __init__(self) -> None:
        scripts = {path.name: path.read_bytes() for path in ASSETS.glob("*.js") if path.name not in _NO_SCRIPTS}
        styles = b"\n".join(path.read_bytes() for path in sorted((ASSETS / "views").glob("*.css"), key=_base_first))
        scripts["view.js"] = b"\n".join((_htmx(), b"window.htmx = htmx;", scripts["view.js"]))
        files = {STYLES: styles, **scripts}
        whole = b"".join(name.encode() + content for name, content in sorted(files.items()))
        self.version = hashlib.sha256(whole).hexdigest()[:12]
        # An import of another script names its version too: under two addresses it would be two modules.
        versioned = rb'\1 "./\2?v=' + self.version.encode() + b'"'
        self._files = {
            name: StaticFile(_IMPORT.sub(versioned, content), TYPES[Path(name).suffix])
            for name, content in files.items()
        }

    def early(self) -> Markup:
        """Return the elements that load the scripts; those that a view needs later are only fetched."""
        meta = el("meta", name="htmx-config", content=json.dumps(_HTMX))
        later = [el("link", rel="modulepreload", href=self._address(name)) for name in self._files if name in _FIRST]
        return join([meta, el("script", type="module", src=self._address("view.js")), *later])

    def late(self) -> Markup:
        """Return the element that loads the styles."""
        return el("link", rel="stylesheet", href=self._address(STYLES))

    def _address(self, name: str) -> str:
        return f"ui/assets/{name}?v={self.version}"

    def route(self) -> Route:
        """Return the route that serves the files."""
        return Route("/ui/assets/{file}", self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in self._files:
            raise HTTPException(404)
        headers = FOREVER if request.query_params.get("v") == self.version else _CHECKED
        return self._files[name].response(request.headers, headers)
