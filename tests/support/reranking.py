"""Scores of documents as the fake node makes them: the number of words of the query that a document has."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response


def score(query: str, document: str) -> float:
    """The score of a document."""
    return float(len({*query.split()} & {*document.split()}))


def ranked(form: str, asked: dict[str, Any]) -> Response:
    """An answer to `asked` in the form of vllm, llama.cpp, jina or cohere; short, twice and words are wrong."""
    scores = [score(asked["query"], document) for document in asked["documents"]]
    items: list[dict[str, Any]] = [{"index": place, "relevance_score": found} for place, found in enumerate(scores)]
    best = sorted(items, key=lambda item: -item["relevance_score"])
    match form:
        case "vllm":
            for item in best:
                item["document"] = {"text": asked["documents"][item["index"]]}
            return JSONResponse({"id": "rerank-1", "model": form, "usage": {"total_tokens": 21}, "results": best})
        case "llama.cpp":  # logits, in the order of the documents
            logits = [{**item, "relevance_score": item["relevance_score"] - 5} for item in items]
            usage = {"prompt_tokens": 21, "total_tokens": 21}
            return JSONResponse({"model": form, "object": "list", "usage": usage, "results": logits})
        case "cohere":
            return JSONResponse({"id": "1", "results": best, "meta": {"billed_units": {"search_units": 1}}})
        case "short":
            return JSONResponse({"results": best[1:]})
        case "twice":
            return JSONResponse({"results": [items[0]] * len(items)})
        case "words":
            return JSONResponse({"results": [{**item, "relevance_score": "high"} for item in items]})
    return JSONResponse({"model": form, "object": "list", "usage": {"total_tokens": 21}, "results": best})


def ranked_by_tei(asked: dict[str, Any]) -> Response:
    """The same of text-embeddings-inference, which takes 32 texts."""
    if "texts" not in asked:
        return Response("Failed to deserialize the JSON body into the target type: missing field `texts`", 422)
    if len(asked["texts"]) > 32:
        message = f"batch size {len(asked['texts'])} > maximum allowed batch size 32"
        return JSONResponse({"error": message, "error_type": "Validation"}, 422)
    items = [{"index": place, "score": score(asked["query"], text)} for place, text in enumerate(asked["texts"])]
    return JSONResponse(sorted(items, key=lambda item: -item["score"]))
