"""The response filters of a run: what its caller gets and its row keeps is what they let through."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from inspect import isclass
from typing import Any, Literal

from herding.errors import PluginFailedError, UserError
from herding.plugins import Plugins, RefusedError, StreamFilter
from herding.prompts.model import FilterUse
from herding.values import Choice, Delta, FilterResult, FinishReason, Parameters

_UNFILTERED = {"tools", "functions", "logprobs", "top_logprobs", "audio", "modalities"}
"""Parameters that bring something into a response that no filter reads."""


def check_filters(uses: Sequence[FilterUse], parameters: Parameters, plugins: Plugins) -> None:
    """Raise UserError for filters that are not installed, and for parameters whose results they do not read."""
    for used in uses:
        if problem := plugins.missing("response filter", used.name):
            raise UserError(f"Can't run this prompt: {problem}", param="filters")
    given = sorted(_UNFILTERED & parameters.more.keys())
    if parameters.responses > 1:
        given.append("n")
    if given:
        message = f"This prompt has response filters, which read one text. Leave out '{given[0]}'."
        raise UserError(message, param=given[0])


class ResponseFilters:
    """Passes the text and the reasoning of one response through the filters of its prompt.

    Where all are stream filters, each piece is passed on as they let it through; where one needs the whole text,
    nothing is passed on before the end. Other parts of a response are dropped, but for a refusal of the model.
    """

    def __init__(self, uses: Sequence[FilterUse], plugins: Plugins) -> None:
        self._chains = _Chain(uses, plugins), _Chain(uses, plugins)
        self._refusal = ""
        self.refused: str | None = None
        """The reason of a filter that refused the response, None if none did."""

    @property
    def text(self) -> str:
        """The text that was let through so far."""
        return "".join(self._chains[0].passed)

    @property
    def has_reasoning(self) -> bool:
        """True if reasoning was let through."""
        return any(self._chains[1].passed)

    @property
    def results(self) -> tuple[FilterResult, ...]:
        """The result of each filter so far."""
        pairs = zip(*(chain.results for chain in self._chains), strict=True)
        return tuple(max(pair, key=lambda result: _WEIGHT[result.action]) for pair in pairs)

    def choices(self, finish_reason: FinishReason | None) -> tuple[Choice, ...]:
        """Return the whole choices; none for a response that is nothing but text."""
        reasoning = "".join(self._chains[1].passed)
        fields = {"refusal": self._refusal} if self._refusal else {}
        fields |= {"reasoning_content": reasoning} if reasoning else {}
        if not reasoning and not fields:
            return ()
        return (Choice(0, self.text, reasoning, fields, finish_reason=finish_reason),)

    async def add(self, delta: Delta) -> Delta | None:
        """Filter what arrived; return what can be passed on, None if nothing can.

        Raises PluginFailedError. After a refusal nothing is passed on.
        """
        if self.refused is not None:
            return None
        for choice in delta.choices:
            refusal = choice.fields.get("refusal")
            self._refusal += refusal if isinstance(refusal, str) else ""
        return await self._pass(delta.text, delta.reasoning, ended=False)

    async def end(self) -> Delta | None:
        """Return what was held back. Raises PluginFailedError."""
        return None if self.refused is not None else await self._pass("", "", ended=True)

    async def _pass(self, *pieces: str, ended: bool) -> Delta | None:
        made: list[str] = []
        for chain, piece in zip(self._chains, pieces, strict=True):
            try:
                made.append(await chain.add(piece, ended=ended))
            except RefusedError as error:
                self.refused = str(error)[:300] or "no reason was given"
                return None
        text, reasoning = made
        if reasoning:
            return Delta(text, (Choice(0, text, reasoning, {"reasoning_content": reasoning}),))
        return Delta(text) if text else None


_WEIGHT = {"passed": 0, "changed": 1, "failed": 2, "refused": 3}


class _Chain:
    """The filters for one text."""

    def __init__(self, uses: Sequence[FilterUse], plugins: Plugins) -> None:
        self._stages = [_Stage(used, plugins) for used in uses]
        self._held: list[str] | None = [] if any(stage.needs_whole for stage in self._stages) else None
        self.passed: list[str] = []

    @property
    def results(self) -> list[FilterResult]:
        return [stage.result for stage in self._stages]

    async def add(self, text: str, *, ended: bool) -> str:
        """Return what all filters let through of the next piece; all that is left at the end."""
        if self._held is not None:
            self._held.append(text)
            if not ended:
                return ""
            text = "".join(self._held)
        for stage in self._stages:
            text = await stage.add(text, ended=ended)
        if text:
            self.passed.append(text)
        return text


class _Stage:
    """One filter for one text."""

    def __init__(self, used: FilterUse, plugins: Plugins) -> None:
        self._used, self._plugins = used, plugins
        self._what = f"response filter {used.name}"
        self._filter: Any = plugins.filters[used.name]
        self._stream: StreamFilter | None = None
        self._given: list[str] = []
        self._made: list[str] = []
        self._problem: tuple[Literal["refused", "failed"], str] | None = None

    @property
    def needs_whole(self) -> bool:
        return not isclass(self._filter)

    @property
    def result(self) -> FilterResult:
        before, after = "".join(self._given), "".join(self._made)
        plugin = self._plugins.owner(self._what)
        made = FilterResult(self._used.name, plugin, "passed", before=len(before), after=len(after))
        if self._problem:
            return replace(made, action=self._problem[0], reason=self._problem[1])
        return replace(made, action="changed") if before != after else made

    async def add(self, text: str, *, ended: bool) -> str:
        """Return what the filter lets through. Raises RefusedError and PluginFailedError."""
        self._given.append(text)
        try:
            made = await (self._whole(text) if self.needs_whole else self._piece(text, ended=ended))
        except RefusedError as error:
            self._problem = ("refused", str(error)[:300])
            raise
        except PluginFailedError as error:
            self._problem = ("failed", error.message)
            raise
        self._made.append(made)
        return made

    async def _whole(self, text: str) -> str:
        return await self._call(self._filter, text, deepcopy(self._used.argument)) if text else ""

    async def _piece(self, text: str, *, ended: bool) -> str:
        if self._stream is None:
            if not text:
                return ""
            self._stream = await self._plugins.call(self._what, self._filter, deepcopy(self._used.argument))
        made = await self._call(self._stream.feed, text) if text else ""
        return made + await self._call(self._stream.end) if ended else made

    async def _call(self, function: Any, *arguments: Any) -> str:
        made = await self._plugins.call(self._what, function, *arguments)
        if not isinstance(made, str):
            raise self._plugins.failure(self._what, f"it returned {type(made).__name__}, not a text")
        return made
