"""The routes that save a prompt as a version, settle a conflict, and publish."""

from __future__ import annotations

from markupsafe import Markup

from herding.access.operations import PUBLISH, SAVE
from herding.errors import HerdingError, NotFoundError, VersionConflictError
from herding.studio.drafts import DisplayedEdits
from herding.ui.engineer import saving
from herding.ui.engineer.edited import StoredDraft, editable, seen_by, store, typed, with_edits
from herding.ui.engineer.editor import Editor, about_of
from herding.ui.engineer.errors import find_errors
from herding.ui.engineer.form import EditedPrompt, read_form
from herding.ui.kit import prompt_text
from herding.ui.kit.views import Call, Reply, fragment
from herding.values import Principal


class SaveRoutes(Editor):
    """Each route answers with the form and the result of the save."""

    @fragment("POST", "/save", SAVE)
    async def save(self, call: Call) -> Reply:
        """Save the edited prompt as a version, on top of the version `over` after a conflict."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        seen = seen_by(call)
        draft = await typed(edited, who, self._orchestrator, seen)
        if draft.conflict:
            return Reply(self.form_of(await self.shown(edited, who, draft), who, saving.not_saved(saving.CHOOSE)))
        if edited.error is not None and edited.edits.changes_prompt:
            _, problem = await find_errors(edited)
            text = problem if problem else "Fix the marked field first."
            return Reply(self.form_of(await self.shown(edited, who, draft), who, saving.not_saved(text)))
        try:
            saved = await self._orchestrator.drafts.save(
                edited.key,
                who,
                shown=DisplayedEdits(edited.edits, edited.base),
                message=call.text("note").strip(),
                over=call.whole("over") or None,
                inputs=call.text("inputs") == "on",
                page=seen.page,
            )
        except VersionConflictError as error:
            result = await self._conflict(edited, error, who)
            return Reply(self.form_of(await self.shown(edited, who, draft), who, result))
        except HerdingError as error:
            return Reply(self.form_of(await self.shown(edited, who, draft), who, saving.not_saved(error.message)))
        labels = await self._orchestrator.studio.labels(edited.key, who)
        found = await editable(edited.key, who, self._orchestrator)
        if found is None:
            raise NotFoundError(f"Prompt '{edited.key}' no longer exists.", param="prompt")
        shown = await self.with_draft(found, who, model=edited.model)
        if who.opt_out and not edited.edits.inputs.empty:  # no draft holds the values
            made = await with_edits(found, edited.edits.inputs, who, self._orchestrator, model=edited.model)
            shown = await self.shown(made, who, StoredDraft())
        line = saving.saved_line(saved, dict(labels), who)
        events = {"engineer-about": str(about_of(shown.edited))}
        return Reply(self.form_of(shown, who, line), events=events)

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
        return saving.conflict(version, edited.base, diff, who)

    @fragment("POST", "/theirs", SAVE)
    async def theirs(self, call: Call) -> Reply:
        """Replace the draft by the conflicting version; Undo brings it back."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        newest = await self._orchestrator.prompts.get(f"{edited.key}@newest", who)
        seen = seen_by(call)
        draft = await typed(edited, who, self._orchestrator, seen)
        if draft.conflict:
            return Reply(self.form_of(await self.shown(edited, who, draft), who))
        made = await with_edits(newest, edited.edits.inputs, who, self._orchestrator, model=edited.model)
        draft = await store(made, who, self._orchestrator, seen=seen.after(draft.revision))
        shown = await self.shown(made, who, draft, redo=[edited.edits.dump()])
        return Reply(self.form_of(shown, who), events={"engineer-about": str(about_of(made))})

    @fragment("POST", "/publish", PUBLISH)
    async def publish(self, call: Call) -> Reply:
        """Make a version the live one."""
        who, key, number = call.principal, call.text("key"), call.whole("version")
        await self._orchestrator.studio.move_label(key, "prod", number, who)
        found = await editable(key, who, self._orchestrator)
        about = {"engineer-about": str(prompt_text.summary(found))} if found else {}
        return Reply(saving.published_line(key, number, who), events=about)
