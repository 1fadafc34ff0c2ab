"""The form of the Compare tab, filled in and sent as a browser does it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from herding.values import Principal
from tests.ui.conftest import Desktop, Piece
from tests.ui.engineer.pages import FieldReader

Events = list[tuple[str, Any]]
_OUT_OF_BAND = re.compile(r'<div id="([^"]+)" hx-swap-oob="innerHTML">(.*?)</div>(?=<div id=|$)', re.DOTALL)


@dataclass
class Board:
    """The comparison on the page; `shown` has what the app said last of the parts of the page."""

    desktop: Desktop
    html: str
    address: dict[str, str] = field(default_factory=dict)
    who: Principal | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._read(self.html)

    def __contains__(self, text: str) -> bool:
        return text in self.html

    def __getitem__(self, name: str) -> str:
        return self.fields[name][0]

    def _read(self, html: str) -> None:
        reader = FieldReader()
        reader.feed(html)
        found: dict[str, list[str]] = {}
        for name, value in reader.fields:
            found.setdefault(name, []).append(value)
        self.fields |= found

    @property
    def letters(self) -> list[str]:
        """The columns, in their order."""
        return self.fields.get("column", [])

    def options(self, name: str) -> list[str]:
        """The values that a picker offers."""
        html = self.shown.get(f"compare-{name.replace('.', '-')}") or self.html
        select = re.search(rf'<select[^>]*name="{re.escape(name)}".*?</select>', html, re.DOTALL)
        assert select, name
        return re.findall(r'<option[^>]*value="([^"]*)"', select[0])

    async def edit(self, name: str, value: str) -> dict[str, str]:
        """Change a field and wait until the page shows what follows; the pieces that changed."""
        self.fields[name] = [value]
        return await self.changed(name)

    async def changed(self, name: str) -> dict[str, str]:
        """Tell the app that a field has changed."""
        answer = json.loads((await self.post("edit", changed=name)).html)
        for piece, html in answer["pieces"].items():
            self.shown[piece] = html
            self._read(html)
        self.address |= answer["address"]
        return dict(answer["pieces"])

    async def add(self) -> str:
        """Add a column; its HTML."""
        before = self.letters
        html = (await self.post("add")).html
        self._read(html)
        self.fields["column"] = [*before, *self.fields["column"]]
        self.html += html
        return html

    async def remove(self, letter: str) -> dict[str, str]:
        """Remove a column; the pieces that changed."""
        self.fields = {name: values for name, values in self.fields.items() if not name.startswith(f"{letter}.")}
        self.fields["column"] = [one for one in self.letters if one != letter]
        return await self.changed("columns")

    async def run(self) -> Events:
        """Press Run all; the events until the end."""
        for letter in self.letters:
            self.fields.pop(f"{letter}.request", None)
        self.fields["hidden"] = ["on" if self.fields.get("blind") == ["on"] else ""]
        events = parse((await self.post("run")).html)
        for name, data in events:
            self.shown[name] = data
            if name.endswith(".done"):
                self._read(data)
            if name == "finished":
                self._read(data["summary"])
                self.address |= data["address"]
        return events

    async def press(self, action: str, **fields: str) -> Piece:
        """Press a button whose reply changes the page; other parts of the page are in `shown`."""
        piece = await self.post(action, **fields)
        for name, html in re.findall(
            r'<div id="([^"]+)" hx-swap-oob="innerHTML">(.*?)</div>(?=<div id=|$)', piece.html, re.DOTALL
        ):
            self.shown[name] = html
            self._read(html)
        self.address |= piece.told.get("address", {})
        if "compare-revealed" in piece.told:
            self.fields["hidden"] = [""]
        return piece

    async def post(self, action: str, **fields: str) -> Piece:
        return await self.desktop.post(f"compare/{action}", who=self.who, **{**self.fields, **fields})

    def text(self, letter: str) -> str:
        """The response of a column as it was written."""
        found = re.search(r'data-pane="raw"><pre[^>]*>(.*?)</pre>', self.shown[f"{letter}.done"], re.DOTALL)
        return found[1] if found else ""

    def request(self, letter: str) -> str:
        return self[f"{letter}.request"]


def parse(text: str) -> Events:
    """The server-sent events of a stream."""
    parts = [part.split("\n") for part in text.split("\n\n") if part]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


async def opened(
    desktop: Desktop, prompt: str = "say", *, who: Principal | None = None, columns: int = 2, **address: str
) -> Board:
    """The tab as it opens with an address."""
    if "request" not in address:
        address["prompt"] = prompt
    piece = await desktop.get("compare", who=who, **address)
    board = Board(desktop, piece.html, dict(piece.told.get("address", {})), who)
    for _ in range(columns - 2):
        await board.add()
    return board
