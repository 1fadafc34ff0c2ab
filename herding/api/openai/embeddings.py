"""Embeddings in OpenAI's form."""

from __future__ import annotations

import asyncio

from fastapi import Response

from herding.api.http.reply import dump
from herding.nodes.openai_response import Vector, encode_vector
from herding.values import Embeddings, Outcome


async def embedded(outcome: Outcome, made: Embeddings, *, packed: bool) -> Response:
    """The vectors as lists of numbers, or packed in base64, which is what official clients ask for."""
    body = await asyncio.to_thread(_body, outcome, made, packed)  # megabytes, and requests go on meanwhile
    return Response(body, headers={"x-request-id": outcome.request_id}, media_type="application/json")


def _body(outcome: Outcome, made: Embeddings, packed: bool) -> bytes:
    tokens = outcome.usage.input_tokens
    end = dump({"model": outcome.model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
    items = b",".join(_item(index, vector, packed) for index, vector in enumerate(made.vectors))
    return b'{"object":"list","data":[' + items + b"]," + end.removeprefix(b"{")


def _item(index: int, vector: Vector, packed: bool) -> bytes:
    """One vector; written by itself, so that other threads get their turn in between."""
    return dump({"object": "embedding", "index": index, "embedding": encode_vector(vector) if packed else vector})
