"""The form that adds a node, with a test request."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import MANAGE_NODES
from herding.errors import ConfigError, HerdingError, UserError
from herding.orchestrator import Orchestrator
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import duration, el, join, panel, success
from herding.values import Exchange
from herding.yaml_files import YamlDocument

OPENAI, ENGINE, TEMPLATE = "openai", "herding", "template"
KINDS = {
    OPENAI: "OpenAI-compatible server",
    ENGINE: "Herding engine on another machine",
    TEMPLATE: "Any HTTP API (template)",
}
URLS = {
    OPENAI: "http://127.0.0.1:8000/v1",
    ENGINE: "http://127.0.0.1:8100",
    TEMPLATE: "http://127.0.0.1:8008/api/generate",
}
SECRET_HELP = {
    OPENAI: "API key, if the server requires one",
    ENGINE: "HERDING_NODE_SECRET of the engine",
    TEMPLATE: "Replaces {SECRET} in the template",
}
EXAMPLE = """# Required: {USER_PROMPT} or {MESSAGES}. Write placeholders in quotes.
# Optional: {MODEL_NAME} {MODEL_TEMPERATURE} {MAX_TOKENS} {SYSTEM_PROMPT} {SECRET}
method: POST
headers: {}          # with a key: Authorization: "Bearer {SECRET}"
body:
  input: "{USER_PROMPT}"
  model_name: "{MODEL_NAME}"
  temperature: "{MODEL_TEMPERATURE}"
response_extract: ""  # path of the text, such as data.items[].attributes.answer (empty: use everything)
stream: false         # or sse, or lines
"""
FIELDS = ("kind", "name", "url", "base_url", "models", "secret", "owner")
"""Keys that have a field of their own and must not be in the template."""


class NodeForm:
    """The form and its handlers."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._registry = orchestrator.registry
        with gr.Accordion("Add node", open=False, visible=False, elem_id="node-form") as self.box:
            with gr.Row(elem_classes=["field-row"]):
                kinds = [(label, kind) for kind, label in KINDS.items()]
                self.kind = gr.Dropdown(
                    kinds, value=OPENAI, label="Kind", interactive=True, min_width=240, elem_id="node-kind"
                )
                self.name = _text("Name", "node-name", info="Letters, digits and . _ -", max_length=64)
            with gr.Row(elem_classes=["field-row"]):
                self.url = _text("URL", "node-url", placeholder=URLS[OPENAI])
                self.models = _text("Models", "node-models", info="Model IDs, comma-separated")
            self.secret = _text("Secret", "node-secret", info=SECRET_HELP[OPENAI], type="password")
            self.template = gr.Code(
                EXAMPLE,
                language="yaml",
                label="Template",
                lines=12,
                max_lines=24,
                wrap_lines=True,
                interactive=True,
                visible=False,
                elem_id="node-template",
            )
            self.prompt = _text("Test prompt", "node-prompt", value="Hello! Who are you?")
            with gr.Row(elem_classes=["answers"]):
                self.test = gr.Button("Test node", size="sm", elem_id="node-test")
                self.add = gr.Button("Add node", variant="primary", size="sm", elem_id="node-add")
            self.note = gr.HTML(elem_id="node-note", elem_classes=["note"])
            self.exchange = gr.HTML(elem_id="node-exchange", elem_classes=["note"])
        self._wire()

    def _wire(self) -> None:
        by_kind = [self.url, self.models, self.secret, self.template]
        on(self.kind.change, self.choose_kind, [self.kind], by_kind, name="node_kind", queue=False)
        results = [self.note, self.exchange]
        on(self.test.click, self.test_node, [*self.fields, self.prompt], [self.test, *results], name="node_test")
        on(self.add.click, self.add_node, self.fields, [self.add, self.name, self.secret, *results], name="node_add")

    @property
    def fields(self) -> list[Any]:
        return [self.kind, self.name, self.url, self.models, self.secret, self.template]

    @requires(MANAGE_NODES)
    async def choose_kind(self, kind: str | None) -> list[Any]:
        """Show the fields of a kind."""
        kind = kind if kind in URLS else OPENAI
        return [
            gr.update(placeholder=URLS[kind]),
            gr.update(visible=kind != ENGINE),
            gr.update(info=SECRET_HELP[kind]),
            gr.update(visible=kind == TEMPLATE),
        ]

    @requires(MANAGE_NODES)
    async def test_node(self, request: gr.Request, *given: Any) -> AsyncGenerator[list[Any], None]:
        """Send the test prompt, and show the request and the response."""
        yield [gr.update(value="Testing …", interactive=False), "", ""]
        *fields, prompt = given
        note, shown = "", ""
        try:
            node = read_node(fields, "test")
            shown = _exchange(await self._registry.test_call(node, str(prompt or "Hello!"), principal_of(request)))
        except HerdingError as error:
            note = panel("bad", "Test failed", el("p", error.message), role="alert")
        yield [gr.update(value="Test node", interactive=True), note, shown]

    @requires(MANAGE_NODES)
    async def add_node(self, request: gr.Request, *fields: Any) -> AsyncGenerator[list[Any], None]:
        """Add the node, then clear its name and secret."""
        yield [gr.update(value="Adding …", interactive=False), gr.skip(), gr.skip(), "", gr.skip()]
        button = gr.update(value="Add node", interactive=True)
        try:
            node = await self._registry.add(read_node(fields), principal_of(request))
        except HerdingError as error:
            failed = panel("bad", "Node not added", el("p", error.message), role="alert")
            yield [button, gr.skip(), gr.skip(), failed, gr.skip()]
            return
        yield [button, "", "", success(f"{node.name} ({KINDS[node.kind]}) added. State: {node.status.state}."), ""]


def read_node(fields: Sequence[Any], default_name: str = "") -> dict[str, Any]:
    """Return the node of the form as an entry of the nodes file; raise UserError for an invalid template."""
    kind, name, url, models, secret, template = ("" if field is None else str(field) for field in fields)
    node: dict[str, Any] = {"kind": kind, "name": name.strip() or default_name}
    node["url" if kind == TEMPLATE else "base_url"] = url.strip()
    if kind != ENGINE:
        node["models"] = [model.strip() for model in re.split(r"[,\n]", models) if model.strip()]
    if secret:
        node["secret"] = secret
    return {**node, **_parse_template(template)} if kind == TEMPLATE else node


def _parse_template(text: str) -> Mapping[str, Any]:
    try:
        source = YamlDocument(text)
    except ConfigError as error:
        line = f", line {error.line}" if error.line else ""
        raise UserError(f"Fix the template{line}: {error.reason}.", param="template") from None
    data = source.data
    if not isinstance(data, dict):
        raise UserError(
            "The template must be a YAML map with method, headers, body, response_extract and stream.", param="template"
        )
    if taken := [field for field in FIELDS if field in data]:
        raise UserError(f"Remove '{taken[0]}' from the template and use its field instead.", param="template")
    texts = {part: source.data_as_written((part,)) for part in ("headers", "query") if part in data}
    return data | texts


def _exchange(exchange: Exchange) -> Markup:
    """Return the result of a test request, then the request and the response as they were."""
    if exchange.error:
        result = panel("bad", "No response", el("p", exchange.error), role="alert")
    else:
        text = _code(exchange.extracted or "(empty)", "Extracted text")
        result = el("div", success(f"Response after {duration(exchange.milliseconds)}:"), text)
    status = "no response" if exchange.status is None else f"HTTP {exchange.status}"
    sent = _message("Request", exchange.line, exchange.sent, exchange.body) if exchange.line else None
    received = _message("Response", status, exchange.received, exchange.answer)
    return el("div", join([result, sent, received]), cls="exchange")


def _message(title: str, first: str, headers: tuple[str, ...], body: str) -> Markup:
    lines = "\n".join([first, *headers, *(["", body] if body else [])])
    return el("section", el("h4", title), _code(lines, title))


def _code(text: str, label: str) -> Markup:
    return el("pre", text, cls="code", tabindex="0", role="region", aria_label=label)


def _text(label: str, elem_id: str, *, info: str = "", max_length: int = 4000, **options: Any) -> gr.Textbox:
    return gr.Textbox(
        label=label,
        info=info or None,
        max_length=max_length,
        max_lines=1,
        interactive=True,
        min_width=240,
        elem_id=elem_id,
        **options,
    )
