"""The parts that the sections of the Access tab share."""

from __future__ import annotations

from markupsafe import Markup

from herding.ui.kit.fields import back_button, close_button, text_field
from herding.ui.kit.format import el, plural

MAX_ROWS = 100
MAX_SEARCH = 200


def search_field(placeholder: str, name: str, url: str, target: str, value: str) -> Markup:
    """Return the search of a list; one request while typing pauses."""
    return text_field(
        "Search",
        "q",
        value,
        kind="search",
        hidden_label=True,
        placeholder=placeholder,
        id=name,
        hx_get=url,
        hx_target=f"#{target}",
        hx_trigger="input delay:200ms, shown from:closest .view",
        hx_sync="this:replace",
    )


def matches(search: str, *texts: str) -> bool:
    """Return whether the words of a search stand in the texts, in any order; case is ignored."""
    text = " ".join(texts).casefold()
    return all(word in text for word in search[:MAX_SEARCH].casefold().split())


def row_count(count: int, noun: str) -> Markup:
    """Return how many rows there are, and that more than `MAX_ROWS` are cut."""
    cut = f"First {MAX_ROWS} of {count:,}. Search to see others." if count > MAX_ROWS else ""
    return el("p", cut or plural(count, noun), cls="muted count", role="status")


def drawer_head(title: str, *marks: object) -> Markup:
    """Return the head of the details of a row, with the buttons that close them."""
    return el("div", back_button(), el("h2", title), *marks, close_button(), cls="access-head")
