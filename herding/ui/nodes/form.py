"""The form "Add a node" in the tab of the nodes: say what it is, try it, add it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import gradio as gr

from herding.access.operations import MANAGE_NODES
from herding.errors import ConfigError, HerdingError, UserError
from herding.orchestrator import Orchestrator
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, panel
from herding.ui.nodes.exchange import exchange
from herding.yaml_files import YamlDocument

OPENAI, ENGINE, TEMPLATE = "openai", "herding", "template"
KINDS = [
    ("OpenAI-compatible server", OPENAI),
    ("Herding engine on another machine", ENGINE),
    ("Any HTTP API, by template", TEMPLATE),
]
URLS = {
    OPENAI: "http://127.0.0.1:8000/v1",
    ENGINE: "http://127.0.0.1:8100",
    TEMPLATE: "http://127.0.0.1:8008/api/generate",
}
SECRETS = {
    OPENAI: "Its API key, if it has one.",
    ENGINE: "The HERDING_NODE_SECRET that the engine was started with.",
    TEMPLATE: "Stands for {SECRET}, if the template has that.",
}
EXAMPLE = """# Placeholders stand in quotes. {USER_PROMPT} or {MESSAGES} must be there.
# Others: {MODEL_NAME} {MODEL_TEMPERATURE} {MAX_TOKENS} {SYSTEM_PROMPT} {SECRET}
method: POST
headers: {}          # for a key: Authorization: "Bearer {SECRET}"
body:
  input: "{USER_PROMPT}"
  model_name: "{MODEL_NAME}"
  temperature: "{MODEL_TEMPERATURE}"
response_extract: ""  # where the text is, such as data.items[].attributes.answer; empty: the whole answer
stream: false         # or sse, or lines
"""
FIELDS = ("kind", "name", "url", "base_url", "models", "secret", "owner")
"""What the form has fields for, so that the template has not."""


class NodeForm:
    """Layout of the form, and its handlers."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._registry = orchestrator.registry
        with gr.Accordion("Add a node", open=False, visible=False, elem_id="node-form") as self.box:
            with gr.Row(elem_classes=["bench-row"]):
                self.kind = gr.Dropdown(
                    KINDS, value=OPENAI, label="Kind", interactive=True, min_width=240, elem_id="node-kind"
                )
                self.name = _text("Name", "node-name", "Letters, digits and . _ -", 64)
            with gr.Row(elem_classes=["bench-row"]):
                self.url = _text("URL", "node-url", "", 4000, placeholder=URLS[OPENAI])
                self.models = _text("Models", "node-models", "As requests name them; commas between", 4000)
            self.secret = _text("Secret", "node-secret", SECRETS[OPENAI], 4000, type="password")
            self.template = gr.Code(
                EXAMPLE, language="yaml", label="Template", lines=12, max_lines=24, wrap_lines=True, interactive=True,
                visible=False,
                elem_id="node-template",
            )  # fmt: skip
            self.prompt = _text("Test prompt", "node-prompt", "", 4000, value="Hello! Who are you?")
            with gr.Row(elem_classes=["answers"]):
                self.test = gr.Button("Test call", size="sm", elem_id="node-test")
                self.add = gr.Button("Add node", variant="primary", size="sm", elem_id="node-add")
            self.note = gr.HTML(elem_id="node-note", elem_classes=["note"])
            self.exchange = gr.HTML(elem_id="node-exchange", elem_classes=["note"])
        self._wire()

    def _wire(self) -> None:
        look = [self.url, self.models, self.secret, self.template]
        on(self.kind.change, self.chosen, [self.kind], look, name="node_kind", queue=False)
        fields, said = self.fields, [self.test, self.note, self.exchange]
        on(self.test.click, self.try_it, [*fields, self.prompt], said, name="node_test")
        on(self.add.click, self.add_it, fields, [self.add, self.name, self.secret, *said[1:]], name="node_add")

    @property
    def fields(self) -> list[Any]:
        return [self.kind, self.name, self.url, self.models, self.secret, self.template]

    @requires(MANAGE_NODES)
    async def chosen(self, kind: str | None) -> list[Any]:
        """Another kind has other fields."""
        kind = kind if kind in URLS else OPENAI
        return [
            gr.update(placeholder=URLS[kind]),
            gr.update(visible=kind != ENGINE),
            gr.update(info=SECRETS[kind]),
            gr.update(visible=kind == TEMPLATE),
        ]

    @requires(MANAGE_NODES)
    async def try_it(self, request: gr.Request, *given: Any) -> AsyncGenerator[list[Any], None]:
        """Send the test prompt, and show all that went to and fro."""
        yield [gr.update(value="Calling …", interactive=False), "", ""]
        *fields, prompt = given
        note, told = "", ""
        try:
            told = exchange(
                await self._registry.test_call(spec(fields, "test"), str(prompt or "Hello!"), principal_of(request))
            )
        except HerdingError as error:
            note = refused("This cannot be called", error)
        yield [gr.update(value="Test call", interactive=True), note, told]

    @requires(MANAGE_NODES)
    async def add_it(self, request: gr.Request, *fields: Any) -> AsyncGenerator[list[Any], None]:
        """Add the node; the form is free for the next one, and keeps no secret."""
        yield [gr.update(value="Adding …", interactive=False), gr.skip(), gr.skip(), "", gr.skip()]
        free = gr.update(value="Add node", interactive=True)
        try:
            info = await self._registry.add(spec(fields), principal_of(request))
        except HerdingError as error:
            yield [free, gr.skip(), gr.skip(), refused("The node was not added", error), gr.skip()]
            return
        note = el("p", f"✓ {info.name} is added; it is {info.status.state}.", cls="saved", role="status")
        yield [free, "", "", note, ""]


def spec(fields: Sequence[Any], usual_name: str = "") -> dict[str, Any]:
    """The node that the fields say, in the words of the nodes file; UserError where the template is none."""
    kind, name, url, models, secret, template = ("" if field is None else str(field) for field in fields)
    found: dict[str, Any] = {"kind": kind, "name": name.strip() or usual_name}
    found["url" if kind == TEMPLATE else "base_url"] = url.strip()
    if kind != ENGINE:
        found["models"] = [model.strip() for model in re.split(r"[,\n]", models) if model.strip()]
    if secret:
        found["secret"] = secret
    return {**found, **_template(template)} if kind == TEMPLATE else found


def refused(title: str, error: HerdingError) -> Any:
    """Why something was not done."""
    return panel("bad", title, el("p", error.message), role="alert")


def _template(text: str) -> Mapping[str, Any]:
    try:
        data = YamlDocument(text).data
    except ConfigError as error:
        where = f"Line {error.line} of the template: " if error.line else "The template: "
        raise UserError(f"{where}{error.reason}.", param="template") from None
    if not isinstance(data, dict):
        raise UserError("The template is a map: method, headers, body, response_extract, stream.", param="template")
    if named := [field for field in FIELDS if field in data]:
        raise UserError(f"'{named[0]}' has a field of its own; leave it out of the template.", param="template")
    return data


def _text(label: str, elem_id: str, info: str, most: int, **more: Any) -> gr.Textbox:
    return gr.Textbox(
        label=label,
        info=info or None,
        max_length=most,
        max_lines=1,
        interactive=True,
        min_width=240,
        elem_id=elem_id,
        **more,
    )
