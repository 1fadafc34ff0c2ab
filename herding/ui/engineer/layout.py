"""The layout of the tab, and the pieces of it that change while somebody types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from herding.access.operations import EDIT, SAVE
from herding.prompts.variables import MAX_TEXT
from herding.ui.engineer import messages, retrieved, saving, settings, variables, variants
from herding.ui.engineer.edited import StoredDraft
from herding.ui.engineer.form import EditedPrompt, full_text
from herding.ui.engineer.models import ModelChoice, model_picker
from herding.ui.engineer.starters import COPY, STARTERS
from herding.ui.engineer.step_data import has_text
from herding.ui.engineer.steps import steps_section
from herding.ui.kit import prompt_text
from herding.ui.kit.fields import button, hidden_field, select_field, text_field
from herding.ui.kit.format import el, empty_state, join
from herding.ui.kit.links import tab_address
from herding.ui.kit.yaml_field import yaml_field
from herding.values import Principal, PromptInfo

FORM = "engineer-form"
NO_DRAFT = StoredDraft()
NOTHING = Markup()
NO_PROMPTS = empty_state("No prompts yet", "Create one with New prompt, or add a YAML file to the prompts folder.")


@dataclass(frozen=True, slots=True)
class Shown:
    """An edited prompt as the form shows it.

    errors: by field; `problem` is one that belongs to no field.
    preview_head, preview: the rendered input in a line and as a whole; `variant` is the one of the values.
    rerankers: the models that can order what is retrieved.
    others: the other users who edit the prompt now.
    undo_step: the step of the draft that is shown after an undo, else 0; `redo` are undone edits as JSON.
    """

    edited: EditedPrompt
    draft: StoredDraft = NO_DRAFT
    models: Sequence[ModelChoice] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    preview_head: Markup = NOTHING
    preview: Markup = NOTHING
    variant: str = ""
    rerankers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    undo_step: int = 0
    redo: tuple[str, ...] = ()


def form(shown: Shown, who: Principal, *, run: Markup, result: Markup | None = None) -> Markup:
    """Return the form with all that is typed; `run` are the buttons of a run, `result` that of a save."""
    edited = shown.edited
    picker = el("div", model_picker(edited.prompt, edited.model, shown.models, who), cls="engineer-model-box")
    bar = el("div", run, picker, cls="engineer-bar", role="group", aria_label="Run")
    editor = el("div", *_editor(shown, who, result=result), cls="engineer-editor")
    return el(
        "form",
        *_hidden(shown),
        bar,
        editor,
        id=FORM,
        cls="engineer-form",
        data_module="engineer",
        data_errors=json.dumps(dict(shown.errors)),
        data_unused=json.dumps(messages.unused(edited.data or {})),
        autocomplete="off",
        novalidate="",
    )


def _hidden(shown: Shown) -> list[Markup]:
    edited = shown.edited
    fields = {"key": edited.key, "base_version": str(edited.base), "way": edited.way, "undo_step": str(shown.undo_step)}
    fields["draft_revision"] = shown.draft.revision
    hidden = [hidden_field(name, value) for name, value in fields.items()]
    return [*hidden, *(hidden_field("redo", step) for step in shown.redo)]


def _editor(shown: Shown, who: Principal, *, result: Markup | None) -> list[Markup | None]:
    edited = shown.edited
    can_edit, can_define = EDIT in who.rights, SAVE in who.rights
    editing = (
        _yaml_part(edited) if edited.way == "yaml" else _form_part(shown, can_edit=can_edit, can_define=can_define)
    )
    marks = {name: el("div", html, id=name) for name, html in pieces_of(shown, who).items()}
    buttons = saving.draft_buttons(
        edited,
        who,
        has_draft=shown.draft.saved_at is not None,
        can_redo=bool(shown.redo),
        way=_way_button(edited) if can_define else None,
    )
    draft = el(
        "div",
        el("div", marks["draft-state"], buttons, cls="engineer-draft-line"),
        saving.save_bar(edited, who, result=result),
        id="draft-section",
        cls="engineer-draft",
    )
    preview = el(
        "details",
        el("summary", el("h2", "Preview"), marks["engineer-preview-head"]),
        marks["engineer-preview"],
        id="engineer-preview-section",
        cls="engineer-section",
    )
    return [draft, marks["engineer-others"], marks["engineer-problem"], editing, preview]


def pieces_of(shown: Shown, who: Principal) -> dict[str, Markup]:
    """Return the pieces of the form that change while somebody types, by their ids."""
    edited = shown.edited
    problem = el("p", shown.problem, cls="wrong", role="alert") if shown.problem else Markup()
    return {
        "engineer-others": saving.editors_note(shown.others),
        "engineer-problem": problem,
        "engineer-preview-head": shown.preview_head,
        "engineer-preview": shown.preview,
        "draft-state": saving.draft_line(edited, shown.draft, who),
    }


def _form_part(shown: Shown, *, can_edit: bool, can_define: bool) -> Markup:
    edited = shown.edited
    data: Mapping[str, Any] = edited.data or {}
    definitions = data.get("variables") or {}
    known = edited.prompt.variables if edited.error is None else shown_variables(edited)
    cards = variables.variable_cards(
        known, edited.values, definitions=definitions, can_define=can_define, retrieval=data.get("retrieval")
    )
    own, is_saved = full_text(edited.saved), edited.edits.whole is None
    own_text = has_text(data)
    parts = [name for name, there in (("body", can_edit and own_text), ("variables", can_define)) if there]
    return join(
        [
            *(hidden_field("part", name) for name in parts),
            el("textarea", f"\n{own if is_saved else edited.text}", name="yaml", hidden="", aria_label="YAML"),
            hidden_field("yaml_saved") if is_saved else None,
            steps_section(data, can_define=can_define),
            el("section", el("h2", "Messages" if not data.get("prompt") else "Prompt"),
               variants.body(data, can_edit=can_edit, chosen=shown.variant), id="messages", cls="engineer-section")
            if own_text else None,
            el("section", el("h2", "Variables"), cards, id="variables-section", cls="engineer-section"),
            retrieved.section(edited, rerankers=shown.rerankers if can_define else None),
            settings.parameters(data.get("parameters") or {}, can_edit_all=can_define) if own_text else None,
            settings.checks(data.get("checks") or {}) if can_define and own_text else None,
            settings.details(data) if can_define else None,
            messages.block_template() if can_edit else None,
            variants.variant_template(data) if can_edit else None,
            settings.target_template() if can_define else None,
        ]
    )  # fmt: skip


def shown_variables(edited: EditedPrompt) -> dict[str, dict[str, Any]]:
    """Return the variables of a prompt with errors, as far as its data tells."""
    found: dict[str, dict[str, Any]] = {}
    for name, variable in ((edited.data or {}).get("variables") or {}).items():
        kind = str(variable.get("type") or "text")
        known = kind in (value for _, value in variables.TYPES)
        choices = [str(choice) for choice in variable.get("choices") or ()]
        found[name] = {**variable, "type": kind if known else "text", "choices": choices}
        if not isinstance(variable.get("max_chars"), int):
            found[name]["max_chars"] = MAX_TEXT
    return found


def _yaml_part(edited: EditedPrompt) -> Markup:
    label = el("label", el("h2", "YAML"), for_="engineer-yaml")
    field = yaml_field(edited.text, "yaml", id="engineer-yaml", errors="[data-error=yaml]")
    values = variables.variable_cards(edited.prompt.variables, edited.values, definitions=None, can_define=False)
    return join(
        [
            el("section", label, messages.error_slot("yaml"), field,
               id="yaml-section", cls="engineer-section"),
            el("section", el("h2", "Variables"), values, id="variables-section", cls="engineer-section"),
            retrieved.section(edited),
        ]
    )  # fmt: skip


def _way_button(edited: EditedPrompt) -> Markup:
    to_form = edited.way == "yaml"
    label, way = ("Edit as form", "form") if to_form else ("Edit full YAML", "yaml")
    return button(label, kind="quiet", id="engineer-way", **saving.action("way", hx_vals=json.dumps({"to": way})))


def head(
    prompt: PromptInfo | None,
    who: Principal,
    *,
    new: bool = False,
    note: Markup | None = None,
    starter: str = "",
) -> Markup:
    """Return the picker of prompts, the button for a new one, and what the selected prompt is."""
    name = prompt.name if prompt else "No prompt"
    key = el("span", prompt.key, cls="muted") if prompt and prompt.key != prompt.name else None
    chosen = el(
        "button",
        el("span", el("strong", name), " ", key, cls="one-line"),
        el("span", "▾", aria_hidden="true"),
        type="button",
        id="prompt-picker",
        popovertarget="engineer-prompts",
        aria_label=f"Prompt: {name}. Select another prompt",
        cls="input engineer-picker",
    )
    search = text_field(
        "Search prompts",
        "q",
        "",
        kind="search",
        hidden_label=True,
        placeholder="Search by name, ID, tag or text",
        id="engineer-prompts-q",
        hx_get="ui/engineer/prompts",
        hx_target="#engineer-prompts-list",
        hx_trigger="input delay:150ms, opened",
        hx_sync="this:replace",
    )
    menu = el(
        "div",
        search,
        el("div", id="engineer-prompts-list", role="status"),
        id="engineer-prompts",
        popover="auto",
        cls="engineer-menu",
        data_module="engineer_menu",
    )
    create = new_prompt_form(starter) if SAVE in who.rights else None
    about = prompt_text.summary(prompt, new=new) if prompt else NO_PROMPTS
    return el(
        "header",
        el("div", chosen, menu, create, cls="engineer-pick"),
        note,
        el("div", about, id="prompt-about"),
        cls="engineer-head",
    )


def prompt_links(found: Sequence[tuple[str, str, str]], *, more: int) -> Markup:
    """Return links to prompts: triples of the key, the name and a mark such as `Not saved`."""
    rows = [
        el("li", el("a", el("span", name), el("small", key if key != name else "", " ", mark, cls="muted"),
                    href=tab_address("engineer", prompt=key)))
        for key, name, mark in found
    ]  # fmt: skip
    rest = el("p", f"{more:,} more. Type to search.", cls="muted") if more > 0 else None
    return join([el("ul", *rows) if rows else el("p", "No matching prompts", cls="muted"), rest])


def new_prompt_form(starter: str = "") -> Markup:
    """Return the button "New prompt" with the form that asks for its ID, name and template."""
    opens = button("New prompt", id="new-prompt", popovertarget="engineer-new")
    inner = el("div", new_prompt_fields(starter), id="engineer-new-form")
    menu = el("div", inner, id="engineer-new", popover="auto", cls="engineer-menu", data_module="engineer_menu",
              data_open="" if starter else None)  # fmt: skip
    return join([opens, menu])


def new_prompt_fields(starter: str = "", *, key: str = "", name: str = "", error: str = "") -> Markup:
    """Return the form of a new prompt, with the error of its ID."""
    options = [(f"{found.label} · {found.about}", value) for value, found in STARTERS.items()]
    if starter.startswith(COPY):
        options.insert(0, (f"Copy of {starter.removeprefix(COPY)}", starter))
    return el(
        "form",
        el("h2", "New prompt"),
        text_field("Prompt ID", "new_key", key, id="new-prompt-key", error=error, maxlength="200", required="",
                   info="Letters, digits, _ - . and / for folders, for example mail/short_answer"),
        text_field("Name (optional)", "new_name", name, id="new-prompt-name", maxlength="200"),
        select_field("Template", "starter", options, starter or "empty", id="new-prompt-starter"),
        el("div", button("Create", kind="primary", submit=True, id="new-prompt-start"),
           button("Cancel", popovertarget="engineer-new", popovertargetaction="hide"), cls="answers"),
        hx_post="ui/engineer/new",
        hx_target="#engineer-new-form",
        hx_swap="innerHTML",
        cls="engineer-new-fields",
    )  # fmt: skip


def page(head_part: Markup, form_part: Markup, response: Markup) -> Markup:
    """Return the whole tab."""
    return el("div", head_part, form_part, response, cls="engineer")
