"""The part of the tab that saves: the state of the draft, the change note, the saved line, and conflicts."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from herding.access.operations import EDIT, PUBLISH, SAVE
from herding.errors import DraftConflictError
from herding.prompts.diff import PromptDiff
from herding.studio.importer import SaveResult
from herding.ui.engineer.edited import StoredDraft
from herding.ui.engineer.form import EditedPrompt
from herding.ui.engineer.starters import COPY
from herding.ui.kit.diff_view import render_diff
from herding.ui.kit.fields import button, checkbox, confirm_button, text_field
from herding.ui.kit.format import chip, dotted, el, failure, join, panel, time_tag
from herding.ui.kit.links import tab_address
from herding.values import Principal, PromptVersion

DISCARD = "Discard this draft and its undo history? This can't be undone."
DELETE = "Delete this prompt and its file? Its versions are kept; save it again to restore it."
CHOOSE = "Choose a draft first: load the other one, or keep this one."
FILE_NOTES = {
    "unwritable": "Saved in the database only: its file is read-only.",
    "shared": "Saved in the database only: its file holds several prompts.",
    "conflict": "Its file was edited at the same time. Choose a version in the Versions tab.",
}
NOT_STORED = (
    "Drafts are not stored because storage of your content is off. Unsaved changes are lost when the page closes."
)


def action(name: str, **fields: str) -> dict[str, Any]:
    """Return the attributes of a button that replaces the form by the answer of an action."""
    return {
        "hx_post": f"ui/engineer/{name}",
        "hx_include": "#engineer-form",
        "hx_target": "#engineer-form",
        "hx_swap": "outerHTML",
        "hx_sync": "#engineer-form:drop",
        "data_action": "",
        **fields,
    }


def save_bar(edited: EditedPrompt, who: Principal, *, result: Markup | None = None) -> Markup:
    """Return the change note with the button that saves a version, and the result of the last save.

    It always has its place, so that nothing moves while somebody types; the button waits for a change.
    """
    if SAVE not in who.rights:
        return el("div", result or "", id="save-note", role="status")
    label = "Save as version 1" if edited.new else "Save version"
    has_values = not edited.new and bool(edited.edits.variables)
    form = el(
        "div",
        text_field("Change note (optional)", "note", maxlength="500", id="save-message", hidden_label=True,
                   placeholder="Change note (optional)"),
        button(label, kind="primary", id="save-version", title="Ctrl+S", disabled=None if can_save(edited) else "",
               **action("save")),
        el("div", checkbox("Save these values as defaults", "inputs", checked=False, id="save-inputs"),
           id="save-inputs-row", hidden=None if has_values else ""),
        id="save-box",
        cls="engineer-save",
    )  # fmt: skip
    return join([form, el("div", result or "", id="save-note", role="status")])


def can_save(edited: EditedPrompt) -> bool:
    """Return whether there is something to save: a change of the prompt, or values that can become its defaults."""
    return edited.new or edited.changed or bool(edited.edits.variables)


def draft_line(edited: EditedPrompt, draft: StoredDraft, who: Principal) -> Markup:
    """Return the time when the draft was stored, or why it was not."""
    if isinstance(draft.error, DraftConflictError):
        return _draft_conflict(draft.error)
    if draft.error is not None:
        return el("p", chip("Draft not saved", "bad"), " ", draft.error.message, cls="wrong", role="alert")
    if EDIT not in who.rights:
        text = "Read-only: your role can't edit this prompt. You can change values and run it."
        return el("p", text, cls="muted")
    if who.opt_out:
        return el("p", NOT_STORED, cls="muted")
    if SAVE not in who.rights and edited.changed:
        return join(
            [_saved_at(edited, draft), el("p", "Your role can't save versions. Runs use this draft.", cls="muted")]
        )
    return _saved_at(edited, draft)


def _draft_conflict(error: DraftConflictError) -> Markup:
    """Return what happened to a draft that two pages changed, and the choice between both."""
    text = f"{error.message} Your changes here are not saved."
    return el(
        "div",
        el("p", chip("Draft not saved", "bad"), " ", text, cls="wrong", role="alert"),
        el(
            "div",
            button("Load the other draft", id="draft-load", title="Undo brings this one back", **action("load")),
            button("Keep this draft", id="draft-keep", title="Undo brings the other one back", **action("keep")),
            cls="answers",
        ),
        id="draft-conflict",
    )


def _saved_at(edited: EditedPrompt, draft: StoredDraft) -> Markup:
    if draft.saved_at is None:
        return el("p", "Changes are saved as a draft automatically.", cls="muted")
    number, newest = edited.base, edited.saved.newest
    old = 0 < number < newest and edited.changed
    base = f" · based on v{number}, latest is v{newest}" if old else None
    state = chip("New" if edited.new else "Unsaved changes", "accent") if edited.new or edited.changed else None
    return el("p", state, " Draft saved ", time_tag(draft.saved_at), base, cls="muted")


def draft_buttons(
    edited: EditedPrompt, who: Principal, *, has_draft: bool, can_redo: bool, way: Markup | None
) -> Markup:
    """Return the buttons that undo and redo, that leads to the YAML, and in a menu those for more than one edit."""
    changed, values = has_draft or edited.new, bool(edited.edits.variables)
    copy = tab_address("engineer", prompt=edited.key, new=f"{COPY}{edited.key}")
    menu = [
        button("Revert changes", kind="quiet", id="draft-revert",
               hidden=None if edited.changed and not edited.new else "", **action("revert")),
        button("Reset values", kind="quiet", id="reset", hidden=None if values else "", **action("reset")),
        confirm_button("Discard draft", DISCARD, "Discard draft", kind="quiet", id="draft-discard",
                       hidden=None if changed else "", **action("discard")),
        el("a", "Duplicate prompt", href=copy, id="prompt-duplicate", cls="btn quiet")
        if SAVE in who.rights and not edited.new else None,
        confirm_button("Delete prompt", DELETE, "Delete prompt", kind="quiet", id="prompt-delete", **action("delete"))
        if PUBLISH in who.rights and not edited.new else None,
    ]  # fmt: skip
    return el(
        "div",
        button("Undo", kind="quiet", id="draft-undo", hidden=None if changed else "", **action("undo")),
        button("Redo", kind="quiet", id="draft-redo", hidden=None if can_redo else "", **action("redo")),
        way,
        el(
            "details",
            el("summary", "More", cls="btn quiet"),
            el("div", *menu, cls="engineer-more-menu"),
            id="draft-more",
            cls="engineer-more",
        ),
        cls="engineer-draft-buttons",
    )


def editors_note(others: tuple[str, ...]) -> Markup:
    """Return the names of the other users who edit the prompt now."""
    if not others:
        return Markup()
    names = [el("strong", name) for name in others]
    listed = join([join([name, ", "]) for name in names[:-2]] + [join([name, " and "]) for name in names[-2:-1]])
    verb = "is" if len(names) == 1 else "are"
    return el("p", chip("Also editing", "busy"), " ", listed, names[-1], f" {verb} editing this prompt.")


def saved_line(saved: SaveResult, labels: dict[str, int], who: Principal) -> Markup:
    """Return what was saved, with the links that lead on: the diff, and publishing."""
    head = f"Saved v{saved.version}" if saved.changed else f"No changes: v{saved.version} is identical"
    parts: list[Markup] = [el("span", "✓ ", head, cls="saved")]
    if saved.version > 1 and "versions" in who.tabs:
        href = tab_address("versions", prompt=saved.key, old=str(saved.version - 1), new=str(saved.version))
        parts.append(el("a", "View diff", href=href, id="saved-diff"))
    live = labels.get("prod")
    if PUBLISH in who.rights and live != saved.version:
        vals = json.dumps({"version": str(saved.version)})
        parts.append(
            button("Publish to prod", id="saved-publish", hx_post="ui/engineer/publish", hx_include="#engineer-form",
                   hx_vals=vals, hx_target="#save-note")
        )  # fmt: skip
    elif live == saved.version:
        parts.append(chip("prod", "good"))
    line = el("p", dotted(parts), cls="engineer-saved-line")
    return join([line, _file_note(saved)])


def published_line(key: str, number: int, who: Principal) -> Markup:
    """Return that a version is live now."""
    link = el("a", "View versions", href=tab_address("versions", prompt=key)) if "versions" in who.tabs else None
    parts = [el("span", "✓ ", f"v{number} is live (prod)", cls="saved"), link]
    return el("p", dotted(parts), cls="engineer-saved-line")


def _file_note(saved: SaveResult) -> Markup | None:
    if saved.file == "written":
        return None
    href = f"api/v1/prompts/{quote(saved.key)}/yaml?version={saved.version}"
    link = el("a", "Download YAML", href=href, cls="btn") if saved.file == "unwritable" else None
    return el("p", FILE_NOTES[saved.file], " ", link, cls="muted")


def not_saved(message: str) -> Markup:
    """Return why a version was not saved."""
    return failure("Not saved", message)


def conflict(newest: PromptVersion, base: int, diff: PromptDiff | None, who: Principal) -> Markup:
    """Return the conflict with the version `newest` that was saved after version `base`, maybe in another tab.

    diff: what the own draft would change of `newest`, None if it does not parse on top of it.
    """
    began = f"Your draft is based on v{base}." if base else "Your draft is a new prompt."
    author = "You" if newest.author == who.id else el("strong", newest.author or "Another user")
    text = el("p", author, f" saved v{newest.number} at ", time_tag(newest.created_at), f". {began} Nothing is lost.")
    note = el("p", "Change note: ", el("q", newest.message)) if newest.message else None
    legend = el("p", f"Your changes, compared with v{newest.number}:", cls="muted")
    changes = render_diff(diff, inline=True) if diff else el("p", "Your draft is not valid on top of this version.")
    details = el("details", el("summary", "Show differences"), legend, changes)
    vals = json.dumps({"over": str(newest.number)})
    buttons = el(
        "div",
        button("Save my version", id="save-mine", **action("save", hx_vals=vals)),
        button(f"Use v{newest.number}", id="save-theirs", **action("theirs", hx_vals=vals)),
        cls="answers",
    )
    title = f"This prompt has a newer version, v{newest.number}"
    return el("div", panel("warn", title, text, note, details, role="alert"), buttons, id="save-conflict")
