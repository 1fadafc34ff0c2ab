"""The form that adds or changes a node, with a test request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml
from markupsafe import Markup

from herding.errors import ConfigError, UserError
from herding.nodes.catalog import REMOTE_KINDS
from herding.nodes.spec import is_file_only
from herding.ui.kit.fields import button, hidden_field, select_field, text_field
from herding.ui.kit.format import duration, el, failure, join, success
from herding.ui.kit.live import patch
from herding.ui.kit.views import Call
from herding.ui.nodes.models import TARGET, slug
from herding.values import Exchange, NodeRecord
from herding.yaml_files import YamlDocument

OPENAI, TEMPLATE = "openai", "template"
KEEP_SECRET = "Leave empty to keep the saved one."  # noqa: S105 (help)
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
FIELDS = ("kind", "name", "url", "models", "secret", "owner")
"""Keys that have a field of their own and must not be in the template."""

PARTS = ("method", "headers", "query", "body", "response_extract", "stream")
"""Keys of a template."""


def new_form(result: Markup | None = None) -> Markup:
    """Return the empty form of a new node, with the result of the one before."""
    kinds = [(config.label, kind) for kind, config in REMOTE_KINDS.items()]
    kind = select_field(
        "Kind",
        "kind",
        kinds,
        OPENAI,
        id="node-kind",
        hx_get="ui/nodes/fields",
        hx_include="#node-form-new",
        hx_target="#node-fields",
    )
    name = text_field("Name", "name", id="node-name", required="", maxlength="64", info="Letters, digits and . _ -")
    return el(
        "form",
        el("div", kind, name, cls="node-fields"),
        el("div", kind_fields(OPENAI, {}), id="node-fields", cls="node-fields"),
        _test("node"),
        el("div", _test_button("node"), button("Add node", kind="primary", submit=True, id="node-add"), cls="answers"),
        el("div", result, id="node-result", cls="node-result", aria_live="polite"),
        id="node-form-new",
        cls="node-form",
        hx_post="ui/nodes",
        hx_target="#node-new-form",
        hx_disabled_elt="#node-add",
    )


def edit_form(record: NodeRecord) -> Markup:
    """Return the form of a node that was added at run time."""
    config, key = record.config, f"node-{slug(record.name)}"
    given = {name: "" if (value := config.get(name)) is None else str(value) for name in titles(record.kind)}
    given |= {
        "url": str(config.get(REMOTE_KINDS[record.kind].url_field, "")),
        "models": ", ".join(config.get("models") or ()),
        "template": _written({part: config[part] for part in PARTS if part in config}),
    }
    close = button("Close", kind="quiet", hx_get=f"ui/nodes/{record.name}/form?close=1", hx_target=f"#{key}-form")
    return el(
        "form",
        hidden_field("kind", record.kind),
        hidden_field("name", record.name),
        el("div", kind_fields(record.kind, given, key=key, saved=True), cls="node-fields"),
        _test(key),
        el("div", _test_button(key), button("Save node", kind="primary", submit=True), close, cls="answers"),
        el("div", id=f"{key}-result", cls="node-result", aria_live="polite"),
        cls="node-form",
        hx_post=f"ui/nodes/{record.name}/save",
        hx_disabled_elt="find [type=submit]",
        **patch(TARGET),
    )


def kind_fields(kind: str, given: Mapping[str, str], *, key: str = "node", saved: bool = False) -> Markup:
    """Return the fields of a kind of nodes; `saved`: there may be a secret already."""
    kind = kind if kind in REMOTE_KINDS else OPENAI
    config = REMOTE_KINDS[kind]
    url = given.get("url", "")
    fields = [text_field("URL", "url", url, id=f"{key}-url", required="", placeholder=config.example_url)]
    if "models" in config.model_fields:
        shown = given.get("models", "")
        fields.append(text_field("Models", "models", shown, id=f"{key}-models", info="Model IDs, comma-separated"))
    if config.key_help:
        info = f"{config.key_help}. {KEEP_SECRET}" if saved else config.key_help
        fields.append(text_field("Secret", "secret", kind="password", id=f"{key}-secret", info=info, maxlength="4000"))
    for name, title in titles(kind).items():
        info = config.model_fields[name].description or ""
        fields.append(text_field(title, name, given.get(name, ""), id=f"{key}-{name}", info=info))
    if kind == TEMPLATE:
        text = given.get("template") or EXAMPLE
        template = text_field("Template (YAML)", "template", text, lines=12, id=f"{key}-template", spellcheck="false")
        fields.append(el("div", template, cls="node-template"))
    return join(fields)


def titles(kind: str) -> dict[str, str]:
    """Return the fields of a kind that have a title, which are shown in the form."""
    fields = REMOTE_KINDS[kind].model_fields
    return {name: found.title for name, found in fields.items() if found.title}


def _test(key: str) -> Markup:
    return text_field("Test prompt", "prompt", "Hello! Who are you?", id=f"{key}-prompt", maxlength="4000")


def _test_button(key: str) -> Markup:
    return button(
        "Test node",
        id=f"{key}-test",
        hx_post="ui/nodes/test",
        hx_target=f"#{key}-result",
        hx_swap="innerHTML",
        hx_include="closest form",
        hx_disabled_elt="this",
        data_waiting="Waiting for the response of the node…",
    )


def read_node(call: Call, default_name: str = "") -> dict[str, Any]:
    """Return the node of the form as an entry of the nodes file; raise UserError for an invalid template."""
    kind, secret = call.text("kind"), call.text("secret")
    if kind not in REMOTE_KINDS:
        raise UserError("Select a kind.", param="kind")
    config = REMOTE_KINDS[kind]
    node: dict[str, Any] = {"kind": kind, "name": call.text("name").strip() or default_name}
    node[config.url_field] = call.text("url").strip()
    node |= {name: text for name in titles(kind) if (text := call.text(name).strip())}
    if "models" in config.model_fields:
        node["models"] = [model.strip() for model in re.split(r"[,\n]", call.text("models")) if model.strip()]
    if secret:
        node["secret"] = secret
    return {**node, **_parse_template(call.text("template"))} if kind == TEMPLATE else node


def read_change(call: Call, record: NodeRecord) -> dict[str, Any]:
    """Return a changed node: the fields of the form, and of its stored configuration those that are not in it."""
    replaced = {"name", "kind", "secrets", *titles(record.kind), *(PARTS if record.kind == TEMPLATE else ())}
    kept = {key: value for key, value in record.config.items() if key not in replaced and not is_file_only(key)}
    owner = {"owner": record.owner} if record.owner else {}
    return {**kept, **owner, **read_node(call), "kind": record.kind, "name": record.name}


@contextmanager
def fields_as_shown(kind: str) -> Iterator[None]:
    """Name the field of an error as the form does, and in its message as its label reads."""
    try:
        yield
    except UserError as error:
        url = {config.url_field: ("url", "URL")} if (config := REMOTE_KINDS.get(kind)) else {}
        name, label = {**url, "models": ("models", "Models")}.get(error.param or "", ("", ""))
        if not name or not error.message.startswith(f"{error.param}: "):
            raise
        raise UserError(f'Fix "{label}": {error.message.partition(": ")[2]}', param=name) from None


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


def _written(template: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(template), sort_keys=False, allow_unicode=True) if template else ""


def exchange_view(exchange: Exchange) -> Markup:
    """Return the result of a test request, then the request and the response as they were."""
    if exchange.error:
        result = failure("No response", exchange.error)
    else:
        text = _code(exchange.extracted or "(empty)", "Extracted text")
        result = el("div", success(f"Response after {duration(exchange.milliseconds)}:"), text)
    status = "no response" if exchange.status is None else f"HTTP {exchange.status}"
    sent = _message("Request", exchange.line, exchange.sent, exchange.body) if exchange.line else None
    received = _message("Response", status, exchange.received, exchange.answer)
    return el("div", join([result, sent, received]), cls="exchange")


def _message(title: str, first: str, headers: tuple[str, ...], body: str) -> Markup:
    lines = "\n".join([first, *headers, *(["", body] if body else [])])
    return el("section", el("h3", title), _code(lines, title))


def _code(text: str, label: str) -> Markup:
    return el("pre", text, cls="code", tabindex="0", role="region", aria_label=label)
