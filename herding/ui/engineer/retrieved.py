"""The chunks that a run would get: seen, edited or left out for the next run.

While the section shows none, each run retrieves by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from herding.access.operations import RUN
from herding.errors import HerdingError
from herding.knowledge.retrieval import Retrieved
from herding.orchestrator import Orchestrator
from herding.ui.engineer.form import EditedPrompt, read_form, run_request
from herding.ui.engineer.form_data import normalized
from herding.ui.kit.fields import button, checkbox, hidden_field, select_field
from herding.ui.kit.format import el, join, plural
from herding.ui.kit.responses.references import chunk_link, score_text
from herding.ui.kit.views import Call, fragment
from herding.values import ContextChunk, Reference, Request

_TARGET = "engineer-retrieved-list"


def section(edited: EditedPrompt, *, rerankers: Sequence[str] | None = None) -> Markup | None:
    """Return the section of a prompt with retrieval; None for others.

    With `rerankers`, one of them can be selected for the prompt.
    """
    retrieval = (edited.data or edited.saved.content).get("retrieval")
    if not isinstance(retrieval, dict):
        return None
    return el(
        "section",
        el("h2", "Retrieved"),
        None if rerankers is None else _rerank_field(str(retrieval.get("rerank") or ""), rerankers),
        el("div", _automatic(str(retrieval.get("collection") or "")), id=_TARGET, aria_live="polite"),
        id="retrieved-section",
        cls="engineer-section",
    )


def _rerank_field(chosen: str, rerankers: Sequence[str]) -> Markup | None:
    """Return the list of rerankers with the one of the prompt; None where there is nothing to select."""
    models = dict.fromkeys([*([chosen] if chosen else []), *rerankers])
    if not models:
        return None
    options = [("None", ""), *((model, model) for model in models)]
    field = select_field(
        "Reranker", "retrieval.rerank", options, chosen, info="Orders the chunks by its own scores",
        id="retrieval-rerank",
    )  # fmt: skip
    return join([hidden_field("part", "retrieval"), field])


def with_context(request: Request, call: Call) -> Request:
    """Return a request with the chunks that the page shows, as they were edited; unchanged where it shows none."""
    if call.text("context.shown") != "on":
        return request
    used = set(call.texts("context.use"))
    chunks = zip(call.texts("context.chunk"), call.texts("context.text"), strict=False)
    return replace(
        request,
        context=tuple(
            ContextChunk(int(chunk), normalized(text)) for chunk, text in chunks if chunk in used and chunk.isdecimal()
        ),
    )


class RetrievedRoutes:
    """The routes of the section; the tab inherits them."""

    _orchestrator: Orchestrator

    @fragment("POST", "/retrieved", RUN)
    async def retrieved(self, call: Call) -> Markup:
        """Return the chunks that a run with these values would get, each with a field for its text."""
        edited = await read_form(call, self._orchestrator)
        try:
            found = await self._orchestrator.pipeline.retrieve(run_request(edited), call.principal)
        except HerdingError as error:
            return join([el("p", error.message, cls="wrong", role="alert"), _buttons(shown=False)])
        return _listed(found or Retrieved())

    @fragment("POST", "/retrieved/automatic", RUN)
    async def retrieve_by_itself(self, call: Call) -> Markup:
        """Let each run retrieve by itself again."""
        edited = await read_form(call, self._orchestrator)
        retrieval = (edited.data or edited.saved.content).get("retrieval") or {}
        return _automatic(str(retrieval.get("collection") or ""))


def _automatic(collection: str) -> Markup:
    text = (
        f"Each run searches the collection {collection}. Search now to see the chunks and edit them for the next run."
    )
    return join([el("p", text, cls="muted"), _buttons(shown=False)])


def _buttons(*, shown: bool) -> Markup:
    def post(label: str, path: str, id: str) -> Markup:
        attributes: dict[str, Any] = {"hx_post": f"ui/engineer/{path}", "hx_include": "#engineer-form"}
        return button(label, id=id, hx_target=f"#{_TARGET}", hx_swap="innerHTML", **attributes)

    search = post("Search again" if shown else "Search", "retrieved", "retrieved-search")
    clear = post("Retrieve automatically", "retrieved/automatic", "retrieved-automatic") if shown else None
    return el("div", search, clear, cls="answers")


def _listed(found: Retrieved) -> Markup:
    tokens = sum(reference.tokens for reference in found.references)
    if found.references:
        count = f"{plural(len(found.references), 'chunk')}, {plural(tokens, 'token')}"
        head = f"Runs use these chunks ({count}) until you search again."
    else:
        head = "No matching text was found in the collection. Runs get no chunks until you search again."
    return join(
        [
            hidden_field("context.shown"),
            el("p", head, cls="muted"),
            el("ol", *map(_item, found.references), cls="engineer-chunks") if found.references else None,
            _buttons(shown=True),
        ]
    )


def _item(reference: Reference) -> Markup:
    chunk = str(reference.chunk)
    label = checkbox(f"Use [{reference.number}]", "context.use", checked=True, value=chunk, id=f"context-use-{chunk}")
    facts = score_text(reference, plural(reference.tokens, "token"))
    link = chunk_link(reference.collection, reference.document, reference.place, reference.chunk)
    rows = str(min(12, 2 + reference.text.count("\n")))
    name = f"Text of [{reference.number}] {reference.document}"
    area = el("textarea", f"\n{reference.text}", name="context.text", rows=rows, cls="input", aria_label=name)
    hidden = hidden_field("context.chunk", chunk)
    return el("li", el("div", label, link, facts, cls="reference-head"), hidden, area, data_chunk=chunk)
