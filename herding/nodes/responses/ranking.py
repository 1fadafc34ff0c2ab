"""Parses the responses of servers that score documents: vLLM, llama.cpp, Jina, Cohere and text-embeddings-inference."""

from __future__ import annotations

import json
import math
from typing import Any

from herding.errors import BadResponseError
from herding.nodes import http
from herding.nodes.responses.reported_error import is_error, read_error
from herding.nodes.responses.usage import read_usage
from herding.values import Ranking


def parse_ranking(content: bytes, count: int, *, node: str) -> Ranking:
    """Return the scores of a response in the order of its documents; raise NodeError unless each has a valid one.

    Without the tokens of the response, those of the ranking are 0.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise BadResponseError(f"Node '{node}' sent scores that are not valid JSON.") from None
    if is_error(data):
        raise http.error_of(read_error(data), node)
    items = data.get("results", data.get("data")) if isinstance(data, dict) else data
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadResponseError(f"Node '{node}' sent a response without scores.")
    scores = {index: _score(item) for item in items if type(index := item.get("index")) is int}
    if len(items) != count or scores.keys() != set(range(count)) or not all(map(math.isfinite, scores.values())):
        raise BadResponseError(f"Node '{node}' sent no valid score for each of {count:,} documents.")
    usage = read_usage(data) if isinstance(data, dict) else None
    ranked = tuple(scores[place] for place in range(count))
    return Ranking(ranked) if usage is None else Ranking(ranked, usage.input_tokens + usage.output_tokens, "node")


def _score(item: dict[str, Any]) -> float:
    """Return the score in an item of a response, not a number where there is none."""
    score = item.get("relevance_score", item.get("score"))
    try:
        return float(score) if isinstance(score, int | float) and not isinstance(score, bool) else math.nan
    except OverflowError:
        return math.nan
