"""A field for YAML with line numbers and colours; `assets/yaml_editor.js` makes it an editor."""

from __future__ import annotations

from markupsafe import Markup

from herding.ui.kit.format import el

MIN_LINES, MAX_LINES = 14, 36


def yaml_field(text: str, name: str, *, id: str, errors: str, label: str | None = None, about: str = "") -> Markup:
    """Return the field.

    errors: the selector of the element that tells what is wrong; the line that its text names is marked.
    label: the name of the field where no label element has its id; about: the id of an element that describes it.
    """
    hint = f"{id}-keys"
    area = el(
        "textarea",
        f"\n{text}",  # a first newline is dropped
        name=name,
        id=id,
        rows=str(min(max(text.count("\n") + 2, MIN_LINES), MAX_LINES)),
        cls="input",
        spellcheck="false",
        wrap="off",
        aria_label=label,
        aria_describedby=f"{about} {hint}".strip(),
    )
    return el(
        "div",
        el("pre", cls="yaml-lines", aria_hidden="true"),
        el("div", el("pre", cls="yaml-colours", aria_hidden="true"), area, cls="yaml-text"),
        el("small", "Tab indents. Press Esc, then Tab to leave the editor.", id=hint, cls="yaml-keys muted"),
        cls="yaml-editor",
        data_module="yaml_editor",
        data_errors=errors,
    )
