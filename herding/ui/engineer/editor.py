"""The editor of a prompt: what all its routes share. It shows a prompt with the draft of the user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from herding.access.operations import COLLECTIONS, EDIT
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.engineer import layout, models
from herding.ui.engineer.edited import StoredDraft, editable, open_draft
from herding.ui.engineer.errors import find_errors
from herding.ui.engineer.form import EditedPrompt
from herding.ui.engineer.layout import Shown
from herding.ui.engineer.preview import preview
from herding.ui.engineer.run import run_buttons
from herding.ui.kit import prompt_text
from herding.ui.kit.views import Reply
from herding.values import Principal, PromptInfo

MAX_REDO = 20


class Editor:
    """Opens prompts, and returns the form with them."""

    _orchestrator: Orchestrator

    async def with_draft(self, saved: PromptInfo, who: Principal, *, model: str = "") -> Shown:
        """Return what the form shows of a version with the user's draft."""
        edited, draft = await open_draft(saved, who, self._orchestrator, model=model)
        return await self.shown(edited, who, draft)

    async def shown(
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
        head, content, variant = await preview(edited, who, self._orchestrator)
        return Shown(
            edited,
            draft,
            models=await models.model_choices(edited.prompt, who, self._orchestrator),
            errors=errors,
            problem=problem,
            preview_head=head,
            preview=content,
            variant=variant,
            rerankers=self._orchestrator.collections.rerankers(who) if COLLECTIONS in who.rights else (),
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

    def form_of(self, shown: Shown, who: Principal, result: Markup | None = None) -> Markup:
        """Return the form; `result` is that of a save."""
        return layout.form(shown, who, run=run_buttons(), result=result)

    async def reopened(self, key: str, who: Principal) -> Reply:
        """Return the form of a prompt as it is saved and drafted now, or ask the page to open another prompt."""
        saved = await editable(key, who, self._orchestrator)
        if saved is None:
            return Reply(Markup(), events=open_prompt(""))
        shown = await self.with_draft(saved, who)
        return Reply(self.form_of(shown, who), events={"engineer-about": str(about_of(shown.edited))})


def open_prompt(key: str) -> dict[str, Any]:
    """Return the event that opens a prompt, or the first one."""
    return {"open-tab": {"tab": "engineer", "fields": {"prompt": key, "model": "", "request": "", "new": ""}}}


def about_of(edited: EditedPrompt) -> Markup:
    """Return what the head of the tab says about a prompt."""
    return prompt_text.summary(edited.prompt, new=edited.new)
