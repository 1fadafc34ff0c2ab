"""What can be changed in the tab "Versions": labels are moved and taken back, conflicts are decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr

from herding.access.operations import SAVE
from herding.errors import ConflictError
from herding.studio.studio import MANY, Studio
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.picklist import picked_item
from herding.ui.versions import conflicts
from herding.ui.versions.conflicts import ConflictPane
from herding.ui.versions.labels import LabelPane, asked_back, moved
from herding.ui.versions.read import View

# The button that was pressed goes away: the keyboard goes to the labels, where a second press does nothing.
_TO_LABELS = """() => setTimeout(() => {
  document.querySelector('#version-labels section')?.focus({ preventScroll: true });
}, 100)"""


class Changes:
    """The handlers of two panes; after each of them `draw` gives the updates of `shown`."""

    def __init__(self, studio: Studio, *, draw: Callable[..., Awaitable[list[Any]]]) -> None:
        self._studio, self._draw = studio, draw

    def wire(self, view: gr.State, labels: LabelPane, conflict: ConflictPane, shown: list[Any]) -> None:
        """Connect the events."""
        now: dict[str, Any] = {"queue": False}
        on(labels.label.input, self.name, [view, labels.label], shown, name="version_label", **now)
        asked, said = [view, labels.label, labels.message], [labels.message, *shown]
        set_ = on(labels.move.click, self.publish, asked, said, name="version_move", **now)
        back = on(labels.list.pick, self.take_back, [view], shown, name="version_take_back", **now)
        for event in (set_, back):
            event.success(None, None, None, js=_TO_LABELS)
        for side, button in (("ours", conflict.ours), ("theirs", conflict.theirs)):
            on(button.click, self._keep(side), [view], shown, name=f"conflict_{side}", **now)

    @requires(SAVE)
    async def name(self, view: View, label: str | None, request: gr.Request) -> list[Any]:
        """Another label is to be set."""
        view.label = label or view.label
        return await self._draw(view.known(), principal_of(request))

    @requires(SAVE)
    async def publish(self, view: View, label: str | None, message: str | None, request: gr.Request) -> list[Any]:
        """Set a label to the version that is open."""
        principal, view.label = principal_of(request), str(label or "")
        move = await self._studio.move_label(view.known().key, view.label, view.chosen, principal, str(message or ""))
        return ["", *await self._draw(view, principal, note=moved(move))]

    @requires(SAVE)
    async def take_back(self, view: View, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Take back the last move of a label, if it still is the one that was shown."""
        principal = principal_of(request)
        moves = await self._studio.label_moves(view.known().key, principal, limit=MANY)
        move = await self._studio.take_back(view.key, asked_back(picked_item(event), moves), principal)
        return await self._draw(view, principal, note=moved(move))

    def _keep(self, side: str) -> Callable[..., Awaitable[list[Any]]]:
        @requires(SAVE)
        async def keep(view: View, request: gr.Request) -> list[Any]:
            """End the conflict with one of its sides, if it still is the one that was shown."""
            principal = principal_of(request)
            found = {conflict.key: conflict for conflict in await self._studio.conflicts(principal)}
            conflict = found.get(view.known().key)
            if conflict is None or conflict not in view.clashes:
                raise ConflictError("The conflict changed in the meantime. Look at it again.", param="key")
            saved = await self._studio.resolve(view.key, getattr(conflict, side), principal)
            view.choose(saved.version)
            return await self._draw(view, principal, news=conflicts.resolved(saved.version))

        return keep
