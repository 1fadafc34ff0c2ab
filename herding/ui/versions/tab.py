"""The tab "Versions": the versions of a prompt, what is different between them, and which of them is published."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import PROMPTS, RUN, SAVE
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, empty_state, join, panel
from herding.ui.kit.picklist import picked_item
from herding.ui.versions import bundle, conflicts, read
from herding.ui.versions import list as versions_list
from herding.ui.versions.changes import Changes
from herding.ui.versions.conflicts import ConflictPane
from herding.ui.versions.diff import DiffPane
from herding.ui.versions.labels import LabelPane
from herding.ui.versions.pages import FilePane, ListPane
from herding.ui.versions.read import PAGE, View
from herding.values import Principal

EVERY = 2.0
NOTHING = empty_state("No prompts yet", "Put a YAML file into the prompts directory, or import a zip of prompts below.")


class Versions:
    """Layout of the tab, and its handlers; `view` is what the session looks at."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator, self._studio = orchestrator, orchestrator.studio
        self.view = gr.State(View())
        self.timer = gr.Timer(EVERY, active=False)
        with gr.Row(elem_classes=["filters", "versions-bar"]):
            self.picker = gr.Dropdown(
                [], label="Prompt", interactive=True, scale=3, min_width=260, elem_id="version-prompt"
            )
            self.open = gr.Button("Open in engineer", size="sm", scale=0, min_width=150, elem_id="version-open")
            self.compare = gr.Button(
                "Open both in Compare", size="sm", scale=0, min_width=130, elem_id="version-compare"
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
            self.bundle = bundle.bundle_box()
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        view, shown = [self.view], self.shown
        on(self.picker.input, self.choose, [self.picker, self.view], shown, name="version_choose", **now)
        on(self.list.list.pick, self.pick, view, shown, name="version_pick", trigger_mode="multiple", **now)
        on(self.list.newer.click, self._turn(-PAGE), view, shown, name="version_newer", **now)
        on(self.list.older.click, self._turn(PAGE), view, shown, name="version_older", **now)
        between = [self.view, self.diff.old, self.diff.new, self.diff.inline]
        changed = [self.diff.old.input, self.diff.new.input, self.diff.inline.input]
        on(changed, self.differ, between, shown, name="version_diff", trigger_mode="always_last", **now)
        on(self.file.whole.click, self.unfold, view, shown, name="version_whole", **now)
        on(self.timer.tick, self.watch, view, shown, name="version_watch", **now)
        on(self.bundle.imported, self.imported, view, [self.picker, *shown], name="version_imported", **now)
        Changes(self._studio, draw=self._draw).wire(self.view, self.labels, self.conflict, shown)

    @property
    def shown(self) -> list[Any]:
        """All that follows the view."""
        panes = (self.list, self.file, self.conflict, self.labels, self.diff)
        parts = [part for pane in panes for part in pane.outputs]
        return [self.view, self.note, self.body, self.head, *parts]

    @property
    def outputs(self) -> list[Any]:
        """Everything, for the moment when the tab is opened."""
        doors = [self.open, self.compare, self.timer, self.bundle]
        return [self.picker, *doors, *self.shown]

    @requires(PROMPTS)
    async def opened(self, view: View, request: gr.Request) -> list[Any]:
        """The tab is opened, with the prompt that another tab asks for, or the page's address names."""
        principal, asked = principal_of(request), view.asked or request.query_params.get("prompt")
        view.asked = ""
        known = {
            prompt.key: prompt_text.picker_option(prompt) for prompt in await self._orchestrator.prompts(principal)
        }
        view.turn_to(asked if asked in known else next(iter(known), ""))
        missed = prompt_text.not_opened(asked, exists=False, running=False) if asked and asked != view.key else None
        return [
            gr.update(choices=[(name, key) for key, name in known.items()], value=view.key or None),
            *(gr.update(visible=bool(known) and _opens(tab, principal)) for tab in ("engineer", "compare")),
            gr.update(active=True),
            bundle.offer(principal),
            *await self._draw(view, principal, news=missed),
        ]

    @requires(PROMPTS)
    async def choose(self, key: str | None, view: View, request: gr.Request) -> list[Any]:
        """Look at another prompt."""
        view.turn_to(key or view.key)
        return await self._draw(view, principal_of(request))

    @requires(PROMPTS)
    async def pick(self, view: View, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Open a version of the list, and what is different in it from the one before."""
        principal, number = principal_of(request), _number(picked_item(event))
        await self._studio.version(view.known().key, number, principal)
        view.choose(number)
        updates = zip(self.shown, await self._draw(view, principal), strict=True)
        # The list marks its row itself; drawn again, it would lose the keyboard's place in it.
        return [gr.skip() if part is self.list.list else update for part, update in updates]

    def _turn(self, by: int) -> Callable[..., Awaitable[list[Any]]]:
        @requires(PROMPTS)
        async def turn(view: View, request: gr.Request) -> list[Any]:
            """Another page of the list."""
            view.offset = max(0, view.offset + by)
            return await self._draw(view.known(), principal_of(request))

        return turn

    @requires(PROMPTS)
    async def differ(self, view: View, old: Any, new: Any, inline: Any, request: gr.Request) -> list[Any]:
        """What is different between two other versions."""
        view.old, view.new, view.inline = _number(old), _number(new), bool(inline)
        return await self._draw(view.known(), principal_of(request))

    @requires(PROMPTS)
    async def unfold(self, view: View, request: gr.Request) -> list[Any]:
        """The whole text of the newer side comes or goes."""
        view.whole = not view.whole
        return await self._draw(view.known(), principal_of(request))

    @requires(PROMPTS)
    async def watch(self, view: View, request: gr.Request) -> list[Any]:
        """Everything once more, if anything changed."""
        principal = principal_of(request)
        try:
            if view.key and await read.changed(self._studio, view, principal):
                return await self._draw(view, principal)
        except HerdingError as error:
            broken = panel("bad", "This is not what there is now", el("p", error.message), role="alert")
            return [broken if part is self.note else gr.skip() for part in self.shown]
        return [gr.skip() for _ in self.shown]

    @requires(SAVE)
    async def imported(self, view: View, request: gr.Request) -> list[Any]:
        """A zip of prompts was taken: there may be other prompts, and other versions."""
        principal = principal_of(request)
        prompts = await self._orchestrator.prompts(principal)
        view.turn_to(view.key or next((prompt.key for prompt in prompts), ""))
        choices = [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
        return [gr.update(choices=choices, value=view.key or None), *await self._draw(view, principal)]

    @requires(RUN)
    async def to_engineer(self, view: View) -> list[Any]:
        """Turn to the first tab with the prompt that is looked at."""
        return [gr.update(selected="engineer"), gr.update(value=view.key) if view.key else gr.skip()]

    async def _draw(
        self, view: View, principal: Principal, *, news: Markup | None = None, note: Markup | None = None
    ) -> list[Any]:
        """Updates of `shown`; `news` are about the prompt, `note` is about its labels."""
        if not view.key:
            return [view, NOTHING, gr.update(visible=False), *(gr.skip() for _ in self.shown[3:])]
        seen = await read.read(self._studio, view, principal)
        others = conflicts.banner(seen.conflicts, here=view.key)
        apart = None if seen.conflict(view.key) else versions_list.kept_apart(seen.version, newest=seen.newest)
        return [
            view,
            join([news, others, apart]),
            gr.update(visible=True),
            versions_list.detail(seen.version, newest=seen.newest),
            *self.list.shows(seen, view),
            *await self.file.shows(view, principal),
            *await self.conflict.shows(seen, view, principal),
            *self.labels.shows(seen, view, principal, note),
            *await self.diff.shows(seen, view, principal),
        ]


def _opens(tab: str, principal: Principal) -> bool:
    """Whether a way leads to another tab."""
    return tab in principal.tabs and RUN in principal.rights


def _number(given: Any) -> int:
    """The number of a version, as a page sends it."""
    text = str(given)
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise NotFoundError("There is no such version.", param="version")
    return int(text)
