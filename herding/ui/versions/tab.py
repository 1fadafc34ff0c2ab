"""The layout of the Versions tab, and its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import PROMPTS, RUN, SAVE
from herding.errors import ConflictError, HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.studio.studio import MANY
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, empty_state, join, panel, success
from herding.ui.kit.picklist import picked_item
from herding.ui.kit.tab import Tab
from herding.ui.versions.bundle import bundle, bundle_box
from herding.ui.versions.conflicts import ConflictPane, banner
from herding.ui.versions.detail import FilePane, detail, not_in_file
from herding.ui.versions.diff import DiffPane
from herding.ui.versions.labels import LabelPane, label_to_revert, moved
from herding.ui.versions.list import ListPane
from herding.ui.versions.state import PAGE, VersionsState, is_outdated, load
from herding.values import Principal

REFRESH_SECONDS = 2.0
NO_PROMPTS = empty_state("No prompts yet", "Add a YAML file to the prompts directory, or import a zip below.")

# The pressed button disappears: focus moves to the labels, where a second press does nothing.
_FOCUS_LABELS = """() => setTimeout(() => {
  document.querySelector('#version-labels section')?.focus({ preventScroll: true });
}, 100)"""


class VersionsTab(Tab):
    """The tab: its layout and its handlers."""

    key = "versions"
    label = "Versions"
    rights = frozenset({PROMPTS})

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator, self._studio = orchestrator, orchestrator.studio
        self.state = gr.State(VersionsState())
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)
        self.timers = [self.timer]
        with gr.Row(elem_classes=["filters", "versions-bar"]):
            self.picker = gr.Dropdown(
                [], label="Prompt", interactive=True, scale=3, min_width=260, elem_id="version-prompt"
            )
            self.open = gr.Button("Open in Prompt engineer", size="sm", scale=0, min_width=180, elem_id="version-open")
            self.compare = gr.Button(
                "Compare these versions", size="sm", scale=0, min_width=180, elem_id="version-compare"
            )
        self.note = gr.HTML(elem_id="version-news", elem_classes=["note", "news"])
        self.conflict = ConflictPane(self._studio)
        with gr.Column(elem_classes=["versions-body"]) as self.body:
            with gr.Row(elem_classes=["split", "versions"]):
                with gr.Column(scale=7, min_width=320):
                    self.list = ListPane()
                with gr.Column(scale=5, min_width=320, elem_id="version-detail", elem_classes=["detail"]):
                    self.head = gr.HTML(elem_id="version-head")
                    self.labels = LabelPane()
            with gr.Column(elem_classes=["sheet", "versions"]):
                self.diff = DiffPane(self._studio)
                self.file = FilePane(self._studio)
        with gr.Column(elem_classes=["sheet", "bundle-sheet"]):
            self.bundle = bundle_box()
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        state, content = [self.state], self.content
        on(self.picker.input, self.choose, [self.picker, self.state], content, name="version_choose", **now)
        on(self.list.list.pick, self.pick, state, content, name="version_pick", trigger_mode="multiple", **now)
        on(self.list.newer.click, self._turn_page(-PAGE), state, content, name="version_newer", **now)
        on(self.list.older.click, self._turn_page(PAGE), state, content, name="version_older", **now)
        compared = [self.state, self.diff.old, self.diff.new, self.diff.unified]
        changed = [self.diff.old.input, self.diff.new.input, self.diff.unified.input]
        on(changed, self.compare_versions, compared, content, name="version_diff", trigger_mode="always_last", **now)
        on(self.file.toggle.click, self.toggle_yaml, state, content, name="version_whole", **now)
        on(self.timer.tick, self.refresh, state, content, name="version_watch", **now)
        on(self.bundle.imported, self.imported, state, [self.picker, *content], name="version_imported", **now)
        self._wire_changes()

    def _wire_changes(self) -> None:
        now: dict[str, Any] = {"queue": False}
        labels, content = self.labels, self.content
        on(labels.label.input, self.choose_label, [self.state, labels.label], content, name="version_label", **now)
        inputs, changed = [self.state, labels.label, labels.message], [labels.message, *content]
        moved_label = on(labels.move.click, self.move_label, inputs, changed, name="version_move", **now)
        reverted = on(labels.list.pick, self.revert_label, [self.state], content, name="version_take_back", **now)
        for event in (moved_label, reverted):
            event.success(None, None, None, js=_FOCUS_LABELS)
        for side, button in (("ours", self.conflict.ours), ("theirs", self.conflict.theirs)):
            on(button.click, self._resolve(side), [self.state], content, name=f"conflict_{side}", **now)

    @property
    def content(self) -> list[Any]:
        """The components that follow the state."""
        panes = (self.list, self.file, self.conflict, self.labels, self.diff)
        parts = [part for pane in panes for part in pane.outputs]
        return [self.state, self.note, self.body, self.head, *parts]

    @property
    def open_inputs(self) -> list[Any]:
        return [self.state]

    @property
    def outputs(self) -> list[Any]:
        """All components, for opening the tab."""
        return [self.picker, self.open, self.compare, self.timer, self.bundle, *self.content]

    @requires(PROMPTS)
    async def opened(self, state: VersionsState, request: gr.Request) -> list[Any]:
        """Open the tab with the prompt that another tab asked for, or the one in the page's address."""
        principal, key = principal_of(request), state.requested or request.query_params.get("prompt")
        state.requested = ""
        known = {
            prompt.key: prompt_text.picker_option(prompt)
            for prompt in await self._orchestrator.prompts.list_all(principal)
        }
        state.switch(key if key in known else next(iter(known), ""))
        missing = prompt_text.not_opened(key, exists=False, running=False) if key and key != state.key else None
        return [
            gr.update(choices=[(name, key) for key, name in known.items()], value=state.key or None),
            *(gr.update(visible=bool(known) and _can_open(tab, principal)) for tab in ("engineer", "compare")),
            gr.update(active=True),
            bundle(principal),
            *await self._draw(state, principal, news=missing),
        ]

    @requires(PROMPTS)
    async def choose(self, key: str | None, state: VersionsState, request: gr.Request) -> list[Any]:
        """Switch to another prompt."""
        state.switch(key or state.key)
        return await self._draw(state, principal_of(request))

    @requires(PROMPTS)
    async def pick(self, state: VersionsState, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Select a version of the list."""
        principal, number = principal_of(request), _number(picked_item(event))
        await self._studio.version(state.require_prompt(), number, principal)
        state.select(number)
        updates = zip(self.content, await self._draw(state, principal), strict=True)
        # The list marks its row itself; redrawing it would lose the keyboard focus.
        return [gr.skip() if part is self.list.list else update for part, update in updates]

    def _turn_page(self, by: int) -> Callable[..., Awaitable[list[Any]]]:
        @requires(PROMPTS)
        async def turn_page(state: VersionsState, request: gr.Request) -> list[Any]:
            """Show another page of the list."""
            state.offset = max(0, state.offset + by)
            state.require_prompt()
            return await self._draw(state, principal_of(request))

        return turn_page

    @requires(PROMPTS)
    async def compare_versions(
        self, state: VersionsState, old: Any, new: Any, unified: Any, request: gr.Request
    ) -> list[Any]:
        """Show the diff of two other versions."""
        state.old, state.new, state.unified = _number(old), _number(new), bool(unified)
        state.require_prompt()
        return await self._draw(state, principal_of(request))

    @requires(PROMPTS)
    async def toggle_yaml(self, state: VersionsState, request: gr.Request) -> list[Any]:
        """Show or hide the YAML of the newer version."""
        state.show_yaml = not state.show_yaml
        state.require_prompt()
        return await self._draw(state, principal_of(request))

    @requires(PROMPTS)
    async def refresh(self, state: VersionsState, request: gr.Request) -> list[Any]:
        """Redraw everything if the prompt changed."""
        principal = principal_of(request)
        try:
            if state.key and await is_outdated(self._studio, state, principal):
                return await self._draw(state, principal)
        except HerdingError as error:
            failed = panel("bad", "Can't refresh this page", el("p", error.message), role="alert")
            return [failed if part is self.note else gr.skip() for part in self.content]
        return [gr.skip() for _ in self.content]

    @requires(SAVE)
    async def choose_label(self, state: VersionsState, label: str | None, request: gr.Request) -> list[Any]:
        """Choose the label to set."""
        state.label = label or state.label
        state.require_prompt()
        return await self._draw(state, principal_of(request))

    @requires(SAVE)
    async def move_label(
        self, state: VersionsState, label: str | None, message: str | None, request: gr.Request
    ) -> list[Any]:
        """Set a label to the selected version."""
        principal, state.label = principal_of(request), str(label or "")
        key = state.require_prompt()
        move = await self._studio.move_label(key, state.label, state.selected, principal, str(message or ""))
        return ["", *await self._draw(state, principal, note=moved(move))]

    @requires(SAVE)
    async def revert_label(self, state: VersionsState, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Revert the last move of a label, if it still is the one that was content."""
        principal, key = principal_of(request), state.require_prompt()
        moves = await self._studio.label_moves(key, principal, limit=MANY)
        move = await self._studio.undo_label_move(key, label_to_revert(picked_item(event), moves), principal)
        return await self._draw(state, principal, note=moved(move))

    def _resolve(self, side: str) -> Callable[..., Awaitable[list[Any]]]:
        @requires(SAVE)
        async def resolve(state: VersionsState, request: gr.Request) -> list[Any]:
            """Resolve the conflict with one of its sides, if it still is the one that was content."""
            principal, key = principal_of(request), state.require_prompt()
            current = {conflict.key: conflict for conflict in await self._studio.conflicts(principal)}.get(key)
            if current is None or current not in state.conflicts:
                raise ConflictError("The conflict has changed. Review it again.", param="key")
            number = (await self._studio.resolve(key, getattr(current, side), principal)).version
            state.select(number)
            news = success(f"Conflict resolved: v{number} is the latest version and is written to the file.")
            return await self._draw(state, principal, news=news)

        return resolve

    @requires(SAVE)
    async def imported(self, state: VersionsState, request: gr.Request) -> list[Any]:
        """Show the prompts and versions of an imported zip."""
        principal = principal_of(request)
        prompts = await self._orchestrator.prompts.list_all(principal)
        state.switch(state.key or next((prompt.key for prompt in prompts), ""))
        choices = [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
        return [gr.update(choices=choices, value=state.key or None), *await self._draw(state, principal)]

    async def _draw(
        self, state: VersionsState, principal: Principal, *, news: Markup | None = None, note: Markup | None = None
    ) -> list[Any]:
        """Return updates of `content`, with `news` about the prompt and a `note` about its labels."""
        if not state.key:
            return [state, NO_PROMPTS, gr.update(visible=False), *(gr.skip() for _ in self.content[3:])]
        snapshot = await load(self._studio, state, principal)
        others = banner(snapshot.conflicts, current=state.key)
        unfiled = None if snapshot.conflict(state.key) else not_in_file(snapshot.version, newest=snapshot.newest)
        return [
            state,
            join([news, others, unfiled]),
            gr.update(visible=True),
            detail(snapshot.version, newest=snapshot.newest),
            *self.list.show(snapshot, state),
            *await self.file.show(state, principal),
            *await self.conflict.show(snapshot, state, principal),
            *self.labels.show(snapshot, state, principal, note),
            *await self.diff.show(snapshot, state, principal),
        ]


def _can_open(tab: str, principal: Principal) -> bool:
    return tab in principal.tabs and RUN in principal.rights


def _number(given: Any) -> int:
    """Return a version number sent by the page; raise NotFoundError if it is not one."""
    text = str(given)
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise NotFoundError("Version not found. Choose one from the list.", param="version")
    return int(text)
