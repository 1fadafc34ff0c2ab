"""The tab "Versions": the versions of a prompt, their differences and labels, and all prompts as one file.

The address has `prompt` (a key), and `old` and `new`, the versions that are compared; `new` is the open one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import Response

from herding.access.operations import PROMPTS, SAVE
from herding.errors import ConflictError, HerdingError
from herding.studio.studio import MANY
from herding.ui.kit import prompt_text
from herding.ui.kit.fields import hidden_field, select_field
from herding.ui.kit.format import el, empty_state, failure, join, panel, success
from herding.ui.kit.live import every
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.ui.versions.bundle import bundle
from herding.ui.versions.conflicts import banner, conflict_section, conflict_stamp
from herding.ui.versions.detail import detail, not_in_file, yaml_section, yaml_text
from herding.ui.versions.diff import diff_section
from herding.ui.versions.labels import label_section, label_to_revert, moved
from herding.ui.versions.list import ACTION, BODY, version_list
from herding.ui.versions.snapshot import Choice, PromptSnapshot, current_stamp, load
from herding.values import Principal, PromptInfo

NO_PROMPTS = empty_state("No prompts yet", "Add a YAML file to the prompts directory, or import a zip below.")
WATCH = f"{every(3)}, shown from:closest .view"
UNCHANGED = Response(status_code=204)


class VersionsTab(View):
    """The versions of one prompt."""

    key = "versions"
    label = "Versions"
    rights = frozenset({PROMPTS})

    @fragment("GET", "", PROMPTS)
    async def open(self, call: Call) -> Reply:
        """Return the whole tab for the prompt that the address names, else for the first one."""
        top, address = await self._top(call)
        return Reply(
            el("div", el("div", top, id="versions-top"), bundle(call.principal), cls="versions"), address=address
        )

    @fragment("GET", "/top", PROMPTS)
    async def top(self, call: Call) -> Reply:
        """Return the list of prompts and the open one, after an import."""
        shown, address = await self._top(call)
        return Reply(shown, address=address)

    async def _top(self, call: Call) -> tuple[Markup, dict[str, str]]:
        who, asked = call.principal, call.text("prompt")
        prompts = await self._orchestrator.prompts.list_all(who)
        known = {prompt.key: prompt for prompt in prompts}
        key = asked if asked in known else next(iter(known), "")
        if not key:
            return join([_form([], ""), NO_PROMPTS]), {"prompt": "", "old": "", "new": ""}
        missing = prompt_text.not_opened(asked) if asked and asked != key else None
        try:
            choice = Choice.read(call, key) if asked == key else Choice(key)
            body = await self._body(choice, who, news=missing)
        except HerdingError as error:  # an address with a version that is not there
            choice, news = Choice(key), panel("warn", "Can't show this version", el("p", error.message), role="alert")
            body = await self._body(choice, who, news=news)
        return join([_form(prompts, key), el("div", body, id="versions-body")]), choice.address

    @fragment("GET", "/body", PROMPTS)
    async def body(self, call: Call) -> Reply:
        """Return another prompt, or other versions of it."""
        choice = Choice.read(call, call.text("prompt"))
        if call.text("shown") != choice.key:  # the versions are those of the prompt before
            choice = replace(Choice(choice.key), unified=choice.unified)
        return Reply(await self._body(choice, call.principal), address=choice.address)

    @fragment("GET", "/watch", PROMPTS)
    async def watch(self, call: Call) -> Markup | Response:
        """Return the prompt if it has changed since it was drawn."""
        choice, studio = Choice.read(call, call.text("prompt")), self._orchestrator.studio
        try:
            if await current_stamp(studio, choice.key, call.principal) == call.text("stamp"):
                return UNCHANGED
            return await self._body(choice, call.principal)
        except HerdingError as error:
            return failure("Can't refresh this page", error.message)

    @fragment("GET", "/yaml", PROMPTS)
    async def yaml(self, call: Call) -> Markup:
        """Return the YAML of a version."""
        choice = Choice.read(call, call.text("prompt"))
        try:
            return yaml_text(await self._orchestrator.studio.yaml(choice.key, choice.new, call.principal), choice.new)
        except HerdingError as error:
            return failure("Can't show this version", error.message)

    @fragment("POST", "/label", SAVE)
    async def move_label(self, call: Call) -> Reply:
        """Set a label to the open version."""
        choice, who = Choice.read(call, call.text("prompt")), call.principal
        move = await self._orchestrator.studio.move_label(
            choice.key, choice.label, choice.new, who, choice.note.strip()
        )
        body = await self._body(replace(choice, note=""), who)
        return Reply(body, notice=moved(move), events={"versions-focus": "version-set"})

    @fragment("POST", "/revert", SAVE)
    async def revert_label(self, call: Call) -> Reply:
        """Revert the last move of a label, if it still is the one that was shown."""
        choice, who, studio = Choice.read(call, call.text("prompt")), call.principal, self._orchestrator.studio
        moves = await studio.label_moves(choice.key, who, limit=MANY)
        move = await studio.undo_label_move(choice.key, label_to_revert(call.text("move"), moves), who)
        body = await self._body(choice, who)
        return Reply(body, notice=moved(move), events={"versions-focus": "version-set"})

    @fragment("POST", "/restore", SAVE)
    async def restore(self, call: Call) -> Reply:
        """Save the content of the open version as the latest one."""
        choice, who, studio = Choice.read(call, call.text("prompt")), call.principal, self._orchestrator.studio
        content = (await studio.version(choice.key, choice.new, who)).content
        message = f"Restored v{choice.new}"
        saved = await studio.save(choice.key, dict(content), who, message=message)
        choice = replace(choice, old=choice.new, new=saved.version)
        text = (
            f"v{choice.old} is restored as v{saved.version}."
            if saved.changed
            else "This content is the latest version."
        )
        return Reply(await self._body(choice, who), notice=text, address=choice.address)

    @fragment("POST", "/resolve", SAVE)
    async def resolve(self, call: Call) -> Reply:
        """Resolve the conflict with one of its sides, if it still is the one that was shown."""
        choice, who, studio = Choice.read(call, call.text("prompt")), call.principal, self._orchestrator.studio
        current = {conflict.key: conflict for conflict in await studio.conflicts(who)}.get(choice.key)
        if current is None or conflict_stamp(current) != call.text("seen"):
            raise ConflictError("The conflict has changed. Review it again.", param="key")
        side = current.theirs if call.text("side") == "theirs" else current.ours
        number = (await studio.resolve(choice.key, side, who)).version
        choice = replace(choice, new=number, old=max(1, number - 1))
        news = success(f"Conflict resolved: v{number} is the latest version and is written to the file.")
        return Reply(await self._body(choice, who, news=news), address=choice.address)

    async def _body(self, choice: Choice, who: Principal, *, news: Markup | None = None) -> Markup:
        """Return everything that follows from the prompt, with news about it."""
        studio = self._orchestrator.studio
        snapshot = await load(studio, choice, who)
        conflict = await conflict_section(studio, snapshot, who, unified=choice.unified)
        unfiled = None if snapshot.conflict else not_in_file(snapshot.version, newest=snapshot.newest)
        notes = el(
            "div", news, banner(snapshot.conflicts, current=choice.key), unfiled, id="version-news", role="status"
        )
        aside = el(
            "aside",
            detail(snapshot, who, ACTION),
            label_section(snapshot, choice, who),
            cls="detail",
            aria_label=f"Version {snapshot.number}",
        )
        listed = el("div", version_list(snapshot, choice), id="version-list")
        split = el("div", listed, aside, cls="split-view")
        differences = await diff_section(studio, snapshot, choice, who)
        return join(
            [
                _shown(choice, snapshot),
                notes,
                conflict,
                split,
                differences,
                yaml_section(snapshot),
            ]
        )


def _form(prompts: Sequence[PromptInfo], key: str) -> Markup:
    """Return the list of prompts. The fields of the versions belong to this form, wherever they stand."""
    options = [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
    picker = select_field(
        "Prompt",
        "prompt",
        options,
        key,
        id="version-prompt",
        disabled=None if options else "",
        hx_get="ui/versions/body",
        hx_trigger="change",
        **ACTION,
    )
    refresh = el("div", hx_get="ui/versions/top", hx_trigger="imported from:body", hx_target="#versions-top",
                 hx_include="#versions-form", hidden="")  # fmt: skip
    return el("form", picker, refresh, id="versions-form", cls="versions-form", hx_get="ui/versions/body",
              hx_trigger="submit", **ACTION)  # fmt: skip


def _shown(choice: Choice, snapshot: PromptSnapshot) -> Markup:
    """Return the fields that say what is shown, and the element that follows changes of the prompt."""
    fields = {"shown": choice.key, "limit": str(choice.limit)}
    hidden = [hidden_field(name, value, form="versions-form") for name, value in fields.items()]
    watch = el("div", hx_get=f"ui/versions/watch?{urlencode({'stamp': snapshot.stamp})}", hx_trigger=WATCH,
               id="versions-watch", hidden="", **{**ACTION, "hx_sync": f"{BODY}:drop"})  # fmt: skip
    return join([*hidden, watch])
