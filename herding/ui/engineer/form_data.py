"""The data of a prompt, as in its file, with what a form holds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from starlette.datastructures import FormData

from herding.errors import ConfigError, UserError, VariableError
from herding.prompts.edits import BODY
from herding.prompts.prompt_file import parse_prompt, rewrite_text
from herding.prompts.render import placeholders
from herding.prompts.variables import parse_number
from herding.prompts.yaml_dump import dump_file
from herding.prompts.yaml_merge import merge_text
from herding.ui.engineer.setting_fields import CHECKS, PARAMETERS, SettingField
from herding.ui.engineer.step_data import edited_steps, names_of
from herding.ui.kit.format import format_value
from herding.yaml_files import YamlDocument

Data = Mapping[str, Any]
T = TypeVar("T")

LONG_TEXT = 20_000
"""Characters from which a YAML text is read in a thread, so that others are served meanwhile."""

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_VARIANT = re.compile(r"variants\.(\d{1,6})\.was")
_MESSAGE = re.compile(r"messages\.(\w+)\.(role|content)")


async def read_apart(text: str, read: Callable[[], T]) -> T:
    """Return what `read` makes of a text, without stopping the event loop for a long one."""
    return read() if len(text) < LONG_TEXT else await asyncio.to_thread(read)


def parse_data(key: str, text: str) -> dict[str, Any] | None:
    """Return the data of a YAML text, also of one with errors; None if no form can show it."""
    try:
        return parse_prompt(key, text).file_data
    except UserError:
        pass
    try:
        data = YamlDocument(text).data
    except ConfigError:
        return None
    return data if isinstance(data, dict) and _has_form(data) else None


def _has_form(data: Data) -> bool:
    """Return whether the parts of invalid data are at least lists and maps where a form shows them."""
    variants = data.get("variants") or []
    templates = [data, *variants] if isinstance(variants, list) else [None]
    if not all(isinstance(template, dict) and _has_messages(template.get("messages")) for template in templates):
        return False
    if not all(isinstance(data.get(name) or {}, dict) for name in ("variables", "parameters", "checks")):
        return False
    known = data.get("variables") or {}
    names = all(isinstance(name, str) and VARIABLE_NAME.fullmatch(name) for name in known)
    lists = all(isinstance(data.get(name) or [], list) for name in ("tags", "target_models"))
    return names and lists and all(isinstance(variable, dict) for variable in known.values()) and "param" not in data


def _has_messages(messages: Any) -> bool:
    return messages is None or (
        isinstance(messages, list)
        and all(isinstance(message, dict) and isinstance(message.get("content"), str) for message in messages)
    )


def to_text(key: str, text: str, data: Data) -> str:
    """Return `data` as YAML, with the comments and the layout of `text`."""
    if not text.strip():
        return dump_file(data)
    with suppress(ConfigError):  # the text or the data is not a valid prompt
        return rewrite_text(key, text, data)
    try:
        known = YamlDocument(text).data
    except ConfigError:
        known = None
    return merge_text(text, data) if isinstance(known, dict) and known else dump_file(data)


def used_names(data: Data) -> list[str]:
    """Return the names of all variables that the texts and the steps of a prompt use, in order.

    Those that steps fill are left out.
    """
    found = [name for template in templates(data) for text in template_texts(template) for name in placeholders(text)]
    used, filled = names_of(data)
    return [name for name in dict.fromkeys((*found, *used)) if name not in filled]


def templates(data: Data) -> Iterator[Data]:
    """Yield the template of a prompt and those of its variants."""
    yield data
    variants = data.get("variants")
    yield from variants if isinstance(variants, list) else []


def template_texts(template: Data) -> Iterator[str]:
    """Yield the texts of a template."""
    for message in template.get("messages") or ():
        yield message["content"]
    if isinstance(template.get("prompt"), str):
        yield template["prompt"]
    families = template.get("templates")
    if isinstance(families, Mapping):
        yield from (text for text in families.values() if isinstance(text, str))


def apply_form(data: Data, form: FormData) -> dict[str, Any]:
    """Return `data` with what a form holds; empty fields remove their keys."""
    parts, made = set(_texts(form, "part")), dict(data)
    if "about" in parts:
        _apply_about(made, form)
    if "targets" in parts:
        _set(made, "target_models", [model for model in _texts(form, "target") if model])
    if "body" in parts:
        _apply_body(made, form)
    if "steps" in parts:
        texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        made["steps"] = edited_steps(made.get("steps"), texts)
    if "retrieval" in parts and isinstance(made.get("retrieval"), Mapping):
        made["retrieval"] = dict(made["retrieval"])
        _set(made["retrieval"], "rerank", _text(form, "retrieval.rerank"))
    if "variables" in parts:
        _set(made, "variables", _variables(made, form))
    for part, prefix, fields in (("parameters", "param.", PARAMETERS), ("checks", "check.", CHECKS)):
        if part in parts:
            _set(made, part, _settings(made.get(part) or {}, form, prefix, fields))
    return made


def _apply_about(made: dict[str, Any], form: FormData) -> None:
    for name in ("name", "description"):
        if (text := _text(form, f"about.{name}")) is not None and text != (made.get(name) or ""):
            made[name] = text
    if not made.get("description", "x"):
        made.pop("description")
    tags = [tag.strip() for tag in (_text(form, "about.tags") or "").split(",") if tag.strip()]
    if tags != (made.get("tags") or []):
        made["tags"] = tags
    chat = _text(form, "about.chat") == "on"
    if chat != bool(made.get("chat")):
        _set(made, "chat", chat)


def _apply_body(made: dict[str, Any], form: FormData) -> None:
    """Set the messages or the raw text, and the variants in the order of the page."""
    _apply_template(made, form, "")
    if _text(form, "variants_shown") is None:
        return
    old = made.get("variants") or []
    numbers = dict.fromkeys(match[1] for name, _ in form.multi_items() if (match := _VARIANT.fullmatch(name)))
    variants = [_variant(form, f"variants.{number}.", old) for number in numbers]
    _set(made, "variants", variants)
    if variants and not made.get("messages"):
        made.pop("messages", None)


def _variant(form: FormData, prefix: str, old: Sequence[Any]) -> dict[str, Any]:
    """Return a variant from its fields; `old` are those of the YAML that the form was made from."""
    was = _text(form, f"{prefix}was") or ""
    known = was.isascii() and was.isdigit() and len(was) < 6 and int(was) < len(old)
    made: dict[str, Any] = dict(old[int(was)]) if known else {}
    for name in ("name", "when"):
        if (text := _text(form, prefix + name)) is not None:
            made[name] = text
    _apply_template(made, form, prefix)
    return made


def _apply_template(template: dict[str, Any], form: FormData, prefix: str) -> None:
    if (raw := _text(form, f"{prefix}prompt_text")) is not None:
        before = template.get("prompt")
        template.pop("messages", None)
        template["prompt"] = _same_or(before, raw)
    elif _text(form, f"{prefix}blocks") is not None:
        template.pop("prompt", None)
        old = template.get("messages") or []
        template["messages"] = _messages(form, prefix, old)


def _messages(form: FormData, prefix: str, old: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the messages in the order of the page."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in form.multi_items():
        if name.startswith(prefix) and isinstance(value, str) and (match := _MESSAGE.fullmatch(name[len(prefix) :])):
            found.setdefault(match[1], {"role": "user", "content": ""})[match[2]] = value.replace("\r\n", "\n")
    before = {normalized(message["content"]): message["content"] for message in old}
    return [{**message, "content": before.get(message["content"], message["content"])} for message in found.values()]


def normalized(text: Any) -> str:
    """Return a text with line feeds as line ends, as a form sends it."""
    return str(text).replace("\r\n", "\n").replace("\r", "\n")


def _same_or(before: Any, text: str) -> Any:
    """Return the text before if a form shows it the same, else the new one."""
    text = text.replace("\r\n", "\n")
    return before if isinstance(before, str) and normalized(before) == text else text


def _variables(data: Data, form: FormData) -> dict[str, Any]:
    """Return the variables that the form declares, and new ones for names that the texts use."""
    before: Mapping[str, Any] = data.get("variables") or {}
    used, made = used_names(data), dict[str, Any]()
    for name in declared(form):
        variable = _variable(name, before.get(name), form)
        if name in used or not is_forgotten(name, variable, form):
            made[name] = variable
    return made | {name: {"type": "text"} for name in used if name not in made}


def declared(form: FormData) -> list[str]:
    """Return the names of the variables that a form declares, in the order of the page."""
    found = [name[4:-5] for name, _ in form.multi_items() if name.startswith("def.") and name.endswith(".type")]
    return [name for name in dict.fromkeys(found) if VARIABLE_NAME.fullmatch(name)]


def is_forgotten(name: str, variable: Data, form: FormData) -> bool:
    """Return whether a variable, if no text uses it, was only made while its name was typed."""
    untouched = variable == {"type": "text"} and not _text(form, f"var.{name}")
    return untouched and _text(form, f"def.{name}.new") == "on"


def _variable(name: str, before: Any, form: FormData) -> dict[str, Any]:
    """Return the definition of a variable from its fields."""
    made: dict[str, Any] = dict(before or {})
    kind = _text(form, f"def.{name}.type") or "text"
    if made.get("type", "text") != kind:
        made = {key: value for key, value in made.items() if key in ("description", "required", "default")}
    if kind != "text" or "type" in made or not made:
        made["type"] = kind
    for key in ("description", "pattern", "min", "max", "max_chars"):
        if (text := _text(form, f"def.{name}.{key}")) is None or text == format_value(made.get(key)):
            continue
        _set(made, key, _number(text) if key in ("min", "max", "max_chars") else text)
    if (text := _text(form, f"def.{name}.choices")) is not None and kind == "choice":
        choices = [line.strip() for line in text.splitlines() if line.strip()]
        if choices != [str(choice).strip() for choice in made.get("choices") or []]:
            made["choices"] = choices
    _set_default(made, kind, _text(form, f"def.{name}.default"))
    if _text(form, f"def.{name}.required_shown") is not None:
        _set_required(made, required=_text(form, f"def.{name}.required") == "on")
    return made


def _set_default(made: dict[str, Any], kind: str, text: str | None) -> None:
    if text is None or text == shown_default(made):
        if "default" in made and kind == "boolean" and not isinstance(made["default"], bool):
            made.pop("default")
        return
    if not text:
        made.pop("default", None)
    elif kind == "boolean":
        made["default"] = text == "true"
    elif kind in ("number", "integer"):
        made["default"] = _number(text)
    elif kind == "number_list":
        made["default"] = [_number(part) for part in text.strip().strip("[]").split(",") if part.strip()]
    else:
        made["default"] = text.replace("\r\n", "\n")


def shown_default(variable: Data) -> str:
    """Return the default of a variable as the text of its field."""
    default = variable.get("default")
    if isinstance(default, bool):
        return "true" if default else "false"
    return normalized(format_value(default))


def is_required(variable: Data) -> bool:
    """Return whether a request must give a variable."""
    required = variable.get("required")
    return variable.get("default") is None and variable.get("source") is None and required is not False


def _set_required(made: dict[str, Any], *, required: bool) -> None:
    if required == is_required(made) or made.get("default") is not None:
        return
    if required:
        made.pop("required", None)
    else:
        made["required"] = False


def _number(text: str) -> Any:
    """Return a number, or a text that is none, which the schema refuses."""
    try:
        return parse_number(text)
    except VariableError:
        return text.strip()


def _settings(before: Data, form: FormData, prefix: str, fields: Mapping[str, SettingField]) -> dict[str, Any]:
    made = dict(before)
    for name, found in fields.items():
        if (text := _text(form, prefix + name)) is not None:
            value = found.read(text, before.get(name))
            if value is None:
                made.pop(name, None)
            else:
                made[name] = value
    return made


def _set(made: dict[str, Any], key: str, value: Any) -> None:
    """Set a key, or remove it if the value is empty."""
    if value is None or value is False or value in ("", [], {}):
        made.pop(key, None)
    else:
        made[key] = value


def body_of(data: Data) -> dict[str, Any]:
    """Return the texts of a prompt: its messages or raw text, and its variants."""
    return {name: value for name, value in data.items() if name in BODY}


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) else None


def _texts(form: FormData, name: str) -> list[str]:
    return [value for value in form.getlist(name) if isinstance(value, str)]
