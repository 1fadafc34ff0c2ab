"""The hooks that a plugin may implement, and the values that its functions get and return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any, Protocol

import pluggy

API = 1
"""The version of the hooks. A plugin may say which one it is written for, as `herding_api`."""

hookspec, hookimpl = pluggy.HookspecMarker("herding"), pluggy.HookimplMarker("herding")

Check = Callable[[str, Any], str | None]
"""Judges a response with the argument of the prompt file; returns why it fails, None if it passes."""

Loader = Callable[..., Any] | str
"""Reads a document: `load(content, title)` returns Markdown. A text is such a function, as `module:function`."""


@dataclass(frozen=True, slots=True)
class SourceCall:
    """The input of a variable source: the arguments of the prompt file, with their placeholders filled.

    `variables` are the other values of the request, `prompt` is the key of its prompt. `user` and `role` are those of
    the caller.
    """

    arguments: Mapping[str, Any]
    variables: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""
    user: str = ""
    role: str = ""


Source = Callable[[SourceCall], Any]
"""Returns the value of a variable, of its type; a coroutine function, or an ordinary one that runs in a thread."""


class RefusedError(Exception):
    """Raised by a response filter: the response must not be returned. The message says why, for the caller."""


class StreamFilter(ABC):
    """A response filter that changes a text while it streams. One is made for each text of a response.

    A filter that is a function `filter(text, argument)` needs the whole text instead: the stream is held until then.
    """

    def __init__(self, argument: Any) -> None:
        self.argument = argument

    @abstractmethod
    def feed(self, text: str) -> str:
        """Take the next piece of the text and return what can be passed on. May raise RefusedError."""

    def end(self) -> str:
        """Return what was held back. May raise RefusedError."""
        return ""


Filter = Callable[[str, Any], Any] | type[StreamFilter]
"""Changes a response: `filter(text, argument)` returns the text to use. Either may raise RefusedError."""


class Evidence(Protocol):
    """The evidence on models for a prompt."""

    def quality(self) -> Mapping[str, float]:
        """Return the expected quality of a response of each model, 0-1."""

    def star_shares(self) -> Mapping[str, float]:
        """Return the probability of each model under the policy `stars`."""

    def success_shares(self) -> Mapping[str, float]:
        """Return the probability of each model under the policy `success_share`."""

    def describe(self, model: str) -> str:
        """Return the evidence on a model in words."""

    def next_turn(self) -> int:
        """Return the number of choices of this prompt before that counted them."""


class RoutingQuery:
    """The input of a routing policy. `models` can respond now, in the order of the prompt; there are at least two.

    `busy` is the share of taken places of each model (0-1), where it is known; `random` is for draws. With `explore`
    false, the best model is wanted.
    """

    def __init__(
        self,
        prompt: str,
        models: tuple[str, ...],
        *,
        busy: Mapping[str, float],
        explore: bool,
        random: Random,
        evidence: Evidence,
    ) -> None:
        self.prompt, self.models, self.busy, self.explore = prompt, models, busy, explore
        self.random = random
        self._evidence = evidence

    @cached_property
    def quality(self) -> Mapping[str, float]:
        """The expected quality of a response of each model, 0-1, by stars, failures, checks and latency."""
        return self._evidence.quality()

    @cached_property
    def star_shares(self) -> Mapping[str, float]:
        """The probability of each model under the policy `stars`."""
        return self._evidence.star_shares()

    @cached_property
    def success_shares(self) -> Mapping[str, float]:
        """The probability of each model under the policy `success_share`."""
        return self._evidence.success_shares()

    @cached_property
    def turn(self) -> int:
        """The number of earlier choices of this prompt that took turns."""
        return self._evidence.next_turn()

    def describe(self, model: str) -> str:
        """Return the evidence on a model in words."""
        return self._evidence.describe(model)

    def detached(self) -> RoutingQuery:
        """Return a copy that is complete: it reads nothing that changes, so that another thread may use it."""
        made = RoutingQuery(
            self.prompt,
            self.models,
            busy=dict(self.busy),
            explore=self.explore,
            random=Random(self.random.random()),  # noqa: S311 (no secret)
            evidence=self._evidence,
        )
        words = {model: self.describe(model) for model in self.models}
        made.__dict__ |= {
            "quality": self.quality,
            "star_shares": self.star_shares,
            "success_shares": self.success_shares,
            "turn": self.turn,
            "describe": lambda model: words[model],
        }
        return made


@dataclass(frozen=True, slots=True)
class RoutingChoice:
    """The decision of a routing policy: the chosen model, first in `order`, and those to try next if it fails.

    `shares` are the probabilities with which the models were to be chosen, where there was a draw; `why` is one
    sentence.
    """

    order: tuple[str, ...]
    shares: Mapping[str, float] | None = None
    why: str | None = None


Policy = Callable[[RoutingQuery], RoutingChoice | Sequence[str] | str]
"""Chooses a model: returns its name, some or all models in the order to try them, or a RoutingChoice."""


class Hooks:
    """The hooks that a plugin may implement. Each returns what the plugin adds, by name."""

    @hookspec
    def herding_node_kinds(self) -> Sequence[type]:
        """Return configuration classes of nodes: subclasses of `herding.nodes.base.NodeConfig`."""
        raise NotImplementedError

    @hookspec
    def herding_checks(self) -> Mapping[str, Check]:
        """Return checks by the name that prompt files use under `checks.plugins`."""
        raise NotImplementedError

    @hookspec
    def herding_document_loaders(self) -> Mapping[str, Loader]:
        """Return loaders by the ending of file names, without a dot.

        A loader is a function of a module. It gets the content and the title, and returns Markdown. It runs in a child
        process without network and environment.
        """
        raise NotImplementedError

    @hookspec
    def herding_variable_sources(self) -> Mapping[str, Source]:
        """Return variable sources by the name that prompt files use as the `source` of a variable."""
        raise NotImplementedError

    @hookspec
    def herding_response_filters(self) -> Mapping[str, Filter]:
        """Return response filters by the name that prompt files use under `filters`."""
        raise NotImplementedError

    @hookspec
    def herding_routing_policies(self) -> Mapping[str, Policy]:
        """Return routing policies by the name that prompt files use as `routing.policy`.

        A policy is an ordinary function that returns within 50 milliseconds.
        """
        raise NotImplementedError
