"""The reader's stored content: turn storage off, download it, and delete it."""

from __future__ import annotations

from urllib.parse import urlencode

from markupsafe import Markup

from herding.access.operations import HISTORY
from herding.ui.kit.fields import checkbox, confirm_button
from herding.ui.kit.format import el, plural
from herding.values import Principal, User

OPT_OUT_HELP = (
    "Keep only counts, timings and ratings of new requests. Chats are not remembered, and comments and drafts can't be "
    "saved."
)
NO_CHOICE = "Content of your requests is stored. Only users who log in with a token can turn this off."
DELETE_QUESTION = (
    "This deletes the variables, inputs, responses, errors and comments of all your requests, and your drafts. "
    "Counts, timings and ratings are kept. This can't be undone."
)
DELETE_DRAFTS_QUESTION = "This deletes your drafts with their unsaved changes. This can't be undone."
TARGET = "usage-data"


def privacy(principal: Principal, user: User | None, drafts: int, *, note: Markup | None = None) -> Markup:
    """Return the section: the choice, stored drafts of a user who opted out, and what can be done with the content.

    `note` is the result of the last action.
    """
    data = [_choice(user), note, _drafts(drafts) if user is not None and user.opt_out and drafts else None]
    if HISTORY in principal.rights:
        data.append(el("div", _download(principal), _delete(), cls="answers"))
    return el("section", el("h2", "Your data"), *data, id=TARGET)


def _choice(user: User | None) -> Markup:
    if user is None:
        return el("p", NO_CHOICE, cls="muted")
    return checkbox(
        "Don't store my content",
        "opt_out",
        checked=user.opt_out,
        info=OPT_OUT_HELP,
        id="usage-opt-out",
        hx_post="ui/usage/opt_out",
        **_replace(),
    )


def _drafts(count: int) -> Markup:
    """Return how many drafts of earlier are stored, and a button that deletes them."""
    kept = "is" if count == 1 else "are"
    delete = confirm_button(
        "Delete my drafts",
        DELETE_DRAFTS_QUESTION,
        "Delete",
        id="usage-delete-drafts",
        hx_post="ui/usage/delete_drafts",
        **_replace(),
    )
    return el("div", el("p", f"{plural(count, 'earlier draft')} {kept} still stored.", role="status"), delete,
              cls="usage-drafts")  # fmt: skip


def _download(principal: Principal) -> Markup:
    where = urlencode({"user": principal.id})
    return el("a", "Download my requests", href=f"api/v1/history.jsonl?{where}", download="history.jsonl", cls="btn")


def _delete() -> Markup:
    return confirm_button(
        "Delete my content",
        DELETE_QUESTION,
        "Delete",
        id="usage-delete",
        hx_post="ui/usage/delete",
        **_replace(),
    )


def _replace() -> dict[str, str]:
    return {"hx_target": f"#{TARGET}", "hx_swap": "outerHTML"}
