"""Makes of what somebody asks a request that is ready to run: all that can be checked beforehand is checked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from herding.access.operations import EDIT, SAVE
from herding.access.roles import allows, require
from herding.errors import NotFoundError, UserError
from herding.prompts.compose import NO_PROMPT, RenderedPrompt, compose, render_free_input
from herding.prompts.model import Prompt, PromptParameters, check_key
from herding.prompts.prompt_file import parse_body, parse_prompt
from herding.prompts.variables import clean_parameter, fill_async
from herding.serving.conversation import recall
from herding.serving.run import Flight
from herding.store import Store
from herding.studio.version_cache import Edition, VersionCache
from herding.values import Message, Parameters, Principal, Request
from herding.values.ids import new_id

MAX_TURNS = 200


class Preparer:
    """Reads requests. `find` gives the version of a prompt that a reference means to somebody, or raises.

    Every method raises UserError, which names what is wrong, and AccessError where an edit takes a right.
    """

    def __init__(
        self,
        *,
        find: Callable[[str, Principal], Awaitable[Edition]],
        version_cache: VersionCache,
        store: Store,
        clock: Callable[[], int],
    ) -> None:
        self._find = find
        self._version_cache = version_cache
        self._store = store
        self._clock = clock

    async def prepared(self, request: Request, who: Principal) -> Flight:
        """The request with its prompt rendered, the turns of its session and the parameters it runs with."""
        if not request.prompt:
            request = await recall(request, who, store=self._store)
            return self._flight(request, who, NO_PROMPT, render_free_input(request), key="", variables={})
        found, prompt = await self.asked(request, who)
        values = await fill_async(prompt.variables, request.variables)
        request = await recall(request, who, store=self._store, prompt=found)
        rendered = compose(prompt, values, _checked_turns(request))
        edited = prompt is not found.prompt or not found.number
        facts = {"key": found.key, "variables": values, "version": found.number, "edited": edited}
        return self._flight(request, who, prompt, rendered, **facts)

    def _flight(
        self, request: Request, who: Principal, prompt: Prompt, rendered: RenderedPrompt, **facts: Any
    ) -> Flight:
        return Flight(
            request_id=new_id(),
            arrived_at=self._clock(),
            who=who,
            prompt=prompt,
            session_id=clean_parameter(request.session_id, "session_id") if request.session_id else None,
            rendered=rendered,
            parameters=_checked_parameters(request.parameters).over(prompt.parameters.value()),
            model=clean_parameter(request.model, "model") if request.model else None,
            response_format=request.response_format,
            **facts,
        )

    async def rendered(self, request: Request, who: Principal) -> RenderedPrompt:
        """What a run of `request` would send to a model, and which variant it picks."""
        _, prompt = await self.asked(request, who)
        return compose(prompt, await fill_async(prompt.variables, request.variables), request.turns or ())

    async def asked(self, request: Request, who: Principal) -> tuple[Edition, Prompt]:
        """The version that a request means, and the prompt to run: that one, or what is edited of it."""
        if request.whole is None:
            found = await self._find(request.prompt, who)
            return found, _edited(found, request, who)
        require(who, SAVE)  # whoever may save it might do that first, and run it then
        key = request.prompt.partition("@")[0]
        try:
            saved = await self._find(request.prompt, who)
        except NotFoundError:
            if key in self._version_cache.heads or not allows(who.prompts, key):
                raise
            saved = None
        prompt = await asyncio.to_thread(parse_prompt, key, request.whole)
        if saved is None:
            check_key(key)
            return Edition(key, 0, prompt), prompt
        return saved, saved.prompt if prompt.digest == saved.prompt.digest else prompt


def _edited(found: Edition, request: Request, who: Principal) -> Prompt:
    if request.template is None:
        return found.prompt
    require(who, EDIT)
    edited = parse_body(request.template, found.prompt)
    return found.prompt if edited.digest == found.prompt.digest else edited


@lru_cache(maxsize=1024)
def _checked_parameters(parameters: Parameters) -> Parameters:
    """`parameters` if they are in the bounds of the schema; UserError names the first that is not."""
    try:
        given = parameters.given() | {"stop": [clean_parameter(stop, "stop") for stop in parameters.stop]}
        return PromptParameters.model_validate(given).value()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UserError(f"Parameter '{name}': {first['msg']}.", param=name) from None


def _checked_turns(request: Request) -> tuple[Message, ...]:
    """The earlier turns of a chat: user and assistant only, and not endless."""
    turns = request.turns or ()
    if any(turn.role not in ("user", "assistant") for turn in turns):
        raise UserError("Earlier turns are by user and assistant; the system message is the prompt's.", param="turns")
    return tuple(Message(turn.role, clean_parameter(turn.content, "turns")) for turn in turns[-MAX_TURNS:])
