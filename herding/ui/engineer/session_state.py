"""What a browser session has on its desk: the chosen prompt, and the unsaved edits of every prompt it looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from herding.errors import HerdingError, UserError
from herding.prompts.edits import Edits, apply_edits, extract_template
from herding.prompts.prompt_file import rewrite_text
from herding.prompts.yaml_dump import dump_file
from herding.ui.kit.variable_form import initial_value
from herding.values import Message, Outcome, Parameters, PromptInfo, PromptStats

NOTHING = Edits()


@dataclass
class Draft:
    """A session's work on one prompt: edits differ from the prompt's own; `turns` and `chat` are its chat so far.

    With `as_whole` the editor shows all of the prompt as YAML; `whole` is that where it is edited, `sketch` the prompt
    that it last made, and `wrong` why it makes none now. `base` is the version that was edited.

    `kept` is what the server keeps of the edits, and since when; `trouble` is why it does not keep the latest; `clash`
    is the version that somebody else saved meanwhile. `undone` are the edits that can be done again, `step` is the step
    that is shown after an undo. `turned` counts how often the fields were filled by anything but typing.
    """

    values: dict[str, Any] = field(default_factory=dict)
    template: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    as_whole: bool = False
    whole: str | None = None
    sketch: PromptInfo | None = None
    sketched: str | None = None
    wrong: HerdingError | None = None
    base: int = 0
    loaded: bool = False
    kept: Edits = NOTHING
    kept_at: int | None = None
    trouble: HerdingError | None = None
    clash: int | None = None
    undone: list[Edits] = field(default_factory=list)
    step: int | None = None
    turned: int = 0
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

    @property
    def changes_prompt(self) -> bool:
        """Whether there is something to save."""
        return self.template is not None or self.whole is not None or bool(self.parameters)


@dataclass
class SessionState:
    """The state of one session.

    `running` is the id of its running request, empty until it has one; `shape` is what the form looks like
    now, None where nobody knows (the app was started anew under an open page). `faults` are what the form says is
    wrong with its fields.
    """

    prompt: PromptInfo | None = None
    drafts: dict[str, Draft] = field(default_factory=dict)
    running: str | None = None
    shape: tuple[str, ...] | None = ()
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def draft(self) -> Draft:
        """The draft of the chosen prompt."""
        return self.drafts.setdefault(self.prompt.key if self.prompt else "", Draft())

    @property
    def shown(self) -> PromptInfo | None:
        """The chosen prompt as it is written now."""
        return (self.draft.sketch or self.prompt) if self.prompt else None

    @property
    def owner(self) -> str:
        """What tells whose edits a browser sends: the prompt, what the editor shows of it, and since which filling."""
        if self.prompt is None:
            return ""
        draft = self.draft
        return self.prompt.key + ("@whole" if draft.as_whole else "") + (f"#{draft.turned}" if draft.turned else "")

    @property
    def text(self) -> str:
        """What the editor shows."""
        prompt, draft = self.prompt, self.draft
        if prompt is None:
            return ""
        edited = draft.whole if draft.as_whole else draft.template
        return self.own_text if edited is None else edited

    @property
    def own_text(self) -> str:
        """What the editor would show without edits."""
        if self.prompt is None or (self.draft.as_whole and is_new(self.prompt)):
            return ""
        if not self.draft.as_whole:
            return self.prompt.body
        return dump_file(self.prompt.content) if self.prompt.text is None else self.prompt.text

    def keep(self, values: Mapping[str, Any], text: str, parameters: Mapping[str, Any]) -> None:
        """Remember what the form holds of the chosen prompt."""
        if self.prompt is None:
            return
        draft = self.draft
        draft.values = dict(values)
        draft.parameters = dict(parameters)
        found = text if is_edited(text, self.own_text) else None
        draft.template, draft.whole = (None, found) if draft.as_whole else (found, None)

    def edits(self) -> Edits:
        """What differs from the chosen prompt."""
        draft, shown = self.draft, self.shown
        variables = shown.variables if shown else {}
        given = {
            name: v for name, v in draft.values.items() if name not in variables or v != initial_value(variables[name])
        }
        numbers = {name: held for name, held in draft.parameters.items() if name != "stop"}
        stop = {"stop": stops(draft.parameters["stop"])} if "stop" in draft.parameters else {}
        return Edits(given, draft.template, numbers | stop, draft.whole)

    def turn(self, *, whole: bool) -> None:
        """Show all of the prompt as YAML, or its template alone, with the edits so far.

        UserError where these are no prompt now, or where a template is not all that is edited.
        """
        draft, prompt, now = self.draft, self.prompt, self.edits()
        if prompt is None or draft.as_whole == whole:
            return
        if whole:
            text = whole_of(prompt, apply_edits(prompt.key, prompt.content, now)) if now.changes_prompt else None
            self.take(Edits(now.variables, whole=text))
        else:
            template = None if now.whole is None else extract_template(prompt.key, prompt.content, now.whole)
            if template is None and now.whole is not None:
                message = "More than the text is edited. Save it or revert it first, or go on with the whole prompt."
                raise UserError(message, param="whole")
            self.take(Edits(now.variables, template, now.parameters))
        draft.as_whole = whole

    def take(self, edits: Edits) -> None:
        """Put edits on the desk, in the place of those that are there."""
        draft, prompt = self.draft, self.prompt
        if prompt is None:
            return
        draft.values, draft.parameters = dict(edits.variables), dict(edits.parameters)
        if "stop" in draft.parameters:
            draft.parameters["stop"] = stop_lines(draft.parameters["stop"])
        draft.as_whole = edits.whole is not None or is_new(prompt)
        draft.template = draft.whole = None
        text = edits.whole if draft.as_whole else edits.template
        self.keep(draft.values, self.own_text if text is None else text, draft.parameters)
        draft.turned += 1


def whole_of(prompt: PromptInfo, data: Mapping[str, Any]) -> str:
    """All of a prompt as YAML, with the comments of its file."""
    return dump_file(data) if prompt.text is None else rewrite_text(prompt.key, prompt.text, data)


def is_edited(text: str, own: str) -> bool:
    """Whether an editor's text differs from the prompt's own; line ends and space at the end do not count."""
    return text.replace("\r\n", "\n").rstrip() != own.rstrip()


def is_new(prompt: PromptInfo) -> bool:
    """Whether a prompt is not saved yet."""
    return not prompt.content


def blank(key: str) -> PromptInfo:
    """A prompt that is not saved yet, of which nothing is known."""
    known: dict[str, Any] = {"name": key, "description": "", "tags": (), "label": "dev", "chat": False, "body": ""}
    plain: dict[str, Any] = {"target_models": (), "variables": {}, "checks": {}, "served": {}}
    return PromptInfo(key=key, **known, **plain, parameters=Parameters(), stats=PromptStats())


def reference(prompt: PromptInfo) -> str:
    """What a run of this version asks for: the key alone where that means it."""
    served = prompt.labels.get("prod", prompt.newest)
    return prompt.key if prompt.version in (0, served) else f"{prompt.key}@{prompt.version}"


def stops(lines: str) -> list[str]:
    """The stop texts that a field holds, one a line, with \\n for a line break."""
    return [line.replace("\\n", "\n") for line in str(lines).splitlines() if line]


def stop_lines(texts: Any) -> str:
    """Stop texts as a field holds them."""
    return "\n".join(text.replace("\n", "\\n") for text in texts)
