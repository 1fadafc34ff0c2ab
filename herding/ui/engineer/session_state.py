"""The state of a browser session: the selected prompt, and a draft for every prompt that it opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from markupsafe import Markup

from herding.errors import HerdingError, UserError
from herding.prompts.edits import Edits, apply_edits, extract_template
from herding.prompts.prompt_file import rewrite_text
from herding.prompts.yaml_dump import dump_file
from herding.ui.kit.variable_form import initial_value
from herding.values import Message, Outcome, Parameters, PromptInfo, PromptStats

NO_EDITS = Edits()


@dataclass
class Draft:
    """A session's unsaved work on one prompt, with its last response.

    values, template, parameters: what differs from the saved prompt.
    shows_yaml: the editor shows the full YAML; `whole` is that YAML if it was edited.
    parsed, parsed_text: the prompt last parsed from `whole`, and its text; `parse_error` if it does not parse now.
    base_version: the version that was edited, 0 for a new prompt.
    saved_edits, saved_at: the edits stored on the server, and when (ms); `save_error` if the latest are not.
    conflict: the version that another user saved meanwhile.
    redo_stack: undone edits; `undo_step` is the step shown after an undo.
    revision: counts how often the fields were filled other than by typing.
    """

    values: dict[str, Any] = field(default_factory=dict)
    template: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    shows_yaml: bool = False
    whole: str | None = None
    parsed: PromptInfo | None = None
    parsed_text: str | None = None
    parse_error: HerdingError | None = None
    base_version: int = 0
    loaded: bool = False
    saved_edits: Edits = NO_EDITS
    saved_at: int | None = None
    save_error: HerdingError | None = None
    conflict: int | None = None
    redo_stack: list[Edits] = field(default_factory=list)
    undo_step: int | None = None
    revision: int = 0
    turns: list[Message] = field(default_factory=list)
    chat_id: str = field(default_factory=lambda: uuid4().hex)
    response: str = ""
    outcome: Outcome | None = None
    error: HerdingError | None = None
    stars: int | None = None
    comment: str = ""
    ratings: Markup = field(default_factory=Markup)

    def new_chat(self) -> None:
        """Start a new chat without turns."""
        self.turns, self.chat_id = [], uuid4().hex
        self.clear_response()

    def clear_response(self) -> None:
        """Remove the last response."""
        self.response, self.outcome, self.error, self.stars, self.comment = "", None, None, None, ""
        self.ratings = Markup()

    @property
    def changes_prompt(self) -> bool:
        """True if there is anything to save as a version."""
        return self.template is not None or self.whole is not None or bool(self.parameters)


@dataclass
class SessionState:
    """The state of one session.

    running_id: the id of the running request, empty until it has one, None if none runs.
    form_shape: the kinds of the form's visible fields, None if unknown (the app restarted under an open page).
    field_errors: the errors shown at the form's fields, by variable.
    """

    prompt: PromptInfo | None = None
    drafts: dict[str, Draft] = field(default_factory=dict)
    running_id: str | None = None
    form_shape: tuple[str, ...] | None = ()
    field_errors: dict[str, str] = field(default_factory=dict)

    @property
    def draft(self) -> Draft:
        """The draft of the selected prompt."""
        return self.drafts.setdefault(self.prompt.key if self.prompt else "", Draft())

    @property
    def edited_prompt(self) -> PromptInfo | None:
        """The selected prompt with the edits of its YAML."""
        return (self.draft.parsed or self.prompt) if self.prompt else None

    @property
    def form_key(self) -> str:
        """Identify the content of the form: prompt, view and revision. A late update with another key is ignored."""
        if self.prompt is None:
            return ""
        draft = self.draft
        revision = f"#{draft.revision}" if draft.revision else ""
        return self.prompt.key + ("@whole" if draft.shows_yaml else "") + revision

    @property
    def editor_text(self) -> str:
        """The text in the editor."""
        prompt, draft = self.prompt, self.draft
        if prompt is None:
            return ""
        edited = draft.whole if draft.shows_yaml else draft.template
        return self.saved_text if edited is None else edited

    @property
    def saved_text(self) -> str:
        """The text that the editor shows without edits."""
        if self.prompt is None or (self.draft.shows_yaml and is_unsaved(self.prompt)):
            return ""
        if not self.draft.shows_yaml:
            return self.prompt.body
        return dump_file(self.prompt.content) if self.prompt.text is None else self.prompt.text

    def set_fields(self, values: Mapping[str, Any], text: str, parameters: Mapping[str, Any]) -> None:
        """Store the content of the form in the draft."""
        if self.prompt is None:
            return
        draft = self.draft
        draft.values, draft.parameters = dict(values), dict(parameters)
        edited = text if is_edited(text, self.saved_text) else None
        draft.template, draft.whole = (None, edited) if draft.shows_yaml else (edited, None)

    def edits(self) -> Edits:
        """Return what differs from the saved prompt."""
        draft, prompt = self.draft, self.edited_prompt
        variables = prompt.variables if prompt else {}
        values = {
            name: value
            for name, value in draft.values.items()
            if name not in variables or value != initial_value(variables[name])
        }
        parameters = dict(draft.parameters)
        if "stop" in parameters:
            parameters["stop"] = parse_stops(parameters["stop"])
        return Edits(values, draft.template, parameters, draft.whole)

    def switch_view(self, *, whole: bool) -> None:
        """Show the full YAML or only the template, with the edits so far.

        UserError if the YAML does not parse, or if more than the template is edited.
        """
        draft, prompt, edits = self.draft, self.prompt, self.edits()
        if prompt is None or draft.shows_yaml == whole:
            return
        if whole:
            text = full_yaml(prompt, apply_edits(prompt.key, prompt.content, edits)) if edits.changes_prompt else None
            self.apply(Edits(edits.variables, whole=text))
        else:
            template = None if edits.whole is None else extract_template(prompt.key, prompt.content, edits.whole)
            if template is None and edits.whole is not None:
                message = "More than the template is edited. Save or revert the YAML first."
                raise UserError(message, param="whole")
            self.apply(Edits(edits.variables, template, edits.parameters))
        draft.shows_yaml = whole

    def apply(self, edits: Edits) -> None:
        """Replace the edits of the draft."""
        draft, prompt = self.draft, self.prompt
        if prompt is None:
            return
        draft.values, draft.parameters = dict(edits.variables), dict(edits.parameters)
        if "stop" in draft.parameters:
            draft.parameters["stop"] = format_stops(draft.parameters["stop"])
        draft.shows_yaml = edits.whole is not None or is_unsaved(prompt)
        draft.template = draft.whole = None
        text = edits.whole if draft.shows_yaml else edits.template
        self.set_fields(draft.values, self.saved_text if text is None else text, draft.parameters)
        draft.revision += 1

    def clear_edits(self) -> None:
        """Remove the edits from the session; `SessionDrafts.load` brings back those on the server."""
        draft = self.draft
        draft.values, draft.template, draft.parameters, draft.whole = {}, None, {}, None
        draft.parsed = draft.parsed_text = draft.parse_error = None
        draft.saved_edits, draft.saved_at, draft.save_error, draft.loaded = NO_EDITS, None, None, False
        draft.redo_stack, draft.undo_step, draft.conflict = [], None, None
        draft.revision += 1
        if self.prompt:
            draft.base_version = self.prompt.version


def full_yaml(prompt: PromptInfo, data: Mapping[str, Any]) -> str:
    """Return `data` as the full YAML of a prompt, with the comments of its file."""
    return dump_file(data) if prompt.text is None else rewrite_text(prompt.key, prompt.text, data)


def is_edited(text: str, saved: str) -> bool:
    """Return True if `text` differs from `saved`; line ends and trailing space do not count."""
    return text.replace("\r\n", "\n").rstrip() != saved.rstrip()


def is_unsaved(prompt: PromptInfo) -> bool:
    """Return True for a new prompt without a saved version."""
    return not prompt.content


def new_prompt(key: str) -> PromptInfo:
    """Return an empty prompt without a saved version."""
    return PromptInfo(
        key=key,
        name=key,
        description="",
        tags=(),
        label="dev",
        chat=False,
        body="",
        target_models=(),
        variables={},
        checks={},
        served={},
        parameters=Parameters(),
        stats=PromptStats(),
    )


def reference(prompt: PromptInfo) -> str:
    """Return the reference to this version: the key alone for the live one, else `key@version`."""
    live = prompt.labels.get("prod", prompt.newest)
    return prompt.key if prompt.version in (0, live) else f"{prompt.key}@{prompt.version}"


def parse_stops(lines: str) -> list[str]:
    """Return the stop sequences of a field: one per line, with \\n for a line break."""
    return [line.replace("\\n", "\n") for line in str(lines).splitlines() if line]


def format_stops(stops: Any) -> str:
    """Return stop sequences as the text of a field."""
    return "\n".join(stop.replace("\n", "\\n") for stop in stops)
