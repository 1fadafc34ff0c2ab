"""A person's own draft of a prompt as what a column runs: what it asks for, and what it makes of the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from herding.errors import HerdingError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import BODY, Edits, applied
from herding.ui.compare.state import Setting
from herding.ui.engineer.drafts import SessionDrafts
from herding.ui.engineer.session_state import format_stops, full_yaml, is_edited, reference
from herding.ui.kit.parameters import to_parameters
from herding.values import Principal, PromptInfo, Request


class OwnDrafts:
    """Looks up the drafts of whoever asks; a draft runs as it does in the first tab."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._keeper = SessionDrafts(orchestrator)

    async def of(self, key: str, who: Principal) -> Edits | None:
        """What they changed of a prompt and did not save; None where that is nothing, or cannot be read now."""
        with suppress(HerdingError):
            kept = await self._orchestrator.drafts.of(key, who)
            return kept.edits if kept and kept.edits.changes_prompt else None
        return None

    async def edits(self, key: str, who: Principal) -> Edits:
        """The same; NotFoundError where there is nothing."""
        found = await self.of(key, who)
        if found is None:
            raise NotFoundError(f"You have no draft of '{key}' any more. Choose a version in this column.")
        return found

    async def info(self, served: PromptInfo, who: Principal) -> PromptInfo:
        """The prompt as the draft makes it; as it is saved while its YAML makes none."""
        edits = await self.edits(served.key, who)
        shown = await self._keeper.editable(served, who)
        if edits.whole is not None:
            with suppress(UserError):
                shown = await self._orchestrator.sketch(served.key, edits.whole, who)
        return replace(shown, parameters=_overrides(edits.parameters).over(shown.parameters))

    async def request(self, setting: Setting, values: Mapping[str, Any], who: Principal) -> Request:
        """What a column asks for that runs the draft, with those of the inputs that it knows."""
        served = await self._orchestrator.prompt(setting.prompt, who)
        edits, info = await self.edits(setting.prompt, who), await self.info(served, who)
        own = _overrides(edits.parameters)
        return Request(
            prompt=reference(await self._keeper.editable(served, who)),
            variables={name: held for name, held in values.items() if name in info.variables},
            model=setting.model or None,
            parameters=setting.overrides.over(own),
            template=edits.template,
            whole=edits.whole,
        )


def edits_to(wanted: PromptInfo, shown: PromptInfo, parameters: Mapping[str, Any]) -> Edits:
    """What makes `wanted`, run with `parameters`, of the version that the first tab shows.

    It is a template and numbers where that is all the difference, else all of the prompt.
    """
    numbers, unset = _numbers(wanted, shown)
    if unset or _rest(wanted) != _rest(shown):
        return Edits(whole=full_yaml(shown, applied(wanted.key, wanted.content, Edits(parameters=parameters))))
    return Edits(
        template=wanted.body if is_edited(wanted.body, shown.body) else None, parameters={**numbers, **parameters}
    )


def _numbers(wanted: PromptInfo, shown: PromptInfo) -> tuple[dict[str, Any], bool]:
    """The parameters of `wanted` that differ, and whether it leaves one to the model that `shown` sets."""
    names = [field.name for field in fields(wanted.parameters)]
    held = {name: getattr(wanted.parameters, name) for name in names}
    other = {name: value for name, value in held.items() if value != getattr(shown.parameters, name)}
    given = {name: list(value) if name == "stop" else value for name, value in other.items()}
    return {name: value for name, value in given.items() if value not in (None, [])}, any(
        value in (None, []) for value in given.values()
    )


def _rest(prompt: PromptInfo) -> dict[str, Any]:
    """All of a prompt but its text and its parameters."""
    return {name: value for name, value in prompt.content.items() if name not in (*BODY, "parameters")}


def _overrides(kept: Mapping[str, Any]) -> Any:
    """The parameters of a draft, whose stop texts are a list, as parameters of a request."""
    stop = {"stop": format_stops(kept["stop"])} if "stop" in kept else {}
    return to_parameters({**kept, **stop})
