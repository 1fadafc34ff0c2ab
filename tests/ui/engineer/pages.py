"""The form of the Prompt engineer, filled in and sent as a browser does it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from herding.prompts.edits import Edits
from herding.values import Principal
from tests.support.herding import ADMIN
from tests.ui.conftest import Desktop, Piece


class FieldReader(HTMLParser):
    """Collects the fields of a form that a browser would send."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._area: tuple[str, list[str]] | None = None
        self._select: tuple[str, list[tuple[str, bool]]] | None = None
        self._templates = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._templates += tag == "template"
        name, off = given.get("name") or "", "disabled" in given or self._templates > 0
        if tag == "option" and self._select is not None:
            self._select[1].append((given.get("value") or "", "selected" in given))
        if not name or off:
            return
        if tag == "input" and not (given.get("type") in ("checkbox", "radio") and "checked" not in given):
            self.fields.append((name, given.get("value") or ("on" if given.get("type") == "checkbox" else "")))
        elif tag == "textarea":
            self._area = (name, [])
        elif tag == "select":
            self._select = (name, [])

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._templates -= tag == "template"
        if tag == "textarea" and self._area is not None:
            self.fields.append((self._area[0], "".join(self._area[1]).removeprefix("\n")))
            self._area = None
        elif tag == "select" and self._select is not None:
            options = self._select[1]
            chosen = next((value for value, on in options if on), options[0][0] if options else "")
            self.fields.append((self._select[0], chosen))
            self._select = None


@dataclass
class Form:
    """The form on the page; `answer` is what the app said to the last edit."""

    desktop: Desktop
    html: str
    who: Principal | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.show(self.html)

    def show(self, html: str) -> None:
        """Take the form in `html` as the one on the page."""
        self.html, found = html, re.search(r'<form class="engineer-form".*?</form>', html, re.DOTALL)
        if found is None:
            return
        parser = FieldReader()
        parser.feed(found[0])
        self.fields = {}
        for name, value in parser.fields:
            self.fields.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self.fields[name][0]

    def __setitem__(self, name: str, value: str) -> None:
        self.fields[name] = [value]

    def __contains__(self, text: str) -> bool:
        return text in self.html

    async def edit(self, **typed: str) -> dict[str, Any]:
        """Type into fields, whose dots are written as `__`, and wait until typing pauses."""
        for name, value in typed.items():
            self[name.replace("__", ".")] = value
        self.answer = json.loads((await self._post("edit")).html)
        self["draft_revision"] = self.answer["revision"]
        for name, card in self.answer["added"].items():
            parser = FieldReader()
            parser.feed(card)
            assert name
            self.fields |= {key: [value] for key, value in parser.fields}
        return self.answer

    async def press(self, action: str, **fields: str) -> Piece:
        """Press a button that answers with the form."""
        piece = await self._post(action, **fields)
        self.show(piece.html)
        return piece

    async def _post(self, path: str, **fields: str) -> Piece:
        return await self.desktop.post(f"engineer/{path}", who=self.who, **{**self.fields, **fields})


async def opened(desktop: Desktop, prompt: str = "say", *, who: Principal | None = None, **address: str) -> Form:
    """The tab as it opens with an address."""
    return Form(desktop, (await desktop.get("engineer", who=who, prompt=prompt, **address)).html, who)


async def kept(desktop: Desktop, key: str = "say", who: Principal = ADMIN) -> Edits:
    """The edits that are stored as a draft."""
    draft = await desktop.place.orchestrator.drafts.get(key, who)
    return draft.edits if draft else Edits()


async def content(desktop: Desktop, key: str = "say") -> dict[str, Any]:
    """The newest version."""
    return dict((await desktop.place.orchestrator.prompts.get(f"{key}@newest", ADMIN)).content)
