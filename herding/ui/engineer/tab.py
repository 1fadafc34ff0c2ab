"""The tab "Prompt engineer": select or create a prompt, edit it, run it, rate the response, save it.

Everything that is typed is in one form, `#engineer-form`; the response stands beside it, and its fields name the form.
The address has `prompt` (a key), `model`, `request` (an entry of the history to open with all that it ran with),
`version` (an older version of the prompt to open as a draft) and `new` (a template for a new prompt).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from starlette.responses import JSONResponse, Response

from herding.access.operations import HISTORY, PROMPTS, RUN, SAVE
from herding.errors import NotFoundError
from herding.prompts.edits import Edits
from herding.prompts.yaml_dump import dump_file
from herding.ui.engineer import layout, models
from herding.ui.engineer.branches import Branches
from herding.ui.engineer.edited import editable, seen_by, store, typed, unsaved_keys, with_edits
from herding.ui.engineer.form import EditedPrompt, read_form
from herding.ui.engineer.form_data import declared, used_names
from herding.ui.engineer.layout import Shown
from herding.ui.engineer.messages import unused
from herding.ui.engineer.retrieved import RetrievedRoutes
from herding.ui.engineer.routes.drafts import DraftRoutes
from herding.ui.engineer.routes.models import ModelRoutes
from herding.ui.engineer.routes.prompts import PromptRoutes
from herding.ui.engineer.routes.saving import SaveRoutes
from herding.ui.engineer.run import RunRoutes, response_section
from herding.ui.engineer.saving import can_save
from herding.ui.engineer.setting_fields import changed_parameters
from herding.ui.engineer.variables import card, control, shape
from herding.ui.kit import prompt_text
from herding.ui.kit.format import el, join, panel
from herding.ui.kit.variables import given_values
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.values import Principal, PromptInfo


class EngineerTab(RunRoutes, RetrievedRoutes, DraftRoutes, SaveRoutes, ModelRoutes, PromptRoutes, View):
    """Opens the tab, and stores what is typed."""

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
        address = {"prompt": key, "request": "", "version": "", "new": ""}
        run = ""
        if request_id := call.text("request"):
            key, note = await self._open_request(request_id, who)
            run = await self._run_of(request_id, who)
            address["run"] = run
        elif key and (version := call.whole("version")):
            note = await self._open_version(key, version, who)
        saved = await editable(key, who, self._orchestrator) if key else None
        if saved is None and key:
            note = prompt_text.not_opened(key)
        if saved is None:
            first = next((prompt.key for prompt in prompts), None) or next(
                iter(await unsaved_keys(who, self._orchestrator)), None
            )
            saved = await editable(first, who, self._orchestrator) if first else None
        notes = join([errors, note])
        if saved is None:
            top = layout.head(None, who, note=notes, starter=call.text("new"))
            return Reply(el("div", top, cls="engineer"), address={**address, "prompt": ""})
        shown = await self.with_draft(saved, who, model=call.text("model"))
        edited = shown.edited
        top = layout.head(edited.prompt, who, new=edited.new, note=notes or None, starter=call.text("new"))
        response = response_section(edited, run=run)
        whole = layout.page(top, self.form_of(shown, who), response)
        return Reply(whole, address={**address, "prompt": edited.key})

    @fragment("POST", "/edit", RUN)
    async def edit(self, call: Call) -> Response:
        """Store what was typed, and return the pieces of the form that follow from it as JSON."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        draft = await typed(edited, who, self._orchestrator, seen_by(call))
        shown = await self.shown(edited, who, draft)
        pieces = {name: str(html) for name, html in layout.pieces_of(shown, who).items()}
        answer: dict[str, Any] = {"pieces": pieces, "errors": shown.errors, "show": _visible(shown)}
        answer["revision"] = draft.revision
        answer["enable"] = {"save-version": can_save(edited)}
        answer |= _variable_changes(call, edited, who)
        if call.text("targets_shown") != models.targets_key(edited.prompt):
            answer["models"] = str(models.model_picker(edited.prompt, edited.model, shown.models, who))
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def _run_of(self, request_id: str, who: Principal) -> str:
        """Return the ids of the requests to show: this one, after the turns of a chat before it."""
        branches = Branches(await self._orchestrator.history.chat(request_id, who))
        return "~".join(outcome.request_id for outcome in branches.until(request_id)) or request_id

    async def _open_request(self, request_id: str, who: Principal) -> tuple[str, Markup | None]:
        """Fill in what a request of the history ran with; return its prompt, and a note on what is missing."""
        if HISTORY not in who.rights:
            raise NotFoundError("Your role can't open requests of the history.", param="request")
        row = (await self._orchestrator.history.entry(request_id, who)).outcome
        saved = await editable(row.prompt or "", who, self._orchestrator) if row.prompt else None
        if saved is None:
            return row.prompt or "", panel("warn", "This request has no prompt to open")
        older = await self._older(saved, row.version, who)
        changed = changed_parameters(row.parameters, (older or saved).parameters)
        values = given_values(row, older or saved)
        whole = _whole_text(older, changed) if older else None
        edits = Edits(values, parameters={} if older else changed, whole=whole)
        await self._fill_in(saved, edits, who)
        return saved.key, _request_note(row.version, saved, filled=older is not None, edited=row.edited)

    async def _open_version(self, key: str, version: int, who: Principal) -> Markup | None:
        """Fill in an older version; return a note on it, None if it is the version that is shown anyway."""
        saved = await editable(key, who, self._orchestrator)
        older = await self._older(saved, version, who) if saved else None
        if saved is None or older is None:
            return None
        draft = await self._orchestrator.drafts.get(key, who)
        values = draft.edits.variables if draft else {}
        await self._fill_in(saved, Edits(values, whole=_whole_text(older, {})), who)
        text = f"v{saved.version} is the latest. Saving makes a new version. Undo restores your previous draft."
        return panel("calm", f"v{version} is filled in as your draft", el("p", text), role="status")

    async def _older(self, saved: PromptInfo, version: int, who: Principal) -> PromptInfo | None:
        """Return another version than `saved` where it differs, and the role may edit the whole prompt; else None."""
        if version in (0, saved.version) or SAVE not in who.rights:
            return None
        try:
            older = await self._orchestrator.prompts.get(f"{saved.key}@{version}", who)
        except NotFoundError:
            return None
        return older if older.content != saved.content else None

    async def _fill_in(self, saved: PromptInfo, edits: Edits, who: Principal) -> None:
        """Make edits the draft of a prompt; the draft before them is a step to go back to."""
        await store(await with_edits(saved, edits, who, self._orchestrator), who, self._orchestrator)


def _whole_text(prompt: PromptInfo, parameters: Mapping[str, Any]) -> str:
    """Return the full YAML of a version with other parameters."""
    data = dict(prompt.content)
    if parameters:
        data["parameters"] = {**(data.get("parameters") or {}), **parameters}
    return dump_file(data)


def _request_note(version: int, saved: PromptInfo, *, filled: bool, edited: bool) -> Markup:
    what = f"Its version (v{version}), values and parameters" if filled else "Its values and parameters"
    parts = [f"{what} are filled in. Undo restores your previous draft."]
    if filled:
        parts.append(f"v{saved.version} is the latest.")
    elif version and version != saved.version:
        parts.append(f"It ran v{version}; v{saved.version} is shown.")
    if edited:
        parts.append("It ran an unsaved edit, which is not stored with the request.")
    return panel("calm", "Opened from History", el("p", " ".join(parts)), role="status")


def _visible(shown: Shown) -> dict[str, bool]:
    """Return which parts of the form are visible, by id."""
    edited = shown.edited
    has_draft = shown.draft.saved_at is not None or edited.new
    return {
        "draft-undo": has_draft,
        "draft-redo": False,
        "draft-revert": edited.changed and not edited.new,
        "draft-discard": has_draft,
        "reset": bool(edited.edits.variables),
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
