"""The looks of the bot's messages on Discord: text, embeds and buttons.

The buttons carry the id of their request, so that they work after a restart and on any process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import discord

from herding.bots.pages import shorten, width
from herding.values import Outcome, Reference

PREFIX = "herding"
MAX_REFERENCES = 20
MAX_COMMENT = 4_000
MAX_EMBEDS = 5_900
"""Characters of all embeds of a message; Discord takes 6,000."""

QUESTION_TITLE = "Question"
_RED, _GRAY = 0xC0392B, 0x7F8C8D

Tone = Literal["info", "error"]


@dataclass(frozen=True, slots=True)
class Page:
    """One message of a response. `buttons` are for the request of that id: to stop it, or to rate its response."""

    content: str = ""
    question: str | None = None
    status: str | None = None
    tone: Tone = "info"
    references: tuple[Reference, ...] = ()
    footer: str | None = None
    buttons: Literal["stop", "rate"] | None = None
    request_id: str | None = None

    @property
    def empty(self) -> bool:
        """True if there is nothing to show."""
        return not (self.content or self.question or self.status or self.references)

    def embeds(self) -> list[discord.Embed]:
        """Return what is shown below the text."""
        found = []
        footer = shorten(self.footer or "", 300)
        left = MAX_EMBEDS - 300
        if self.question:
            found.append(discord.Embed(title=QUESTION_TITLE, description=shorten(self.question, 4_000), color=_GRAY))
            left -= width(QUESTION_TITLE + (found[0].description or ""))
        if self.status:
            color = _RED if self.tone == "error" else _GRAY
            found.append(discord.Embed(description=shorten(self.status, min(left, 1_000)), color=color))
            left -= width(found[-1].description or "")
        if self.references:
            listed = _references(self.references, min(left, 4_000) - 60)
            found.append(discord.Embed(title="References", description=listed, color=_GRAY))
        if footer:
            if not found:
                found.append(discord.Embed(color=_GRAY))
            found[-1].set_footer(text=footer)
        return found

    def view(self) -> discord.ui.View | None:
        """Return the buttons."""
        if self.buttons is None or self.request_id is None:
            return None
        view = discord.ui.View(timeout=None)
        if self.buttons == "stop":
            view.add_item(discord.ui.Button(label="Stop", custom_id=f"{PREFIX}:stop:{self.request_id}"))
        else:
            for stars in range(1, 6):
                custom_id = f"{PREFIX}:rate:{self.request_id}:{stars}"
                view.add_item(discord.ui.Button(label=f"{stars} ★", custom_id=custom_id, row=0))
            comment = f"{PREFIX}:comment:{self.request_id}"
            view.add_item(discord.ui.Button(label="Comment", custom_id=comment, row=1))
        view.stop()  # the library would keep it in memory for good; the bot reads the ids instead
        return view


def footer_of(outcome: Outcome) -> str:
    """Return what a response came from."""
    return " · ".join(filter(None, (outcome.prompt, outcome.model, outcome.node)))


def comment_dialog(request_id: str) -> discord.ui.Modal:
    """Return the dialog for a comment."""
    dialog = discord.ui.Modal(title="Comment on this response", custom_id=f"{PREFIX}:said:{request_id}")
    text: discord.ui.TextInput[Any] = discord.ui.TextInput(
        label="Comment",
        custom_id="text",
        style=discord.TextStyle.paragraph,
        placeholder="What was good, what was wrong? Empty removes your comment.",
        required=False,
        max_length=MAX_COMMENT,
    )
    return _unstored(dialog, text)


def question_dialog(prompt: str, collection: str) -> discord.ui.Modal:
    """Return the dialog for a question."""
    dialog = discord.ui.Modal(title="Ask", custom_id=f"{PREFIX}:ask:{prompt}|{collection}")
    text: discord.ui.TextInput[Any] = discord.ui.TextInput(
        label="Question", custom_id="text", style=discord.TextStyle.paragraph, max_length=4_000
    )
    return _unstored(dialog, text)


def typed_text(data: Mapping[str, Any]) -> str:
    """Return what was typed into the field of a dialog."""
    return next((str(part.get("value") or "") for part in _parts(data) if part.get("custom_id") == "text"), "")


def _unstored(dialog: discord.ui.Modal, text: discord.ui.TextInput[Any]) -> discord.ui.Modal:
    dialog.add_item(text)
    dialog.stop()
    return dialog


def _parts(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the fields of a dialog, at any depth."""
    inner: Sequence[Any] = data.get("components") or ([data["component"]] if data.get("component") else ())
    for part in inner:
        yield part
        yield from _parts(part)


def _references(references: Sequence[Reference], limit: int) -> str:
    """Return as many references as fit, one a line, and the number of the others."""
    lines = [f"**[{one.number}]** {_plain(one.title)} · {_plain(one.place)}" for one in references[:MAX_REFERENCES]]
    while len(lines) > 1 and sum(map(width, lines)) + len(lines) > limit:
        lines.pop()
    if len(references) > len(lines):
        lines.append(f"and {len(references) - len(lines)} more")
    return "\n".join(lines)


def _plain(text: str) -> str:
    return shorten(discord.utils.escape_markdown(" ".join(text.split())), 140)
