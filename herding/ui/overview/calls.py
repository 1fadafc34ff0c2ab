"""The calls of a prompt as code to copy: the native API and the OpenAI-compatible one."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from herding.ui.engineer.code_panel import LANGUAGES, TOKEN_VARIABLE, ApiCall, base_url, curl, variable_values
from herding.ui.kit.fields import copy_button
from herding.ui.kit.format import el
from herding.ui.kit.views import Call
from herding.values import PromptInfo


def calls(prompt: PromptInfo, call: Call) -> Markup:
    """Return the calls that run the published version with the default values."""
    base, needs_token = base_url(call.headers, call.app_url), call.principal.token is not None
    body: dict[str, Any] = {"prompt": prompt.key}
    if values := variable_values(prompt.variables, {}):
        body["variables"] = values
    run = ApiCall(f"{base}/api/v1/infer", body, "text", needs_token)
    chat = {"model": f"prompt:{prompt.key}", "messages": [{"role": "user", "content": "Hello"}]}
    openai = ApiCall(f"{base}/v1/chat/completions", chat, "choices", needs_token)
    shown = [_code(label, write(run), first=not place) for place, (label, write) in enumerate(LANGUAGES.values())]
    note = f"Set {TOKEN_VARIABLE} to an access token; create one in the Access tab." if needs_token else None
    return el("div", el("p", note, cls="muted") if note else None, *shown, _code("OpenAI-compatible", curl(openai)),
              cls="overview-calls")  # fmt: skip


def _code(label: str, code: str, *, first: bool = False) -> Markup:
    text = el("pre", code, cls="code", tabindex="0", role="region", aria_label=f"Run the prompt with {label}")
    shown = el("div", text, copy_button(f"Copy {label} call"), cls="call-text")
    return el("details", el("summary", label), shown, open="" if first else None)
