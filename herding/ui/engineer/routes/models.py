"""The routes of the model picker."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from herding.access.operations import RUN, SWITCH_MODEL
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.engineer import models
from herding.ui.engineer.edited import editable
from herding.ui.kit.views import Call, Reply, fragment


class ModelRoutes:
    """Each route returns the picker as of then."""

    _orchestrator: Orchestrator

    @fragment("POST", "/model", RUN)
    async def pick_model(self, call: Call) -> Reply:
        """Return the picker for a picked model, which is loaded where the role may."""
        failure = await models.try_load(call.text("model"), call.principal, self._orchestrator)
        return Reply(await self._model_picker(call), notice=failure, address={"model": call.text("model")})

    @fragment("POST", "/model/load", RUN)
    async def load_model(self, call: Call) -> Reply:
        """Load the picked model."""
        await models.load(call.text("of") or call.text("model"), call.principal, self._orchestrator)
        return Reply(await self._model_picker(call))

    @fragment("POST", "/model/cancel", SWITCH_MODEL)
    async def cancel_model(self, call: Call) -> Reply:
        """Cancel loading the picked model."""
        model = call.text("of") or call.text("model")
        cancelled = await models.cancel(model, call.principal, self._orchestrator)
        return Reply(await self._model_picker(call), notice=f"Loading {model} cancelled." if cancelled else "")

    @fragment("GET", "/model", RUN)
    async def show_model(self, call: Call) -> Markup:
        """Return the picker as of now."""
        return await self._model_picker(call)

    async def _model_picker(self, call: Call) -> Markup:
        who, key = call.principal, call.text("key")
        prompt = await editable(key, who, self._orchestrator)
        targets = [model for model in call.texts("target") if model]
        if prompt is None:
            raise NotFoundError(f"Prompt '{key}' no longer exists.", param="prompt")
        if targets and tuple(targets) != prompt.target_models:
            prompt = replace(prompt, target_models=tuple(targets))
        choices = await models.model_choices(prompt, who, self._orchestrator)
        return models.model_picker(prompt, call.text("model"), choices, who)
