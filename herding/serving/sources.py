"""Fills variables of a prompt from the variable sources of plugins, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from herding.errors import PluginFailedError, UserError, VariableError
from herding.plugins import Plugins, SourceCall, hookimpl
from herding.plugins.hooks import Source
from herding.prompts.sources import filled_arguments, to_fill
from herding.prompts.variables import Value, Variable
from herding.values import Principal


class VariableSources:
    """Asks the sources of a request's variables."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins

    async def fill(
        self,
        key: str,
        variables: Mapping[str, Variable],
        given: Mapping[str, Any],
        values: dict[str, Value],
        who: Principal,
    ) -> None:
        """Put the value of its source into each variable that the caller left empty.

        Raises UserError for a source that is not installed, and PluginFailedError for one that fails or returns what
        the variable does not take.
        """
        wanted = list(to_fill(variables, given))
        for name, source, _ in wanted:
            if problem := self._plugins.missing("variable source", source):
                raise UserError(f"Variable '{name}' can't be filled: {problem} Or enter a value.", param=name)
        sourced = {name for name, _, _ in wanted}
        others = {name: value for name, value in values.items() if name not in sourced}

        async def ask(name: str, source: str, variable: Variable) -> None:
            arguments = deepcopy(filled_arguments(variable.arguments or {}, others))
            call = SourceCall(arguments, deepcopy(others), prompt=key, user=who.id, role=who.role)
            try:
                found = await self._plugins.value(source, call)
            except PluginFailedError as error:
                raise PluginFailedError(f"Variable '{name}' can't be filled. {error.message}", param=name) from None
            try:
                values[name] = variable.check(found)
            except VariableError as error:
                what = f"Variable '{name}' {error.message}, but its source '{source}' gave another value."
                raise PluginFailedError(what, param=name) from None

        answers = await asyncio.gather(*(ask(*one) for one in wanted), return_exceptions=True)
        if failure := next((answer for answer in answers if answer is not None), None):
            raise failure


class BuiltInSources:
    """The variable sources of this package, as a plugin like any other."""

    @hookimpl
    def herding_variable_sources(self) -> dict[str, Source]:
        """Return the sources."""
        return {"now": now, "user": user}


def now(call: SourceCall) -> str:
    """Return the date and the time; `timezone` is one such as Europe/Berlin (default: UTC), `format` as of strftime."""
    zone = ZoneInfo(str(call.arguments.get("timezone", "UTC")))
    return datetime.now(zone).strftime(str(call.arguments.get("format", "%Y-%m-%d %H:%M %Z")))


def user(call: SourceCall) -> str:
    """Return who runs the prompt."""
    return call.user
