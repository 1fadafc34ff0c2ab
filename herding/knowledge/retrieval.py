"""Fills a variable of a prompt with chunks of a collection, each in a frame that its text can't close."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from herding.access.roles import allows
from herding.errors import AccessError, NotFoundError, UserError
from herding.knowledge.search import CollectionSearch
from herding.prompts.render import insert
from herding.prompts.retrieval import Retrieval
from herding.prompts.variables import clean_parameter
from herding.store import Store
from herding.values import Collection, ContextChunk, FoundChunk, Principal, Reference

CHARS_PER_TOKEN = 4
MAX_GIVEN = 50
"""Chunks that a request may bring along."""

MAX_GIVEN_CHARS = 20_000
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
        collection = await self._collection(retrieval.collection, who)
        question = insert(retrieval.query, values)
        if not question.strip():
            return Retrieved()
        found = await self._search.find(
            collection,
            question,
            top_k=retrieval.top_k,
            filters={name: _filled(value, values) for name, value in retrieval.filters.items()},
            min_similarity=retrieval.min_similarity,
            rerank=retrieval.rerank,
        )
        return framed(found, max_tokens=retrieval.max_tokens)

    async def given(self, retrieval: Retrieval, chunks: Sequence[ContextChunk], who: Principal) -> Retrieved:
        """Return chunks that a person chose and perhaps edited, in their order; AccessError as in `retrieve`.

        Raises UserError for a chunk that is not in the collection any more.
        """
        collection = await self._collection(retrieval.collection, who)
        if len(chunks) > MAX_GIVEN:
            raise UserError(f"A run takes at most {MAX_GIVEN} chunks.", param="context")
        stored = await self._store.found_chunks([given.chunk for given in chunks])
        frames = _Frames()
        for given in chunks:
            found = stored.get(given.chunk)
            if found is None or found.collection != collection.name:
                message = f"Chunk {given.chunk} is not in the collection '{collection.name}' any more. Search again."
                raise UserError(message, param="context")
            text = clean_parameter(given.text.strip(), "context", subject="A chunk")
            if len(text) > MAX_GIVEN_CHARS:
                raise UserError(f"A chunk has at most {MAX_GIVEN_CHARS:,} characters.", param="context")
            whole = framed((found,), max_tokens=retrieval.max_tokens).references[0].text
            edited = text not in (found.chunk.text.strip(), whole.strip())
            tokens = len(text) // CHARS_PER_TOKEN if edited else found.chunk.tokens
            frames.add(found, text, tokens=tokens, edited=edited)
        return frames.retrieved()

    async def _collection(self, name: str, who: Principal) -> Collection:
        if not allows(who.collections, name):
            message = f"This prompt retrieves from the collection '{name}', which the role '{who.role}' may not use."
            raise AccessError(f"{message} Ask an admin to add it to allow_collections.")
        try:
            return await self._store.collection(name)
        except NotFoundError:
            raise UserError(f"This prompt retrieves from the collection '{name}'. Create it first.") from None


class _Frames:
    """Numbered frames as they are added, each with its reference."""

    def __init__(self) -> None:
        self._frames: list[str] = []
        self.references: list[Reference] = []

    def add(self, one: FoundChunk, text: str, *, tokens: int, edited: bool = False) -> None:
        """Add a chunk."""
        number = len(self.references) + 1
        self.references.append(
            Reference(
                number,
                one.collection,
                one.document,
                one.title,
                one.chunk_id,
                one.chunk.place,
                one.score if one.reranker else one.similarity,
                text,
                tokens,
                edited,
                one.reranker,
            )
        )
        head = f'<document number="{number}" title="{_attribute(one.title)}" place="{_attribute(one.chunk.place)}">'
        self._frames.append(f"{head}\n{_MARKUP.sub('&lt;', text)}\n</document>")

    def retrieved(self) -> Retrieved:
        """Return all frames as one text."""
        return Retrieved("\n".join(self._frames), tuple(self.references))


def framed(found: tuple[FoundChunk, ...], *, max_tokens: int) -> Retrieved:
    """Return chunks in numbered frames, as many as have at most `max_tokens` tokens; the first is cut to fit."""
    frames = _Frames()
    left = max_tokens
    for one in found:
        text = one.chunk.text.strip()
        tokens = one.chunk.tokens or len(text) // CHARS_PER_TOKEN
        cost = tokens + FRAME_TOKENS
        if cost > left:
            if frames.references:
                break
            text = text[: max(1, len(text) * max(1, left - FRAME_TOKENS) // cost)]
            tokens = max(1, left - FRAME_TOKENS)
        left -= cost
        frames.add(one, text, tokens=tokens)
    return frames.retrieved()


def _attribute(text: str) -> str:
    """Return a text that stands between quotes of a frame."""
    return escape(" ".join(text.split()), quote=True)[:200]


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return insert(value, values) if isinstance(value, str) else value
