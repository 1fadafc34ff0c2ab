"""Requests of bots to Herding, each as the user of the chat platform."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from herding.bots.config import DiscordFile
from herding.errors import AccessError, HerdingError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.people.authenticator import Authenticator
from herding.prompts.model import Prompt
from herding.store import Store
from herding.values import CONCLUSIVE_STATUSES, Event, Message, Outcome, Principal, Request

QUESTION_NAMES = ("question", "message", "text", "input", "query", "prompt")
"""Names of variables that get the text of a message, the likeliest first."""

MAX_CHOICES = 25
"""The most suggestions that Discord shows."""


@dataclass(frozen=True, slots=True)
class DiscordUser:
    """A user whom Discord has authenticated, with their roles on the server."""

    id: int
    roles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A message to a prompt. `variable` gets its text; None: the one that looks like it.

    `turns` are the earlier messages of the conversation, for prompts that chat.
    """

    text: str
    prompt: str
    variable: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None
    turns: tuple[Message, ...] = ()
    session_id: str | None = None


class BotService(Protocol):
    """Runs, rates and stops requests for users of Discord. Every method raises errors of the services.

    `store` keeps what the bot accepted, `clock` is in Unix milliseconds.
    """

    store: Store
    file: DiscordFile
    clock: Callable[[], int]

    def ask(self, question: Question, user: DiscordUser) -> AsyncGenerator[Event, None]:
        """Run the prompt with the message and yield the events of the request."""

    async def ended(self, request_id: str, user: DiscordUser) -> Outcome | None:
        """Return the outcome of a user's request that ended with a text; None for all others."""

    async def stop(self, request_id: str, user: DiscordUser) -> None:
        """Stop a running request of the user."""

    async def rate(self, request_id: str, stars: int, user: DiscordUser) -> None:
        """Give the response that the user sees 1-5 stars."""

    async def comment(self, request_id: str, text: str, user: DiscordUser) -> None:
        """Comment on the response that the user sees; an empty text removes the comment."""

    async def store_content(self, stored: bool, user: DiscordUser) -> None:
        """Choose whether the content of the user's requests is stored from now on."""

    async def prompts(self, typed: str, user: DiscordUser) -> list[tuple[str, str]]:
        """Return names and ids of prompts that the user may run and that fit what they typed."""

    async def collections(self, typed: str, user: DiscordUser) -> list[str]:
        """Return collections that the user may see and that fit what they typed."""


class LocalService(BotService):
    """The services of this process."""

    def __init__(
        self,
        *,
        orchestrator: Orchestrator,
        authenticator: Authenticator,
        store: Store,
        file: DiscordFile,
        clock: Callable[[], int],
    ) -> None:
        self._orchestrator, self._authenticator = orchestrator, authenticator
        self.store, self.file, self.clock = store, file, clock

    async def ask(self, question: Question, user: DiscordUser) -> AsyncGenerator[Event, None]:
        who = await self._principal(user)
        prompt = (await self._orchestrator.prompts.find(question.prompt, who)).prompt
        name = question.variable or question_variable(prompt)
        request = Request(
            prompt=question.prompt,
            variables={**question.variables, name: question.text},
            turns=question.turns if prompt.chat else None,
            session_id=question.session_id if prompt.chat else None,
            collection=question.collection,
        )
        async with aclosing(self._orchestrator.pipeline.stream(request, who)) as events:
            async for event in events:
                yield event

    async def ended(self, request_id: str, user: DiscordUser) -> Outcome | None:
        try:
            entry = await self._orchestrator.history.entry(request_id, await self._principal(user))
        except (NotFoundError, AccessError):
            return None
        outcome = entry.outcome
        return outcome if outcome.status in CONCLUSIVE_STATUSES and outcome.answer else None

    async def stop(self, request_id: str, user: DiscordUser) -> None:
        await self._orchestrator.pipeline.cancel(request_id, await self._principal(user))

    async def rate(self, request_id: str, stars: int, user: DiscordUser) -> None:
        await self._orchestrator.feedback.rate(request_id, stars, await self._principal(user), shown=True)

    async def comment(self, request_id: str, text: str, user: DiscordUser) -> None:
        await self._orchestrator.feedback.comment(request_id, text, await self._principal(user), shown=True)

    async def store_content(self, stored: bool, user: DiscordUser) -> None:
        await self._orchestrator.accounts.opt_out(not stored, await self._principal(user))

    async def prompts(self, typed: str, user: DiscordUser) -> list[tuple[str, str]]:
        found = await self._orchestrator.prompts.runnable(await self._principal(user))
        fitting = [
            (one.prompt.name, one.key) for one in found if typed.lower() in f"{one.prompt.name} {one.key}".lower()
        ]
        return fitting[:MAX_CHOICES]

    async def collections(self, typed: str, user: DiscordUser) -> list[str]:
        try:
            found = await self._orchestrator.collections.listing(await self._principal(user))
        except HerdingError:  # a role may use collections in prompts without seeing their list
            return []
        return [one.name for one in found if typed.lower() in one.name.lower()][:MAX_CHOICES]

    async def _principal(self, user: DiscordUser) -> Principal:
        return await self._authenticator.authenticate_discord(user.id, self.file.role_of(list(user.roles)))


def question_variable(prompt: Prompt) -> str:
    """Return the variable of a prompt that gets the text of a message. Raises UserError if it has none."""
    filled = prompt.retrieval.into if prompt.retrieval else None
    texts = [name for name, variable in prompt.variables.items() if variable.type == "text" and name != filled]
    if known := [name for name in QUESTION_NAMES if name in texts]:
        return known[0]
    needed = [name for name in texts if prompt.variables[name].must_be_given]
    if not texts:
        raise UserError(f"The prompt '{prompt.name}' has no text variable for a message. Choose another prompt.")
    return (needed or texts)[0]
