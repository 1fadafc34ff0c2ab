"""The stars and the comment of the user on a response, and the ratings of all users."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from herding.access.operations import HISTORY
from herding.ui.kit.fields import button, star_field, text_field
from herding.ui.kit.format import el, join, rating_list
from herding.values import Entry, Principal

RATING_SAVED = el("span", "✓ Rating saved", cls="saved")
COMMENT_SAVED = el("span", "✓ Comment saved", cls="saved")


def feedback(request_id: str, *, entry: Entry | None = None, reader: Principal | None = None, path: str = "") -> Markup:
    """Return the fields to rate a response; `entry` has what was given already.

    path: the route of requests, with `<request_id>/rate` and `<request_id>/comment`, of another tab than this one.
    """
    rate, write = (
        f"{path}/{request_id}/{action}" if path else f"ui/engineer/{action}/{request_id}"
        for action in ("rate", "comment")
    )
    target: dict[str, Any] = {"hx_target": "next .feedback-news", "hx_swap": "innerHTML"}
    stars = star_field(entry.stars if entry else None, "Rate this response", hx_post=rate, **target)
    text = (entry.comment if entry else None) or ""
    comment = el(
        "form",
        text_field(
            "Comment", "comment", text, lines=2, placeholder="What was good or bad?", id=f"comment-{request_id}"
        ),
        button("Save comment", submit=True),
        cls="comment-form",
        hx_post=write,
        **target,
    )
    commented = el("details", el("summary", "Comment"), comment, open="" if text else None, cls="comment-box")
    own = _ratings(entry, reader) if entry and reader else None
    return el("div", stars, commented, el("div", own, cls="feedback-news", role="status"), cls="response-feedback")


def news(saved: Markup, entry: Entry | None, who: Principal) -> Markup:
    """Return what was saved, with the ratings of all users."""
    return join([saved, _ratings(entry, who) if entry else None])


def _ratings(entry: Entry, reader: Principal) -> Markup | None:
    others = any(rating.principal != reader.id for rating in entry.ratings)
    if HISTORY not in reader.rights or not others:
        return None
    return join([el("h3", "Ratings and comments"), rating_list(entry, reader.id)])
