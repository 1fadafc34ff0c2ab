"""The form of the tab: the edited prompt, the values of its variables, and the selected model.

The fields of `<form id="engineer-form">`:

key, base_version           the prompt, and the version that is edited (0: a new prompt)
way                         `form`, or `yaml` if the full YAML is edited
yaml                        the full YAML; with the way `form`, the one that the other fields were made from
yaml_saved                  `on` if that is the saved version's, whose file may hold another version by now
part                        the parts of the prompt that the form holds: about, body, variables, steps, parameters,
                            checks, targets; all others stay as they are
messages.<n>.role, .content the messages, in the order of the page; `prompt_text` for a raw text
variants.<n>.…              the same for a variant, with `name` and `when`, and `was`: its number in the YAML above,
                            empty for a new one; `variants_shown` is `on` if the form holds them all
def.<name>.…                the definition of a variable
var.<name>                  its value
param.<name>, check.<name>  the parameters and the checks
retrieval.rerank            the reranker of the retrieval, empty for none
target                      the target models
model                       the model to run, empty for automatic routing
message                     the next message of a chat
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herding.access.operations import EDIT, SAVE
from herding.errors import HerdingError, NotFoundError, UserError, VariableError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import NUMBERS, Edits
from herding.prompts.parameters import check_parameters
from herding.prompts.yaml_dump import dump_file
from herding.ui.engineer.form_data import apply_form, body_of, normalized, parse_data, read_apart, to_text
from herding.ui.kit.variables import initial_value
from herding.ui.kit.views import Call
from herding.values import Message, Parameters, Principal, PromptInfo, PromptStats, Request


@dataclass(frozen=True, slots=True)
class EditedPrompt:
    """A prompt as the page shows it.

    saved: the version that is edited; one with the number 0 for a new prompt.
    prompt: the prompt with the edits, or `saved` while they have an error.
    text: the full YAML with the edits, and `data` what it holds (None if it is not YAML).
    edits: what differs from the saved version, and the values.
    values: the typed values of the variables.
    way: `form` or `yaml`, as the page shows the prompt.
    error: why the edited prompt cannot run or be saved.
    """

    saved: PromptInfo
    prompt: PromptInfo
    text: str
    data: Mapping[str, Any] | None
    edits: Edits
    values: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    message: str = ""
    way: str = "form"
    error: HerdingError | None = None

    @property
    def key(self) -> str:
        """The key of the prompt."""
        return self.saved.key

    @property
    def base(self) -> int:
        """The number of the version that is edited, 0 for a new prompt."""
        return self.saved.version

    @property
    def changed(self) -> bool:
        """True if the prompt differs from the saved version."""
        return self.edits.changes_prompt

    @property
    def new(self) -> bool:
        """True if no version of the prompt is saved."""
        return is_unsaved(self.saved)


async def read_form(call: Call, orchestrator: Orchestrator) -> EditedPrompt:
    """Return the edited prompt of a form. Raises NotFoundError if the prompt, or the version edited, is gone.

    A mistake in the edits is not raised: it is `EditedPrompt.error`.
    """
    key, base, who = call.text("key"), call.whole("base_version"), call.principal
    if not key:
        raise NotFoundError("No prompt is selected. Create a prompt or select one.", param="prompt")
    saved = await saved_version(key, base, who, orchestrator)
    way, given = call.text("way", "form"), normalized(call.text("yaml"))
    if way == "form":
        text, data = await read_apart(given, lambda: _text_and_data(call, saved, given))
    else:
        text, data = given, await read_apart(given, lambda: parse_data(key, given))
    unchanged = call.text("yaml_saved") == "on" or not is_edited(given, full_text(saved))
    edits = edits_of(saved, text, data, typed=way == "yaml", same_text=unchanged, who=who)
    prompt, error = await check_edits(saved, edits, text, who, orchestrator)
    values = read_values(call, prompt)
    kept = {
        name: value
        for name, value in values.items()
        if name not in prompt.variables or value != initial_value(prompt.variables[name])
    }
    return EditedPrompt(
        saved=saved,
        prompt=prompt,
        text=text,
        data=data,
        edits=Edits(kept, edits.template, edits.parameters, edits.whole),
        values=values,
        model=call.text("model"),
        message=call.text("message"),
        way=way,
        error=error,
    )


def run_request(
    edited: EditedPrompt,
    *,
    turns: Sequence[Message] = (),
    session_id: str | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Request:
    """Return the request that runs the edited prompt; raise its error if it has one.

    Only what differs from the saved version goes with it. `turns` and `session_id` are those of a chat; `variables`
    replace the typed values.
    """
    if edited.error is not None:
        raise edited.error
    prompt, edits = edited.prompt, edited.edits
    values = edits.variables if variables is None else variables
    return Request(
        prompt=reference(edited.saved),
        variables={name: value for name, value in values.items() if name in prompt.variables},
        model=edited.model or None,
        parameters=Parameters.of(edits.parameters),
        turns=tuple(turns) if prompt.chat else (),
        template=edits.template,
        whole=edits.whole,
        session_id=session_id if prompt.chat else None,
    )


def read_values(call: Call, prompt: PromptInfo) -> dict[str, Any]:
    """Return the typed values by variable; a checkbox that is not checked is False."""
    values: dict[str, Any] = {}
    for name, variable in prompt.variables.items():
        shown = call.text(f"var.{name}.shown") == "on"
        if variable["type"] == "boolean":
            if shown or f"var.{name}" in call.form:
                values[name] = call.text(f"var.{name}") in ("on", "true")
        elif f"var.{name}" in call.form:
            values[name] = normalized(call.text(f"var.{name}"))
    return values


def edits_of(
    saved: PromptInfo,
    text: str,
    data: Mapping[str, Any] | None,
    *,
    typed: bool,
    same_text: bool,
    who: Principal,
) -> Edits:
    """Return the edits that turn `saved` into `text`, which holds `data`, in the smallest form.

    typed: the text was typed as YAML; same_text: the YAML that the page began with is that of the saved version.
    """
    if is_unsaved(saved):
        return Edits(whole=text) if SAVE in who.rights else Edits()
    if data is not None and (same_text or not typed):
        if same_text and data == saved.content:
            return Edits()
        if same_text and (small := _small_edits(saved.content, data)) is not None:
            return small
        if SAVE not in who.rights:
            return _allowed_edits(saved.content, data, who)
    if not is_edited(text, full_text(saved)):
        return Edits()
    return Edits(whole=text)


def _small_edits(saved: Mapping[str, Any], data: Mapping[str, Any]) -> Edits | None:
    """Return edits of the texts and of common parameters, or None if more differs."""
    if _others(saved) != _others(data):
        return None
    old, new = saved.get("parameters") or {}, data.get("parameters") or {}
    if any(name not in new for name in old):
        return None
    changed = {name: value for name, value in new.items() if value != old.get(name)}
    if not all(_is_storable(name, value) for name, value in changed.items()):
        return None
    body = body_of(data)
    template = None if body == body_of(saved) else dump_file(body)
    return Edits(template=template, parameters=changed)


def _allowed_edits(saved: Mapping[str, Any], data: Mapping[str, Any], who: Principal) -> Edits:
    """Return those edits that a role without the right to save may make."""
    body, old = body_of(data), saved.get("parameters") or {}
    changed = (data.get("parameters") or {}).items()
    parameters = {name: value for name, value in changed if value != old.get(name) and _is_storable(name, value)}
    template = dump_file(body) if EDIT in who.rights and body != body_of(saved) else None
    return Edits(template=template, parameters=parameters)


def _is_storable(name: str, value: Any) -> bool:
    if name == "stop":
        return isinstance(value, list)
    return name in NUMBERS and isinstance(value, int | float) and not isinstance(value, bool)


def _others(data: Mapping[str, Any]) -> dict[str, Any]:
    body = body_of(data)
    return {name: value for name, value in data.items() if name not in body and name != "parameters"}


async def check_edits(
    saved: PromptInfo, edits: Edits, text: str, who: Principal, orchestrator: Orchestrator
) -> tuple[PromptInfo, HerdingError | None]:
    """Return the prompt with its edits, or the saved one and the error of the edits."""
    if not edits.changes_prompt:
        return saved, UserError("This prompt is empty. Add a message first.") if is_unsaved(saved) else None
    try:
        if SAVE in who.rights:
            return await orchestrator.prompts.sketch(saved.key, text, who), None
        check_parameters(Parameters.of(edits.parameters))
        if edits.template is None:
            return saved, None
        values = {name: variable.get("default") or "x" for name, variable in saved.variables.items()}
        request = Request(prompt=reference(saved), variables=values, template=edits.template)
        await orchestrator.pipeline.preview(request, who)
    except HerdingError as error:
        is_of_values = isinstance(error, VariableError)
        return saved, None if is_of_values else error
    return saved, None


def _text_and_data(call: Call, saved: PromptInfo, given: str) -> tuple[str, dict[str, Any] | None]:
    """Return the YAML and the data of a form that was made from the YAML `given`."""
    data = _data_of_form(call, saved, given)
    return given if data is None else _text_of(saved, given, data), data


def _data_of_form(call: Call, saved: PromptInfo, given: str) -> dict[str, Any] | None:
    base = parse_data(saved.key, given) if given.strip() else dict(saved.content)
    return None if base is None else apply_form(base, call.form)


def _text_of(saved: PromptInfo, given: str, data: Mapping[str, Any]) -> str:
    """Return the full YAML of `data`, with the comments of the YAML that the form was made from."""
    base = parse_data(saved.key, given) if given.strip() else None
    return given if base is not None and base == data else to_text(saved.key, given or full_text(saved), data)


async def saved_version(key: str, number: int, who: Principal, orchestrator: Orchestrator) -> PromptInfo:
    """Return a version of a prompt, or an empty prompt for the number 0 if there is none yet."""
    if number:
        return await orchestrator.prompts.get(f"{key}@{number}", who)
    try:
        return await orchestrator.prompts.get(key, who)
    except NotFoundError:
        if SAVE not in who.rights:
            raise
        return new_prompt(key)


def full_text(prompt: PromptInfo) -> str:
    """Return the full YAML of a saved version, with the comments of its file where that holds this version."""
    if is_unsaved(prompt):
        return ""
    return dump_file(prompt.content) if prompt.text is None else normalized(prompt.text)


def is_edited(text: str, saved: str) -> bool:
    """Return whether `text` differs from `saved`; line ends and trailing space do not count."""
    return normalized(text).rstrip() != saved.rstrip()


def is_unsaved(prompt: PromptInfo) -> bool:
    """Return whether a prompt is new, without a saved version."""
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
    """Return the reference to a version: the key alone for the live one, else `key@version`."""
    live = prompt.labels.get("prod", prompt.newest)
    return prompt.key if prompt.version in (0, live) else f"{prompt.key}@{prompt.version}"
