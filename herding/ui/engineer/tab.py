"""The tab "Prompt engineer": select or create a prompt, edit it, run it, rate the response, save it.

Everything that is typed is in one form, `#engineer-form`; the response stands beside it, and its fields name the form.
The address has `prompt` (a key), `model`, `request` (an entry of the history to open with all that it ran with) and
`new` (a template for a new prompt).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup
from starlette.responses import JSONResponse, Response

from herding.access.operations import EDIT, HISTORY, PROMPTS, PUBLISH, RUN, SAVE
from herding.errors import HerdingError, NotFoundError, UserError, VersionConflictError
from herding.prompts.edits import Edits, load_edits
from herding.studio.drafts import DisplayedEdits
from herding.ui.engineer import layout, models, saving
from herding.ui.engineer.edited import (
    NO_EDITS,
    StoredDraft,
    editable,
    open_draft,
    step_before,
    store,
    typed,
    unsaved_keys,
    with_edits,
)
from herding.ui.engineer.errors import find_errors
from herding.ui.engineer.form import EditedPrompt, read_form
from herding.ui.engineer.form_data import declared, used_names
from herding.ui.engineer.layout import Shown
from herding.ui.engineer.messages import unused
from herding.ui.engineer.preview import preview
from herding.ui.engineer.retrieved import RetrievedRoutes
from herding.ui.engineer.run import RunRoutes, response_section, run_buttons
from herding.ui.engineer.starters import name_from_key, starter_text
from herding.ui.engineer.variables import card, control, shape
from herding.ui.kit import prompt_text
from herding.ui.kit.format import el, join, panel
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.ui.overview.search import SearchQuery, find
from herding.values import Principal, PromptInfo

MAX_REDO = 20
PICKED = 30
"""Prompts that the picker lists at once."""


class EngineerTab(RunRoutes, RetrievedRoutes, View):
    """The routes of the editor."""

    key = "engineer"
    label = "Prompt engineer"
    rights = frozenset({RUN, PROMPTS})

    @fragment("GET", "", RUN)
    async def open(self, call: Call) -> Reply:
        """Return the whole tab for the prompt that the address names, else for the first prompt."""
        who, key = call.principal, call.text("prompt")
        prompts = await self._orchestrator.prompts.list_all(who)
        errors = prompt_text.load_errors(await self._orchestrator.prompts.broken(who))
        note: Markup | None = None
        address = {"prompt": key, "request": "", "new": ""}
        if request_id := call.text("request"):
            key, note = await self._open_request(request_id, who)
        saved = await editable(key, who, self._orchestrator) if key else None
        if saved is None and key:
            note = prompt_text.not_opened(key, exists=False, running=False)
        if saved is None:
            first = next((prompt.key for prompt in prompts), None) or next(iter(await self._unsaved(who)), None)
            saved = await editable(first, who, self._orchestrator) if first else None
        notes = join([errors, note])
        if saved is None:
            top = layout.head(None, who, note=notes, starter=call.text("new"))
            return Reply(el("div", top, cls="engineer"), address={**address, "prompt": ""})
        shown = await self._open(saved, who, model=call.text("model"))
        edited = shown.edited
        top = layout.head(edited.prompt, who, new=edited.new, note=notes or None, starter=call.text("new"))
        response = await response_section(edited, who, self._orchestrator)
        whole = layout.page(top, layout.form(shown, who, run=run_buttons(edited, who)), response)
        return Reply(whole, address={**address, "prompt": edited.key})

    async def _unsaved(self, who: Principal) -> list[str]:
        return await unsaved_keys(who, self._orchestrator)

    async def _open(self, saved: PromptInfo, who: Principal, *, model: str = "") -> Shown:
        edited, draft = await open_draft(saved, who, self._orchestrator, model=model)
        return await self._shown(edited, who, draft)

    async def _shown(
        self,
        edited: EditedPrompt,
        who: Principal,
        draft: StoredDraft,
        *,
        undo_step: int = 0,
        redo: Sequence[str] = (),
    ) -> Shown:
        """Return all that the form shows of an edited prompt."""
        errors, problem = await find_errors(edited)
        head, content, _, variant = await preview(edited, who, self._orchestrator)
        return Shown(
            edited,
            draft,
            models=await models.model_choices(edited.prompt, who, self._orchestrator),
            errors=errors,
            problem=problem,
            preview_head=head,
            preview=content,
            variant=variant,
            others=await self._others(edited, who),
            undo_step=undo_step,
            redo=tuple(redo)[-MAX_REDO:],
        )

    async def _others(self, edited: EditedPrompt, who: Principal) -> tuple[str, ...]:
        if EDIT not in who.rights:
            return ()
        try:
            return await self._orchestrator.drafts.editors(edited.key, who)
        except HerdingError:
            return ()

    def _form(self, shown: Shown, who: Principal, result: Markup | None = None) -> Markup:
        return layout.form(shown, who, run=run_buttons(shown.edited, who), result=result)

    # While somebody types

    @fragment("POST", "/edit", RUN)
    async def edit(self, call: Call) -> Response:
        """Store what was typed, and return the pieces of the form that follow from it as JSON."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        draft = await typed(edited, who, self._orchestrator)
        shown = await self._shown(edited, who, draft)
        pieces = {name: str(html) for name, html in layout.pieces_of(shown, who).items()}
        answer: dict[str, Any] = {"pieces": pieces, "errors": shown.errors, "show": _visible(shown, who)}
        answer |= _variable_changes(call, edited, who)
        if call.text("targets_shown") != models.targets_key(edited.prompt):
            answer["models"] = str(models.model_picker(edited.prompt, edited.model, shown.models, who))
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    # Actions, each of which returns the form anew

    @fragment("POST", "/way", SAVE)
    async def way(self, call: Call) -> Reply:
        """Show the full YAML, or the form, with the same edits."""
        who, to = call.principal, call.text("to")
        edited = await read_form(call, self._orchestrator)
        draft = await typed(edited, who, self._orchestrator)
        if to == "form" and edited.data is None:
            raise UserError("Fix the YAML before you edit it as a form.", param="yaml")
        shown = await self._shown(replace(edited, way="yaml" if to == "yaml" else "form"), who, draft)
        return Reply(self._form(shown, who))

    @fragment("POST", "/undo", RUN)
    async def undo(self, call: Call) -> Reply:
        """Undo the last step of the draft; before the first step is the saved prompt."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        await typed(edited, who, self._orchestrator)
        steps = await self._orchestrator.drafts.steps(edited.key, who)
        step = step_before(steps, call.whole("undo_step"), edited.edits)
        if step is None and (edited.edits.empty or edited.new):
            return Reply(await self._again(edited, who, call), notice="Nothing to undo.")
        redo = [*call.texts("redo"), edited.edits.dump()]
        return await self._replace(
            edited, step.edits if step else NO_EDITS, who, step=step.seq if step else 0, redo=redo
        )

    @fragment("POST", "/redo", RUN)
    async def redo(self, call: Call) -> Reply:
        """Repeat what was undone last."""
        who, undone = call.principal, call.texts("redo")
        edited = await read_form(call, self._orchestrator)
        if not undone:
            return Reply(await self._again(edited, who, call), notice="Nothing to redo.")
        try:
            edits = load_edits(undone[-1])
        except ValueError:
            raise UserError("This page is out of date. Reload it.", param="redo") from None
        rest = undone[:-1]
        return await self._replace(edited, edits, who, step=call.whole("undo_step") if rest else 0, redo=rest)

    @fragment("POST", "/revert", RUN)
    async def revert(self, call: Call) -> Reply:
        """Revert the prompt to the saved version; the values stay."""
        edited = await read_form(call, self._orchestrator)
        if edited.new:
            raise UserError("A new prompt has no saved version to revert to.", param="prompt")
        return await self._replace(edited, edited.edits.inputs, call.principal)

    @fragment("POST", "/reset", RUN)
    async def reset(self, call: Call) -> Reply:
        """Reset the values to their defaults."""
        edited = await read_form(call, self._orchestrator)
        return await self._replace(edited, replace(edited.edits, variables={}), call.principal)

    async def _replace(
        self, edited: EditedPrompt, edits: Edits, who: Principal, *, step: int = 0, redo: Sequence[str] = ()
    ) -> Reply:
        """Show other edits of the same prompt; those before are a step to go back to."""
        await typed(edited, who, self._orchestrator)
        made = await with_edits(edited.saved, edits, who, self._orchestrator, model=edited.model, way=edited.way)
        draft = await store(made, who, self._orchestrator)
        return Reply(self._form(await self._shown(made, who, draft, undo_step=step, redo=redo), who))

    async def _again(self, edited: EditedPrompt, who: Principal, call: Call) -> Markup:
        draft = await typed(edited, who, self._orchestrator)
        shown = await self._shown(edited, who, draft, undo_step=call.whole("undo_step"), redo=call.texts("redo"))
        return self._form(shown, who)

    @fragment("POST", "/discard", RUN)
    async def discard(self, call: Call) -> Reply:
        """Discard the draft, and with it a prompt that was never saved."""
        key = call.text("key")
        await self._orchestrator.drafts.discard(key, call.principal)
        return await self._reopened(key, call.principal)

    @fragment("POST", "/delete", PUBLISH)
    async def delete(self, call: Call) -> Reply:
        """Delete the prompt, unless another version of it was saved meanwhile."""
        key, who = call.text("key"), call.principal
        saved = await editable(key, who, self._orchestrator)
        if saved is None:
            raise NotFoundError(f"Prompt '{key}' no longer exists.", param="prompt")
        await self._orchestrator.studio.delete(key, who, expected=[call.whole("base_version") or saved.newest])
        return Reply(Markup(), notice=f"Deleted {key}.", events=_open(""))

    async def _reopened(self, key: str, who: Principal, result: Markup | None = None) -> Reply:
        """Return the form of a prompt as it is saved and drafted now, or ask the page to open another prompt."""
        saved = await editable(key, who, self._orchestrator)
        if saved is None:
            return Reply(Markup(), events=_open(""))
        shown = await self._open(saved, who)
        return Reply(self._form(shown, who, result), events={"engineer-about": str(_about(shown.edited))})

    # Saving

    @fragment("POST", "/save", SAVE)
    async def save(self, call: Call) -> Reply:
        """Save the edited prompt as a version, on top of the version `over` after a conflict."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        draft = await typed(edited, who, self._orchestrator)
        if edited.error is not None and edited.edits.changes_prompt:
            _, problem = await find_errors(edited)
            text = problem if problem else "Fix the marked field first."
            return Reply(self._form(await self._shown(edited, who, draft), who, saving.not_saved(text)))
        try:
            saved = await self._orchestrator.drafts.save(
                edited.key,
                who,
                shown=DisplayedEdits(edited.edits, edited.base),
                message=call.text("note").strip(),
                over=call.whole("over") or None,
                inputs=call.text("inputs") == "on",
            )
        except VersionConflictError as error:
            result = await self._conflict(edited, error, who)
            return Reply(self._form(await self._shown(edited, who, draft), who, result))
        except HerdingError as error:
            return Reply(self._form(await self._shown(edited, who, draft), who, saving.not_saved(error.message)))
        labels = await self._orchestrator.studio.labels(edited.key, who)
        found = await editable(edited.key, who, self._orchestrator)
        if found is None:
            raise NotFoundError(f"Prompt '{edited.key}' no longer exists.", param="prompt")
        shown = await self._open(found, who, model=edited.model)
        if who.opt_out and not edited.edits.inputs.empty:  # no draft holds the values
            made = await with_edits(found, edited.edits.inputs, who, self._orchestrator, model=edited.model)
            shown = await self._shown(made, who, StoredDraft())
        line = saving.saved_line(saved, dict(labels), who)
        events = {"engineer-about": str(_about(shown.edited))}
        return Reply(self._form(shown, who, line), events=events)

    async def _conflict(self, edited: EditedPrompt, error: VersionConflictError, who: Principal) -> Markup:
        """Return the conflicting version beside the draft."""
        if not error.newest:
            return saving.not_saved(error.message)
        version = (await self._orchestrator.studio.version(edited.key, error.newest, who)).about
        displayed = DisplayedEdits(edited.edits, edited.base)
        try:
            diff = await self._orchestrator.drafts.diff(edited.key, error.newest, who, shown=displayed)
        except HerdingError:  # the draft does not parse on top of the new version
            diff = None
        return saving.conflict(version, edited.base, diff)

    @fragment("POST", "/theirs", SAVE)
    async def theirs(self, call: Call) -> Reply:
        """Replace the draft by the conflicting version; Undo brings it back."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        newest = await self._orchestrator.prompts.get(f"{edited.key}@newest", who)
        await typed(edited, who, self._orchestrator)
        made = await with_edits(newest, edited.edits.inputs, who, self._orchestrator, model=edited.model)
        draft = await store(made, who, self._orchestrator)
        shown = await self._shown(made, who, draft, redo=[edited.edits.dump()])
        return Reply(self._form(shown, who), events={"engineer-about": str(_about(made))})

    @fragment("POST", "/publish", PUBLISH)
    async def publish(self, call: Call) -> Reply:
        """Make a version the live one."""
        who, key, number = call.principal, call.text("key"), call.whole("version")
        await self._orchestrator.studio.move_label(key, "prod", number, who)
        found = await editable(key, who, self._orchestrator)
        about = {"engineer-about": str(prompt_text.summary(found))} if found else {}
        return Reply(saving.published_line(key, number, who), events=about)

    # Models

    @fragment("POST", "/model", RUN)
    async def pick_model(self, call: Call) -> Reply:
        """Return the picker for a picked model, which is loaded where the role may."""
        failure = await models.try_load(call.text("model"), call.principal, self._orchestrator)
        return Reply(await self._model_picker(call), notice=failure, address={"model": call.text("model")})

    @fragment("POST", "/model/load", RUN)
    async def load_model(self, call: Call) -> Reply:
        """Load the picked model."""
        await models.load(call.text("model"), call.principal, self._orchestrator)
        return Reply(await self._model_picker(call))

    @fragment("GET", "/model", RUN)
    async def show_model(self, call: Call) -> Markup:
        """Return the picker as of now."""
        return await self._model_picker(call)

    async def _model_picker(self, call: Call) -> Markup:
        who, key = call.principal, call.text("key")
        prompt = await editable(key, who, self._orchestrator)
        targets = [model for model in call.texts("target") if model]
        if prompt is None:
            raise NotFoundError(f"Prompt '{key}' no longer exists.", param="prompt")
        if targets and tuple(targets) != prompt.target_models:
            prompt = replace(prompt, target_models=tuple(targets))
        choices = await models.model_choices(prompt, who, self._orchestrator)
        return models.model_picker(prompt, call.text("model"), choices, who)

    # Prompts

    @fragment("GET", "/prompts", RUN)
    async def prompts(self, call: Call) -> Markup:
        """Return links to the prompts that a search finds."""
        who, search = call.principal, call.text("q")
        found = find(await self._orchestrator.prompts.list_all(who), SearchQuery.parse(search, "", "", "")).prompts
        saved = {prompt.key for prompt in found}
        new = [key for key in await self._unsaved(who) if key not in saved and search.lower() in key.lower()]
        links = [(key, key, "Not saved") for key in new] + [(prompt.key, prompt.name, "") for prompt in found]
        return layout.prompt_links(links[:PICKED], more=len(links) - PICKED)

    @fragment("POST", "/new", SAVE)
    async def new(self, call: Call) -> Reply:
        """Create the draft of a new prompt from a template; an existing draft of this ID is opened as it is."""
        who, key, name = call.principal, call.text("new_key").strip().strip("/"), call.text("new_name").strip()
        try:
            await self._create(key, name, call.text("starter"), who)
        except HerdingError as error:
            fields = layout.new_prompt_fields(call.text("starter"), key=key, name=name, error=error.message)
            return Reply(fields)
        return Reply(Markup(), events=_open(key))

    async def _create(self, key: str, name: str, starter: str, who: Principal) -> None:
        try:
            await self._orchestrator.prompts.get(key, who)
        except NotFoundError:
            draft = await self._orchestrator.drafts.get(key, who)
            if draft is None or draft.edits.whole is None:  # values of a deleted prompt are no draft of a new one
                whole = starter_text(starter, name or name_from_key(key), await self._models(who))
                await self._orchestrator.drafts.store_new(key, Edits(whole=whole), who)
        else:
            raise UserError(f"Prompt '{key}' already exists. Enter another ID, or open that prompt.", param="key")

    async def _models(self, who: Principal) -> list[str]:
        """Return up to three target models of the other prompts, available ones if there are any."""
        prompts = await self._orchestrator.prompts.list_all(who)
        available = [model for prompt in prompts for model, nodes in prompt.served.items() if nodes]
        targets = [model for prompt in prompts for model in prompt.target_models]
        return list(dict.fromkeys(available or targets))[:3]

    async def _open_request(self, request_id: str, who: Principal) -> tuple[str, Markup | None]:
        """Fill in what a request of the history ran with; return its prompt, and a note on what is missing."""
        if HISTORY not in who.rights:
            raise NotFoundError("Your role can't open requests of the history.", param="request")
        row = (await self._orchestrator.history.entry(request_id, who)).outcome
        saved = await editable(row.prompt or "", who, self._orchestrator) if row.prompt else None
        if saved is None:
            return row.prompt or "", panel("warn", "This request has no prompt to open")
        given = {name: value for name, value in row.parameters.given().items() if name in ("stop", *_NUMBERS)}
        own = saved.parameters.given()
        changed = {name: value for name, value in given.items() if value != own.get(name)}
        changed = {name: list(value) if name == "stop" else value for name, value in changed.items()}
        edits = Edits(dict(row.variables), parameters=changed)
        made = await with_edits(saved, edits, who, self._orchestrator)
        await store(made, who, self._orchestrator)
        return saved.key, _request_note(row.version, saved, edited=row.edited)


def _open(key: str) -> dict[str, Any]:
    """Return the event that opens a prompt, or the first one."""
    return {"open-tab": {"tab": "engineer", "fields": {"prompt": key, "model": "", "request": "", "new": ""}}}


_NUMBERS = ("temperature", "top_p", "top_k", "max_tokens", "seed")


def _request_note(version: int, saved: PromptInfo, *, edited: bool) -> Markup:
    parts = ["Its values and parameters are filled in. Undo restores your previous draft."]
    if version and version != saved.version:
        parts.append(f"It ran v{version}; v{saved.version} is shown.")
    if edited:
        parts.append("It ran an unsaved edit, which is not stored with the request.")
    return panel("calm", "Opened from History", el("p", " ".join(parts)), role="status")


def _about(edited: EditedPrompt) -> Markup:
    return prompt_text.summary(edited.prompt, new=edited.new)


def _visible(shown: Shown, who: Principal) -> dict[str, bool]:
    """Return which parts of the form are visible, by id."""
    edited = shown.edited
    has_draft = shown.draft.saved_at is not None or edited.new
    return {
        "draft-undo": has_draft,
        "draft-redo": False,
        "draft-revert": edited.changed and not edited.new,
        "draft-discard": has_draft,
        "reset": bool(edited.edits.variables),
        "save-box": SAVE in who.rights and (edited.new or edited.changed),
        "save-inputs-row": not edited.new and bool(edited.edits.variables),
    }


def _variable_changes(call: Call, edited: EditedPrompt, who: Principal) -> dict[str, Any]:
    """Return new and removed variables, those that no text uses, and fields that changed their kind."""
    data = edited.data or {}
    known = edited.prompt.variables if edited.error is None else layout.shown_variables(edited)
    shown = set(declared(call.form)) if edited.way == "form" and SAVE in who.rights else None
    controls = {}
    for name, variable in known.items():
        given = call.text(f"shape.{name}")
        if given and given != shape(variable):
            controls[name] = str(control(name, variable, edited.values.get(name)))
    if shown is None:
        present = {name[6:] for name in call.form if name.startswith("shape.")}
        added = [name for name in known if name not in present] if edited.way == "yaml" else []
        gone = [name for name in present if name not in known] if edited.way == "yaml" else []
        cards = {name: str(card(name, known[name], None, definition=None, can_define=False)) for name in added}
        return {"controls": controls, "added": cards, "gone": gone, "unused": []}
    definitions = data.get("variables") or {}
    added = [name for name in definitions if name not in shown]
    cards = {
        name: str(card(name, known[name], None, definition=definitions[name], can_define=True, new=True))
        for name in added
        if name in known
    }
    used = used_names(data)
    gone = [name for name in shown if name not in definitions and name not in used]
    return {"controls": controls, "added": cards, "gone": gone, "unused": unused(data)}
