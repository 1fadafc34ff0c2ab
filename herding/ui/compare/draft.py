"""The drafts of the user: a column that runs one, a column that becomes one, and the typed inputs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from herding.access.operations import EDIT, SAVE
from herding.errors import HerdingError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import BODY, Edits, apply_edits
from herding.ui.compare.columns import ColumnConfig
from herding.ui.engineer.edited import editable, require_prompt, store, with_edits
from herding.ui.engineer.form import full_text, is_edited, reference
from herding.ui.engineer.form_data import to_text
from herding.ui.kit.variables import initial_value
from herding.values import Parameters, Principal, PromptInfo, Request, SeenDraft


class OwnDrafts:
    """Reads the drafts of the user; a draft runs as it does in the Prompt engineer tab."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    async def find(self, key: str, who: Principal) -> Edits | None:
        """Return the unsaved edits of a prompt, None if there are none or they cannot be read."""
        with suppress(HerdingError):
            draft = await self._orchestrator.drafts.get(key, who)
            return draft.edits if draft and draft.edits.changes_prompt else None
        return None

    async def edits(self, key: str, who: Principal) -> Edits:
        """Return the unsaved edits of a prompt; raise NotFoundError if there are none."""
        found = await self.find(key, who)
        if found is None:
            raise NotFoundError(f"Your draft of '{key}' no longer exists. Choose a version in this column.")
        return found

    async def info(self, live: PromptInfo, who: Principal) -> PromptInfo:
        """Return the prompt with the draft's edits, the saved one while the draft's YAML is invalid."""
        edits = await self.edits(live.key, who)
        shown = await self._editable(live.key, who)
        if edits.whole is not None:
            with suppress(UserError):
                shown = await self._orchestrator.prompts.sketch(live.key, edits.whole, who)
        return replace(shown, parameters=Parameters.of(edits.parameters).over(shown.parameters))

    async def _editable(self, key: str, who: Principal) -> PromptInfo:
        return require_prompt(await editable(key, who, self._orchestrator), key)

    async def request(self, config: ColumnConfig, values: Mapping[str, Any], who: Principal) -> Request:
        """Return the request of a column that runs the draft, with the inputs that the draft declares."""
        live = await self._orchestrator.prompts.get(config.prompt, who)
        edits, info = await self.edits(config.prompt, who), await self.info(live, who)
        return Request(
            prompt=reference(await self._editable(live.key, who)),
            variables={name: value for name, value in values.items() if name in info.variables},
            model=config.model or None,
            parameters=config.overrides.over(Parameters.of(edits.parameters)),
            template=edits.template,
            whole=edits.whole,
        )

    async def values(self, key: str, who: Principal) -> dict[str, Any]:
        """Return the inputs in the draft of a prompt; empty without one."""
        with suppress(HerdingError):
            draft = await self._orchestrator.drafts.get(key, who)
            return dict(draft.edits.variables) if draft else {}
        return {}

    async def store_values(
        self,
        key: str,
        variables: Mapping[str, Mapping[str, Any]],
        values: Mapping[str, Any],
        who: Principal,
        *,
        page: str = "",
    ) -> bool:
        """Store typed inputs in the draft of a prompt; return False for users whose content is not stored.

        page: the id of the open page, whose form in the Prompt engineer then finds its own draft.
        """
        if who.opt_out:
            return False
        draft = await self._orchestrator.drafts.get(key, who)
        before = draft.edits if draft else Edits()
        typed = {name: value for name, value in values.items() if value != initial_value(variables[name])}
        others = {name: value for name, value in before.variables.items() if name not in values}
        edits = replace(before, variables={**others, **typed})
        if edits != before:
            base = draft.base if draft else (await self._editable(key, who)).version
            seen = SeenDraft(None, (page,))
            await self._orchestrator.drafts.store(key, edits, who, base=base, before=before, seen=seen)
        return True

    async def fill(self, config: ColumnConfig, values: Mapping[str, Any], who: Principal) -> None:
        """Store a column with its inputs as the draft of its prompt; Undo brings the draft before back."""
        live = await self._orchestrator.prompts.get(config.prompt, who)
        shown = await self._editable(config.prompt, who)
        target, edits = await self._target(config, live, shown, who)
        given = {
            name: value
            for name, value in values.items()
            if name in target.variables and value != initial_value(target.variables[name])
        }
        made = await with_edits(shown, replace(edits, variables=given), who, self._orchestrator)
        stored = await store(made, who, self._orchestrator)
        if stored.error:
            raise stored.error

    async def _target(
        self, config: ColumnConfig, live: PromptInfo, shown: PromptInfo, who: Principal
    ) -> tuple[PromptInfo, Edits]:
        """Return the prompt that a column runs, and the edits that turn `shown` into it."""
        if config.is_draft:
            edits = await self.edits(config.prompt, who)
            parameters = {**edits.parameters, **config.parameters}
            return await self.info(live, who), replace(edits, parameters=parameters)
        target = await self._orchestrator.prompts.get(config.reference, who) if config.version else live
        edits = edits_to(target, shown, config.parameters)
        if (edits.template and EDIT not in who.rights) or (edits.whole and SAVE not in who.rights):
            raise UserError("Your role can only use the live version there. Choose it in this column first.")
        return target, edits


def edits_to(target: PromptInfo, shown: PromptInfo, parameters: Mapping[str, Any]) -> Edits:
    """Return the edits that turn `shown`, the editor's version, into `target` run with `parameters`.

    The edits are a template and parameters if nothing else differs, else the whole prompt.
    """
    changed, unset = _parameter_changes(target, shown)
    if unset or _other_content(target) != _other_content(shown):
        data = apply_edits(target.key, target.content, Edits(parameters=parameters))
        return Edits(whole=to_text(shown.key, full_text(shown), data))
    return Edits(
        template=target.body if is_edited(target.body, shown.body) else None, parameters={**changed, **parameters}
    )


def _parameter_changes(target: PromptInfo, shown: PromptInfo) -> tuple[dict[str, Any], bool]:
    """Return the parameters of `target` that differ, and whether it takes more than those to come to it from `shown`.

    That is so where one is unset, or where those without a field of their own differ.
    """
    names = [field.name for field in fields(target.parameters) if field.name != "more"]
    different = {
        name: value for name in names if (value := getattr(target.parameters, name)) != getattr(shown.parameters, name)
    }
    plain = {name: list(value) if name == "stop" else value for name, value in different.items()}
    changed = {name: value for name, value in plain.items() if value not in (None, [])}
    return changed, len(changed) < len(plain) or target.parameters.more != shown.parameters.more


def _other_content(prompt: PromptInfo) -> dict[str, Any]:
    return {name: value for name, value in prompt.content.items() if name not in (*BODY, "parameters")}
