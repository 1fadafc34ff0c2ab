"""Embeddings as the fake node makes them: of a text, its length, how many words it has, and a half."""

from __future__ import annotations

import json
from array import array
from base64 import b64encode
from typing import Any

from starlette.responses import JSONResponse, Response

JSON = "application/json"


def vector(text: str, dimensions: int = 3) -> list[float]:
    """The embedding of a text."""
    return ([float(len(text)), float(len(text.split())), 0.5] + [0.0] * dimensions)[:dimensions]


def embedded(fault: str, asked: dict[str, Any]) -> Response:
    """An answer to `asked`.

    Faults: count, nan, words, uneven, none, no-list, twice, shuffled, unnumbered, floats, no-usage, no-base64,
    no-dimensions, badjson, list, bad-base64; whatever else is a good answer.
    """
    if fault == "no-base64" and "encoding_format" in asked:
        return JSONResponse({"error": {"message": "encoding_format must be float."}}, 400)
    if fault in ("badjson", "list"):
        return Response("{not json" if fault == "badjson" else "[]", media_type=JSON)
    items = [{"object": "embedding", "index": n, "embedding": vec} for n, vec in enumerate(_vectors(fault, asked))]
    if asked.get("encoding_format") == "base64" and fault not in ("floats", "words", "none"):
        for item in items:
            item["embedding"] = b64encode(array("f", item["embedding"]).tobytes()).decode()
    answer: dict[str, Any] = {"object": "list", "data": _rearranged(fault, items), "model": asked["model"]}
    if fault != "no-usage":
        tokens = sum(len(text.split()) for text in asked["input"])
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Response(json.dumps(answer), media_type=JSON)


def _vectors(fault: str, asked: dict[str, Any]) -> list[Any]:
    size = 3 if fault == "no-dimensions" else asked.get("dimensions", 3)
    good: list[Any] = [vector(text, size) for text in asked["input"]]
    match fault:
        case "nan":
            good[-1][-1] = float("nan")
        case "words":
            good[-1] = ["a", "b", "c"]
        case "uneven":
            good[-1] = good[-1][:-1]
        case "none":
            good[-1] = None
    return good


def _rearranged(fault: str, items: list[dict[str, Any]]) -> Any:
    match fault:
        case "count":
            return items[:-1]
        case "shuffled":
            return items[::-1]
        case "twice":
            return [item | {"index": 0} for item in items]
        case "unnumbered":
            return [{"embedding": item["embedding"]} for item in items]
        case "bad-base64":
            return [item | {"embedding": "!!!"} for item in items]
        case "no-list":
            return {"0": items[0]}
    return items
