"""The chunks of documents that a response was given, as cards that open their place in the document."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.ui.kit.format import chip, el, plural
from herding.ui.kit.links import tab_address
from herding.values import Reference


def reference_cards(references: Sequence[Reference] | None) -> Markup | None:
    """Return the references as numbered cards; a note if nothing was found, None for a prompt without retrieval."""
    if references is None:
        return None
    if not references:
        return el("p", "No matching text was found in the collection.", cls="muted")
    head = el("summary", f"{plural(len(references), 'reference')} from documents")
    return el("details", head, el("ol", *map(_card, references), cls="reference-cards"), cls="references", open="")


def chunk_link(collection: str, document: str, place: str, number: int | None = None) -> Markup:
    """Return a link that opens a chunk in its document in the Knowledge tab."""
    chunk = "" if number is None else str(number)
    href = tab_address("knowledge", collection=collection, document=document, chunk=chunk)
    return el("a", join_place(document, place), href=href, title="Open in the Knowledge tab")


def join_place(document: str, place: str) -> str:
    """Return the name of a document with the place in it."""
    return f"{document} · {place}" if place else document


def score_text(reference: Reference, *more: str) -> Markup:
    """Return the score of a reference and what gave it, with further facts."""
    score = f"reranked {reference.score:.2f}" if reference.reranker else f"{reference.score:.2f}"
    title = f"Score of {reference.reranker}" if reference.reranker else "Similarity to the question"
    return el("span", " · ".join((score, *more)), cls="muted score", title=title)


def _card(reference: Reference) -> Markup:
    link = chunk_link(reference.collection, reference.document, reference.place, reference.chunk)
    head = el(
        "div",
        el("b", f"[{reference.number}]"),
        link,
        score_text(reference) if reference.score or reference.reranker else None,
        chip("Edited", "accent") if reference.edited else None,
        cls="reference-head",
    )
    text = el("details", el("summary", "Text"), el("pre", reference.text, cls="code", tabindex="0"))
    return el("li", head, text, value=str(reference.number))
