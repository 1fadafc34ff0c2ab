"""Completions of raw texts, and embeddings. A token id is a byte, so that ids and their text mean the same."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.upstream.answers import pieces
from tests.support.upstream.chats import CREATED, FINGERPRINT, count
from tests.support.upstream.conversation import Refused

DIMENSIONS = 8
EMPTY = "'$.input' is invalid."


def texts_of(given: Any, name: str) -> list[str]:
    """The texts of a request: one or several, or the token ids of one or several."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise Refused(EMPTY, param=name)
    if all(type(one) is int for one in given):
        return [_decoded(given)]
    return [one if isinstance(one, str) else _decoded(one) for one in given]


def _decoded(tokens: list[int]) -> str:
    try:
        return bytes(tokens).decode()
    except ValueError:
        raise Refused("Invalid token ids.", param="input") from None


def completion(body: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The whole response to one or several raw texts."""
    prompts = texts_of(body.get("prompt"), "prompt")
    wanted = [(prompt, choice) for prompt in prompts for choice in range(body.get("n") or 1)]
    choices = [_choice(prompt, choice, index, body) for index, (prompt, choice) in enumerate(wanted)]
    made, read = sum(count(one["text"]) for one in choices), sum(map(count, prompts))
    return {
        "id": f"cmpl-{number}",
        "object": "text_completion",
        "created": CREATED,
        "model": body["model"],
        "choices": choices,
        "usage": {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made},
        "system_fingerprint": FINGERPRINT,
    }


def _choice(prompt: str, choice: int, index: int, body: Mapping[str, Any]) -> dict[str, Any]:
    end = body.get("suffix") or "more"
    tokens = pieces(f" after {prompt.rsplit(maxsplit=1)[-1]} comes {end} {choice}")
    limit = body.get("max_tokens") or 16
    finish = "length" if len(tokens) > limit else "stop"
    tokens = tokens[:limit]
    if body.get("echo"):
        tokens = [*pieces(prompt), *tokens]
    logprobs = None if body.get("logprobs") is None else _logprobs(tokens, body["logprobs"])
    return {"text": "".join(tokens), "index": index, "logprobs": logprobs, "finish_reason": finish}


def _logprobs(tokens: list[str], alternatives: int) -> dict[str, Any]:
    values = [-0.25 * (n % 4) for n in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": values,
        "top_logprobs": [
            {f"{token}{'?' * k}": value - k for k in range(alternatives)}
            for token, value in zip(tokens, values, strict=True)
        ],
        "text_offset": [len("".join(tokens[:n])) for n in range(len(tokens))],
    }


def chunks(whole: Mapping[str, Any], *, include_usage: bool) -> Iterator[dict[str, Any]]:
    """The same response in chunks."""
    shared = {**whole, "usage": None}
    for choice in whole["choices"]:
        found = choice["logprobs"]
        for n, token in enumerate(pieces(choice["text"])):
            logprobs = {key: values[n : n + 1] for key, values in found.items()} if found else None
            yield {**shared, "choices": [{**choice, "text": token, "logprobs": logprobs, "finish_reason": None}]}
        yield {**shared, "choices": [{**choice, "text": "", "logprobs": None}]}
    if include_usage:
        yield {**shared, "choices": [], "usage": whole["usage"]}


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """A vector for each text, of length 1."""
    texts = texts_of(body.get("input"), "input")
    size = body.get("dimensions") or DIMENSIONS
    encode = _encoded if body.get("encoding_format") == "base64" else list
    data = [{"object": "embedding", "index": n, "embedding": encode(vector(one, size))} for n, one in enumerate(texts)]
    read = sum(map(count, texts))
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def vector(text: str, size: int = DIMENSIONS) -> list[float]:
    """The vector of a text, in numbers that 32 bits hold."""
    digest = hashlib.shake_256(text.encode()).digest(size)
    numbers = [byte - 127.5 for byte in digest]
    length = math.hypot(*numbers)
    return list(struct.unpack(f"<{size}f", struct.pack(f"<{size}f", *(one / length for one in numbers))))


def _encoded(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
