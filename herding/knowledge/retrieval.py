"""Fills a variable of a prompt with chunks of a collection, each in a frame that its text can't close."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from herding.access.roles import allows
from herding.errors import AccessError, NotFoundError, UserError
from herding.knowledge.search import CollectionSearch
from herding.prompts.render import insert
from herding.prompts.retrieval import Retrieval
from herding.store import Store
from herding.values import FoundChunk, Principal, Reference

CHARS_PER_TOKEN = 4
FRAME_TOKENS = 25
"""The tokens that a frame is assumed to have."""

_MARKUP = re.compile(r"<(?=\s*/?\s*(?:document|sources?)\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The text for the variable of a prompt, empty where nothing was found, and the chunks that are in it."""

    text: str = ""
    references: tuple[Reference, ...] = ()


class Retriever:
    """Retrieves for prompts. A caller needs no right but a pattern of collections that includes the prompt's."""

    def __init__(self, *, store: Store, search: CollectionSearch) -> None:
        self._store, self._search = store, search

    async def retrieve(self, retrieval: Retrieval, values: Mapping[str, Any], who: Principal) -> Retrieved:
        """Return what fits the values of a prompt; AccessError for a collection that the role may not use."""
        name = retrieval.collection
        if not allows(who.collections, name):
            message = f"This prompt retrieves from the collection '{name}', which the role '{who.role}' may not use."
            raise AccessError(f"{message} Ask an admin to add it to allow_collections.")
        try:
            collection = await self._store.collection(name)
        except NotFoundError:
            raise UserError(f"This prompt retrieves from the collection '{name}'. Create it first.") from None
        question = insert(retrieval.query, values)
        if not question.strip():
            return Retrieved()
        found = await self._search.find(
            collection,
            question,
            top_k=retrieval.top_k,
            filters={name: _filled(value, values) for name, value in retrieval.filters.items()},
            min_similarity=retrieval.min_similarity,
        )
        return framed(found, max_tokens=retrieval.max_tokens)


def framed(found: tuple[FoundChunk, ...], *, max_tokens: int) -> Retrieved:
    """Return chunks in numbered frames, as many as have at most `max_tokens` tokens; the first is cut to fit."""
    frames: list[str] = []
    references: list[Reference] = []
    left = max_tokens
    for one in found:
        text = one.chunk.text.strip()
        cost = (one.chunk.tokens or len(text) // CHARS_PER_TOKEN) + FRAME_TOKENS
        if cost > left:
            if references:
                break
            text = text[: max(1, len(text) * max(1, left - FRAME_TOKENS) // cost)]
        left -= cost
        number = len(references) + 1
        references.append(
            Reference(
                number, one.collection, one.document, one.title, one.chunk_id, one.chunk.place, one.similarity, text
            )
        )
        head = f'<document number="{number}" title="{_attribute(one.title)}" place="{_attribute(one.chunk.place)}">'
        frames.append(f"{head}\n{_MARKUP.sub('&lt;', text)}\n</document>")
    return Retrieved("\n".join(frames), tuple(references))


def _attribute(text: str) -> str:
    """Return a text that stands between quotes of a frame."""
    return escape(" ".join(text.split()), quote=True)[:200]


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return insert(value, values) if isinstance(value, str) else value
