"""The routes that find prompts, and create new ones."""

from __future__ import annotations

from markupsafe import Markup

from herding.access.operations import RUN, SAVE
from herding.errors import HerdingError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits
from herding.ui.engineer import layout
from herding.ui.engineer.edited import unsaved_keys
from herding.ui.engineer.editor import open_prompt
from herding.ui.engineer.starters import COPY, copied_text, name_from_key, starter_text
from herding.ui.kit.views import Call, Reply, fragment
from herding.ui.overview.search import SearchQuery, find
from herding.values import Principal, generalists

PICKED = 30
"""Prompts that the picker lists at once."""


class PromptRoutes:
    """The picker of prompts, and the form of a new one."""

    _orchestrator: Orchestrator

    @fragment("GET", "/prompts", RUN)
    async def prompts(self, call: Call) -> Markup:
        """Return links to the prompts that a search finds."""
        who, search = call.principal, call.text("q")
        found = find(await self._orchestrator.prompts.list_all(who), SearchQuery.parse(search, "", "", "")).prompts
        saved = {prompt.key for prompt in found}
        new = [
            key
            for key in await unsaved_keys(who, self._orchestrator)
            if key not in saved and search.lower() in key.lower()
        ]
        links = [(key, key, "Not saved") for key in new] + [(prompt.key, prompt.name, "") for prompt in found]
        return layout.prompt_links(links[:PICKED], more=len(links) - PICKED)

    @fragment("POST", "/new", SAVE)
    async def new(self, call: Call) -> Reply:
        """Create the draft of a new prompt from a template; an existing draft of this ID is opened as it is."""
        who, key, name = call.principal, call.text("new_key").strip().strip("/"), call.text("new_name").strip()
        try:
            await self._create(key, name, call.text("starter"), who)
        except HerdingError as error:
            fields = layout.new_prompt_fields(call.text("starter"), key=key, name=name, error=error.message)
            return Reply(fields)
        return Reply(Markup(), events={**open_prompt(key), "engineer-new": ""})

    async def _create(self, key: str, name: str, starter: str, who: Principal) -> None:
        try:
            await self._orchestrator.prompts.get(key, who)
        except NotFoundError:
            draft = await self._orchestrator.drafts.get(key, who)
            if draft is None or draft.edits.whole is None:  # values of a deleted prompt are no draft of a new one
                whole = await self._template(starter, name or name_from_key(key), who)
                await self._orchestrator.drafts.store_new(key, Edits(whole=whole), who)
        else:
            raise UserError(f"Prompt '{key}' already exists. Enter another ID, or open that prompt.", param="key")

    async def _template(self, starter: str, name: str, who: Principal) -> str:
        """Return the YAML that a new prompt begins with."""
        if not starter.startswith(COPY):
            return starter_text(starter, name, await self._models(who))
        source = await self._orchestrator.prompts.get(f"{starter.removeprefix(COPY)}@newest", who)
        return copied_text(source.content, name)

    async def _models(self, who: Principal) -> list[str]:
        """Return up to three target models of the other prompts, available ones if there are any, no specialist."""
        prompts = await self._orchestrator.prompts.list_all(who)
        available = [model for prompt in prompts for model, nodes in prompt.served.items() if nodes]
        targets = [model for prompt in prompts for model in prompt.target_models]
        return generalists(available or targets)[:3]
