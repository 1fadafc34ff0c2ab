"""Opens prompts for editing: the version to edit, with the draft of the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from herding.access.operations import SAVE
from herding.errors import DraftConflictError, HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits, to_full_edits
from herding.studio.drafts import DraftStep
from herding.ui.engineer.form import EditedPrompt, check_edits, full_text, new_prompt
from herding.ui.engineer.form_data import body_of, parse_data, read_apart, to_text
from herding.ui.kit.variables import initial_value
from herding.ui.kit.views import Call
from herding.values import ANY_DRAFT, Principal, PromptInfo, SeenDraft
from herding.yaml_files import YamlDocument

NO_EDITS = Edits()


@dataclass(frozen=True, slots=True)
class StoredDraft:
    """The state of the user's draft: when it was stored (ms), None without one, or why it was not.

    revision: of the stored draft that the page knows; empty without one.
    """

    saved_at: int | None = None
    error: HerdingError | None = None
    revision: str = ""

    @property
    def conflict(self) -> bool:
        """True if the draft was not stored because another page changed it."""
        return isinstance(self.error, DraftConflictError)


async def unsaved_keys(who: Principal, orchestrator: Orchestrator) -> list[str]:
    """Return the keys of the user's new prompts without a saved version."""
    if SAVE not in who.rights:
        return []
    drafts = await orchestrator.drafts.list_all(who)
    return [draft.key for draft in drafts if draft.base == 0 and draft.edits.whole is not None]


async def editable(key: str, who: Principal, orchestrator: Orchestrator) -> PromptInfo | None:
    """Return the version of a prompt to edit: the newest for those who may save, else the live one.

    None if there is neither a saved version nor a new prompt with this key.
    """
    try:
        live = await orchestrator.prompts.get(key, who)
    except NotFoundError:
        return new_prompt(key) if key in await unsaved_keys(who, orchestrator) else None
    if SAVE in who.rights and live.newest > live.version > 0:
        try:
            return await orchestrator.prompts.get(f"{key}@newest", who)
        except NotFoundError:  # not visible to this role
            return live
    return live


async def open_draft(
    saved: PromptInfo, who: Principal, orchestrator: Orchestrator, *, model: str = ""
) -> tuple[EditedPrompt, StoredDraft]:
    """Return a version with the user's draft of it; an older version if the draft is based on that."""
    try:
        draft = await orchestrator.drafts.get(saved.key, who)
    except HerdingError as error:
        return await with_edits(saved, NO_EDITS, who, orchestrator, model=model), StoredDraft(error=error)
    if draft is None or draft.edits.empty:
        revision = draft.revision if draft else ""
        return await with_edits(saved, NO_EDITS, who, orchestrator, model=model), StoredDraft(revision=revision)
    if draft.edits.changes_prompt and draft.base not in (saved.version, 0):
        try:
            older = await orchestrator.prompts.get(f"{saved.key}@{draft.base}", who)
            saved = replace(older, text=older.text if older.version == older.newest else None)
        except NotFoundError:
            pass
    state = StoredDraft(draft.updated_at, revision=draft.revision)
    return await with_edits(saved, draft.edits, who, orchestrator, model=model), state


async def with_edits(
    saved: PromptInfo, edits: Edits, who: Principal, orchestrator: Orchestrator, *, model: str = "", way: str = "form"
) -> EditedPrompt:
    """Return a saved version with edits, as the page shows it."""
    text, data = await read_apart(edits.whole or "", lambda: _edited_text(saved, edits))
    prompt, error = await check_edits(saved, edits, text, who, orchestrator)
    return EditedPrompt(
        saved=saved,
        prompt=prompt,
        text=text,
        data=data,
        edits=edits,
        values=shown_values(prompt, edits.variables),
        model=model,
        way="yaml" if data is None else way,
        error=error,
    )


def shown_values(prompt: PromptInfo, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each variable: the typed one, else the default."""
    return {
        name: typed[name] if name in typed else initial_value(variable) for name, variable in prompt.variables.items()
    }


def _edited_text(saved: PromptInfo, edits: Edits) -> tuple[str, Mapping[str, Any] | None]:
    """Return the full YAML with the edits, and its data for a form."""
    key, own = saved.key, full_text(saved)
    if edits.whole is None and edits.template is not None:
        try:
            body = YamlDocument(edits.template).data
        except HerdingError:
            body = None
        if not isinstance(body, dict) or not body:
            edits = to_full_edits(saved.content, edits)
    if edits.whole is not None:
        return edits.whole, parse_data(key, edits.whole)
    if not edits.changes_prompt:
        return own, dict(saved.content)
    data = dict(saved.content)
    if edits.template is not None:
        body = YamlDocument(edits.template).data
        data = {name: value for name, value in data.items() if name not in body_of(data)} | body
    if edits.parameters:
        data["parameters"] = {**(data.get("parameters") or {}), **edits.parameters}
    text = to_text(key, own, data)
    return text, parse_data(key, text)


def seen_by(call: Call) -> SeenDraft:
    """Return what the page that asks knows of the draft; a page that does not name itself overwrites any."""
    pages = tuple(page for page in call.texts("page") if page)
    return SeenDraft(call.text("draft_revision") if pages else None, pages)


async def store(
    edited: EditedPrompt,
    who: Principal,
    orchestrator: Orchestrator,
    *,
    before: Edits | None = None,
    seen: SeenDraft = ANY_DRAFT,
) -> StoredDraft:
    """Store the edits as the user's draft if they changed, unless another page changed it since it was `seen`.

    before: the edits that these replace while somebody types; None makes the draft so far a step to go back to.
    """
    if who.opt_out:
        return StoredDraft()
    try:
        known = await orchestrator.drafts.get(edited.key, who)
        stored = NO_EDITS if known is None else known.edits
        if edited.edits == stored:
            saved_at = None if known is None or known.edits.empty else known.updated_at
            return StoredDraft(saved_at, revision=known.revision if known else "")
        made = await orchestrator.drafts.store(
            edited.key, edited.edits, who, base=edited.base, before=before, seen=seen
        )
    except HerdingError as error:
        return StoredDraft(error=error, revision=seen.revision or "")
    return StoredDraft(None if edited.edits.empty else made.updated_at, revision=made.revision)


async def typed(edited: EditedPrompt, who: Principal, orchestrator: Orchestrator, seen: SeenDraft) -> StoredDraft:
    """Store edits that were typed: many of them are one step. What another page stored is always a step."""
    if who.opt_out:
        return StoredDraft()
    try:
        known = await orchestrator.drafts.get(edited.key, who)
    except HerdingError as error:
        return StoredDraft(error=error, revision=seen.revision or "")
    before: Edits | None = NO_EDITS if known is None else known.edits
    if known and known.page != seen.page and seen.revision not in (None, known.revision):
        before = None
    return await store(edited, who, orchestrator, before=before, seen=seen)


def step_before(steps: tuple[DraftStep, ...], shown: int, edits: Edits) -> DraftStep | None:
    """Return the latest step that differs from `edits`, before the step `shown` if that is not 0."""
    found = [step for step in steps if (not shown or step.seq < shown) and step.edits != edits]
    return found[-1] if found else None


def require_prompt(prompt: PromptInfo | None, key: str) -> PromptInfo:
    """Return the prompt. Raises NotFoundError if there is none."""
    if prompt is None:
        raise NotFoundError(f"Prompt '{key}' not found. Select another one.", param="prompt")
    return prompt
