"""The base of all tabs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import gradio as gr

from herding.orchestrator import Orchestrator
from herding.values import Principal


class Tab:
    """A tab of the page: its layout is built in `__init__`, `opened` fills it each time it is opened.

    key: its name in addresses and in the `allow_tabs` of roles.
    rights: without all of these the tab is hidden, whatever the role allows.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    rights: ClassVar[frozenset[str]]
    opened: Callable[..., Awaitable[list[Any]]] | None = None
    """The handler that returns the updates of `outputs`; it gets the values of `open_inputs` and the request."""
    timers: Sequence[gr.Timer] = ()
    """Timers that run only while the tab is open."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        """Build the layout."""

    @property
    def open_inputs(self) -> list[Any]:
        return []

    @property
    def outputs(self) -> list[Any]:
        return []

    @classmethod
    def title(cls, principal: Principal) -> str:  # noqa: ARG003 (for tabs with a label per role)
        """Return the label for a principal."""
        return cls.label

    @classmethod
    def is_visible(cls, principal: Principal) -> bool:
        """Return True if the role allows the tab and has the rights to fill it."""
        return cls.key in principal.tabs and principal.rights >= cls.rights

    def resume(self) -> dict[Any, Any]:
        """Return updates for the moment when the tab is opened."""
        return {timer: gr.update(active=True) for timer in self.timers}

    def pause(self) -> dict[Any, Any]:
        """Return updates for the moment when another tab is opened."""
        return {timer: gr.update(active=False) for timer in self.timers}
