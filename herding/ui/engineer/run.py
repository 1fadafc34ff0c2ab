"""The response beside the editor, and the buttons of a run."""

from __future__ import annotations

from markupsafe import Markup

from herding.orchestrator import Orchestrator
from herding.ui.engineer.form import EditedPrompt
from herding.ui.kit.fields import button
from herding.ui.kit.format import el
from herding.values import Principal


async def response_section(edited: EditedPrompt, who: Principal, orchestrator: Orchestrator) -> Markup:  # noqa: ARG001
    """Return the section of the response."""
    return el("section", el("p", "No response yet"), id="engineer-response")


def run_buttons(edited: EditedPrompt, who: Principal) -> Markup:  # noqa: ARG001
    """Return Run, Stop and the status line."""
    return button("Run", kind="primary", id="run")
