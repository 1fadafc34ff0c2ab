"""What a browser session has on its desk: the chosen prompt, and the unsaved edits of every prompt it looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from herding.errors import HerdingError
from herding.values import Message, Outcome, PromptInfo


@dataclass
class Draft:
    """A session's work on one prompt: edits differ from the prompt's own; `turns` and `chat` are its chat so far."""

    values: dict[str, Any] = field(default_factory=dict)
    template: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    turns: list[Message] = field(default_factory=list)
    chat: str = field(default_factory=lambda: uuid4().hex)
    answer: str = ""
    outcome: Outcome | None = None
    problem: HerdingError | None = None
    stars: int | None = None
    comment: str = ""

    def new_chat(self) -> None:
        """Forget the chat and its last answer."""
        self.turns, self.chat = [], uuid4().hex
        self.clear()

    def clear(self) -> None:
        """Forget the last answer."""
        self.answer, self.outcome, self.problem, self.stars, self.comment = "", None, None, None, ""


@dataclass
class Desk:
    """The state of one session.

    `running` is the id of its running request, empty until it has one; `shape` is what the form looks like
    now, None where nobody knows (the app was started anew under an open page).
    """

    prompt: PromptInfo | None = None
    drafts: dict[str, Draft] = field(default_factory=dict)
    running: str | None = None
    shape: tuple[str, ...] | None = ()

    @property
    def draft(self) -> Draft:
        """The draft of the chosen prompt."""
        return self.drafts.setdefault(self.prompt.key if self.prompt else "", Draft())

    def keep(self, values: Mapping[str, Any], template: str, parameters: Mapping[str, Any]) -> None:
        """Remember what the form holds of the chosen prompt."""
        if self.prompt is None:
            return
        draft = self.draft
        draft.values = dict(values)
        draft.parameters = dict(parameters)
        draft.template = template if is_edited(template, self.prompt) else None


def is_edited(template: str, prompt: PromptInfo) -> bool:
    """Whether an editor's text differs from the prompt's own; line ends and space at the end do not count."""
    return template.replace("\r\n", "\n").rstrip() != prompt.body.rstrip()
