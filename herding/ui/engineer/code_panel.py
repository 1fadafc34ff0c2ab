"""The panel "Use it elsewhere": what is on the desk as calls to copy into other programs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from markupsafe import Markup

from herding.access.operations import RATE, RUN
from herding.ui.engineer import code_snippets
from herding.ui.engineer.code_snippets import KINDS, SCORES, Wanted
from herding.ui.engineer.editor import asked
from herding.ui.engineer.session_state import SessionState, is_new
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, empty_state, join
from herding.ui.kit.theme import ASSETS
from herding.values import Principal

SCRIPT = (ASSETS / "calls.js").read_text(encoding="utf-8")
LONG_LINK = 8000
"""Characters; many programs take no longer link."""

_OWN_NOTES: dict[str, list[object]] = {
    "javascript": ["For pages of this address; those of other sites use the link, where the prompt's cors names them."],
    "node": [join(["Save it as ", el("code", "call.mjs"), "; Node 18 or newer runs it."])],
}
NOT_SAVED = empty_state("Not saved yet", "Save the prompt; the calls for it appear here then.")
NO_PROMPT = empty_state("Nothing to call yet", "Choose a prompt; the calls for it appear here.")


class CodePanel:
    """Layout of the panel, and its handlers; while it is folded nothing is written."""

    def __init__(self, desk: gr.State, model: gr.Dropdown) -> None:
        self._desk, self._model, self._followed = desk, model, 0
        self.open = gr.State(False)
        with gr.Accordion("Use it elsewhere", open=False, elem_id="calls-section") as self.section:
            self.calls = gr.HTML(NO_PROMPT, js_on_load=SCRIPT, apply_default_css=False, elem_id="calls")
        now, inputs = {"queue": False, "trigger_mode": "always_last"}, [desk, model]
        on(self.section.expand, self.unfold, inputs, [self.open, self.calls], name="calls", **now)
        on(self.section.collapse, self.fold, [], [self.open], name="calls_away", **now)
        on(model.input, self.again, [self.open, *inputs], [self.calls], name="calls_model", **now)

    def follow(self, event: Any) -> None:
        """Write the calls anew after an event that changed what is on the desk."""
        self._followed += 1
        inputs, name = [self.open, self._desk, self._model], f"calls_again_{self._followed}"
        on(event.then, self.again, inputs, [self.calls], name=name, queue=False)

    @requires(RUN)
    async def unfold(self, desk: SessionState, model: str | None, request: gr.Request) -> list[Any]:
        """The panel is opened."""
        return [True, shown(desk, model or None, principal_of(request), address(request))]

    @requires(RUN)
    async def fold(self) -> Any:
        """The panel is folded away; nobody reads it."""
        return False

    @requires(RUN)
    async def again(self, is_open: bool, desk: SessionState, model: str | None, request: gr.Request) -> Any:
        """Something on the desk changed."""
        return shown(desk, model or None, principal_of(request), address(request)) if is_open else gr.skip()


def shown(desk: SessionState, model: str | None, principal: Principal, base: str) -> Markup:
    """The calls of the prompt on the desk, one of them in permissions."""
    if desk.prompt is None or is_new(desk.prompt):
        return NOT_SAVED if desk.prompt else NO_PROMPT
    wanted, outcome = _wanted(desk, model, principal, base), desk.draft.outcome
    rated = outcome is not None and RATE in principal.rights
    score = wanted.score(outcome.request_id, desk.draft.stars or 5) if outcome and rated else None
    parts = [_choices()]
    for number, (kind, (label, write)) in enumerate(KINDS.items()):
        blocks: list[Markup] = [*_block(write(wanted), f"{label}: run the prompt"), *_notes(kind, wanted, desk)]
        if score and kind in SCORES:
            words = "Give this answer its stars; every answer brings its own request_id."
            blocks += [el("p", words, cls="call-next"), *_block(SCORES[kind](score), f"{label}: give stars")]
        parts.append(el("div", *blocks, cls="call", data_call=kind, hidden="" if number else None))
    return join(parts)


def address(request: gr.Request) -> str:
    """Where the browser finds the app, without a slash at the end.

    The page that sent the event says it best: it stands at the root, and no proxy on the way changes its address.
    """
    headers = getattr(request, "headers", {})
    page, origin = _split(headers.get("referer")), headers.get("origin")
    if page and origin in (None, f"{page.scheme}://{page.netloc}"):
        return f"{page.scheme}://{page.netloc}{page.path.rpartition('/')[0]}"
    return str(getattr(request, "base_url", "")).rstrip("/")


def _split(url: str | None) -> Any:
    """The parts of an address of a page, None where it is none."""
    try:
        parts = urlsplit(url or "")
        fits = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        return None
    return parts if fits else None


def _wanted(desk: SessionState, model: str | None, principal: Principal, base: str) -> Wanted:
    request = asked(desk, model=model)
    variables = desk.prompt.variables if desk.prompt else {}
    return Wanted(
        base=base,
        prompt=request.prompt,
        variables=code_snippets.values_of(variables, desk.draft.values),
        model=request.model,
        parameters={name: code_snippets.plain(value) for name, value in request.parameters.given().items()},
        token=principal.token is not None,
    )


def _choices() -> Markup:
    """One of the kinds, chosen as one of several radio buttons."""
    radios = [
        el("label", el("input", type="radio", name="calls-choice", value=kind), el("span", label))
        for kind, (label, _) in KINDS.items()
    ]
    return el("fieldset", el("legend", "Call it with", cls="sr"), *radios, cls="segments")


def _block(text: str, label: str) -> list[Markup]:
    shown = el("pre", text, cls="code", tabindex="0", role="region", aria_label=label)
    copy = el("button", "Copy", type="button", cls="copy", aria_label=f"Copy. {label}")
    return [el("div", shown, copy, cls="call-text")]


def _notes(kind: str, wanted: Wanted, desk: SessionState) -> list[Markup]:
    """What a reader has to know before the call does elsewhere what a run does here."""
    notes: list[object] = [*_token_notes(kind, wanted), *_OWN_NOTES.get(kind, ())]
    if kind == "openai" and wanted.model:
        notes.append("This client names the prompt in the place of the model; the routing chooses the model.")
    if kind == "link" and (wanted.model or wanted.parameters):
        notes.append("A link carries variables only; the model and the parameters are the prompt's own.")
    if kind == "link" and len(code_snippets.link(wanted)) > LONG_LINK:
        notes.append("This link is very long; many programs will not take it.")
    if desk.draft.template is not None or desk.draft.whole is not None:
        notes.append("The prompt is edited and not saved; the call runs the prompt as it is saved.")
    if desk.prompt and desk.prompt.chat and kind not in ("link", "openai"):
        notes.append(join(["Add a ", el("code", "session_id"), " of your own, and its turns are remembered."]))
    return [el("ul", *(el("li", note) for note in notes), cls="call-notes muted")] if notes else []


def _token_notes(kind: str, wanted: Wanted) -> list[Markup]:
    if not wanted.token:
        return []
    if kind == "link":
        header = el("code", f"Authorization: Bearer ${code_snippets.VARIABLE}")
        return [join(["A browser that is logged in opens it as it is; a program sends the header ", header, "."])]
    return [
        join([el("code", code_snippets.VARIABLE), " stands for an access token of yours; the Access tab makes one."])
    ]
