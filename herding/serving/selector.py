"""Finds who can answer a request now, takes a place there, and says why it is this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from herding.errors import HerdingError, NodeError, NoNodeError, NotFoundError
from herding.evaluation.learning import Learning
from herding.herd.fleet import Fleet
from herding.herd.listing import knows, usable
from herding.nodes.base import Node
from herding.routing import balance
from herding.routing.balance import UNBOUNDED
from herding.routing.breaker import Permit
from herding.routing.fair_queue import Ticket
from herding.routing.policies import Candidate, Choice
from herding.routing.slots import Slot
from herding.serving.run import Flight
from herding.values import Considered

SHORT = 2.0
"""Seconds for which a request waits for a node that rests, or that another one tries; for a longer time it does not."""

ASKED = "asked"
"""What stands in the place of a policy where the caller named the model."""


@dataclass(slots=True, eq=False)
class Search:
    """What a request looks for, and what it met so far: the nodes that failed it, and how the last one did.

    `missing` are models that a node said it does not have; its others may do.
    `embeds`: it wants embeddings, not an answer. `attempt` counts from 1. After `deadline` (seconds of the
    fleet's clock) it does not wait any more.
    """

    flight: Flight
    embeds: bool = False
    failed: set[str] = field(default_factory=set)
    missing: set[Candidate] = field(default_factory=set)
    failure: NodeError | None = None
    last: str = ""
    attempt: int = 1
    deadline: float | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Equal for requests that the same models on the same nodes could answer."""
        flight, routing = self.flight, self.flight.prompt.routing
        named = flight.model or (routing.pinned if routing else None)
        models = (named,) if named else tuple(flight.prompt.target_models)
        met = frozenset(self.failed), frozenset(self.missing)
        return (models, flight.who.nodes, flight.response_format is None, self.embeds, *met)

    def named(self, node: Node) -> tuple[str, ...]:
        """The models that the node is said to have for such a request now."""
        return node.embeds if self.embeds else node.serves

    def served(self, node: Node) -> tuple[str, ...]:
        """Those of them that it did not say it has not."""
        named = self.named(node)
        if not self.missing:
            return named
        return tuple(model for model in named if Candidate(model, node.name) not in self.missing)


@dataclass(slots=True, eq=False)
class Lease:
    """A place on a node for one call. `considered` is everybody who could have had the call, and what spoke against."""

    candidate: Candidate
    policy: str
    why: str
    considered: tuple[Considered, ...]
    slot: Slot
    permit: Permit

    def release(self) -> None:
        """Give the place back; again does no harm. Without a word before, the call says nothing about the node."""
        self.permit.cancelled()
        self.slot.release()


Wish = Ticket[Search, Lease]


class Selector:
    """Chooses a model by the prompt's policy among those that are served, then a node by its health and load."""

    def __init__(self, fleet: Fleet, learning: Learning) -> None:
        self._fleet, self._learning = fleet, learning

    def models(self, flight: Flight) -> Sequence[str]:
        """The models that may answer, best first; without a prompt that names some, all that are served."""
        routing = flight.prompt.routing
        if flight.model:
            return [flight.model]
        if routing and routing.pinned:
            return [routing.pinned]
        served = (model for node in self.allowed(flight) for model in (*node.serves, *node.expects))
        return flight.prompt.target_models or list(dict.fromkeys(served))

    def permitted(self, flight: Flight) -> list[Node]:
        """The nodes that the caller's role may use."""
        return usable(self._fleet, flight.who)

    def allowed(self, flight: Flight) -> list[Node]:
        """Those of them that can keep to the form that the answer must have."""
        return [node for node in self.permitted(flight) if node.formats or flight.response_format is None]

    def serving(self, search: Search) -> list[Node]:
        """Those of them that serve one of the models now, and did not fail this request."""
        return _serving(search, self.allowed(search.flight), self.models(search.flight))

    def coming(self, search: Search) -> list[Node]:
        """Those of them that will serve one of the models soon."""
        models = self._answering(search)
        return [node for node in self.allowed(search.flight) if models & set(node.expects)]

    def switchable(self, search: Search) -> list[Node]:
        """Those of them that requests may switch to one of the models."""
        models, nodes = self._answering(search), self.allowed(search.flight)
        return [node for node in nodes if node.auto_switch and node.serves and models & set(node.offers)]

    def _answering(self, search: Search) -> set[str]:
        """The models that may be loaded for it; no node loads one for embeddings."""
        return set() if search.embeds else set(self.models(search.flight))

    def take(self, wish: Wish) -> Lease | None:
        """A place for a call, or None while all who could have it are full. Raises what ends the request."""
        search = wish.about
        allowed, wanted = self.allowed(search.flight), self.models(search.flight)
        nodes = _serving(search, allowed, wanted)
        free = {node.name: node for node in nodes if self._free(node.name)}
        if not free:
            if error := self._hopeless(search, nodes):
                raise error
            return None
        models = [model for model in wanted if any(model in search.served(node) for node in free.values())]
        choice = self._learning.choose(search.flight.key, models, search.flight.prompt, busy=self._busy(models, free))
        model = choice.order[0]
        names = [name for name, node in free.items() if model in search.served(node)]
        considered = tuple(self._considered(search, choice, allowed, wanted))
        return self._lease(search, choice, Candidate(model, self._pick(names)), len(names), considered)

    def _free(self, name: str) -> bool:
        return self._fleet.slots.has_free(name) and self._fleet.health.allows(name)

    def _pick(self, names: Sequence[str]) -> str:
        return balance.pick_node(names, self._fleet.slots.load, self._fleet.rng)

    def _lease(
        self, search: Search, choice: Choice, candidate: Candidate, nodes: int, considered: tuple[Considered, ...]
    ) -> Lease:
        fleet = self._fleet
        permit, slot = fleet.health.acquire(candidate.node), fleet.slots.acquire(candidate.node)
        if permit is None or slot is None:
            raise AssertionError("a node that is free takes a call")
        return Lease(
            candidate=candidate,
            policy=ASKED if search.flight.model else choice.policy,
            why=_why(search, choice, candidate, nodes),
            considered=considered,
            slot=slot,
            permit=permit,
        )

    def _busy(self, models: Sequence[str], free: Mapping[str, Node]) -> dict[str, float]:
        """How much there is to do for each model: the share that is taken of the places of its nodes, the least."""
        if len(models) < 2:
            return {}
        found: dict[str, float] = {}
        for name, node in free.items():
            load = self._fleet.slots.load(name)
            taken = load.running / (load.concurrency or UNBOUNDED)
            for model in node.serves:
                found[model] = min(taken, found.get(model, taken))
        return found

    def _considered(
        self, search: Search, choice: Choice, nodes: Sequence[Node], models: Sequence[str]
    ) -> Iterator[Considered]:
        for model in models:
            serving = [node.name for node in nodes if model in search.named(node)]
            share = choice.shares.get(model)
            if not serving:
                coming = [node.name for node in nodes if model in node.expects]
                yield Considered(model, None, share, f"{coming[0]} loads it" if coming else "no node serves it")
            for name in serving:
                yield Considered(model, name, share, self._against(search, Candidate(model, name)))

    def _against(self, search: Search, candidate: Candidate) -> str | None:
        """What speaks against a model on a node now."""
        name = candidate.node
        if name in search.failed or candidate in search.missing:
            return "it failed this request"
        health, load = self._fleet.health.status(name), self._fleet.slots.load(name)
        if health.state != "healthy":
            return f"{health.state}: {health.reason}" if health.reason else health.state
        if load.draining:
            return "it takes no new requests"
        full = load.concurrency is not None and load.running >= load.concurrency
        return f"all its {load.concurrency} places are taken" if full else None

    # When nobody can

    def hopes(self, search: Search) -> bool:
        """Whether there is somebody to try, or will be soon."""
        return self._hopeless(search, self.serving(search)) is None

    def sound(self, search: Search) -> bool:
        """Whether one of those who could be tried shows no sign of failing."""
        looks = (self._fleet.health.status(node.name) for node in self.serving(search))
        return any(look.state == "healthy" and not look.failures_in_a_row for look in looks)

    def _hopeless(self, search: Search, nodes: Sequence[Node]) -> HerdingError | None:
        """Why waiting leads to nothing; None where it does."""
        wait = self._fleet.health.retry_after([node.name for node in nodes])
        if nodes and wait is not None and wait <= SHORT:
            return None
        if self.coming(search) or (not nodes and self.switchable(search)):
            return None
        return search.failure or self.nobody(search, nodes)

    def nobody(self, search: Search, nodes: Sequence[Node] = ()) -> HerdingError:
        """Why there is nobody who could answer; `nodes` serve a fitting model, and may not be called."""
        flight = search.flight
        permitted, models = self.permitted(flight), self.models(flight)
        if nodes:
            return self._all_out(nodes)
        if flight.model and any(flight.model in node.embeds for node in permitted):
            message = f"{flight.model} makes embeddings and no answers. Send texts for it to /v1/embeddings."
            return NotFoundError(message, param="model")
        if flight.model and not knows(permitted, flight.model):
            message = f"No node knows the model {flight.model}. Choose one of GET /api/v1/models, or leave it out."
            return NotFoundError(message, param="model")
        wanted = " or ".join(models) or "any model"
        able = [node.name for node in self.allowed(flight) if set(models) & set(node.offers)]
        if able:
            where = " or ".join(able)
            advice = f"Switch {where} to it in the Nodes tab, or choose another model."
            return NoNodeError(f"No node serves {wanted} now. {advice}")
        return NoNodeError(
            f"No node serves {wanted}. Add one that does to the nodes file, or set the key of a hosted one."
        )

    def _all_out(self, nodes: Sequence[Node]) -> NoNodeError:
        health = {node.name: self._fleet.health.status(node.name) for node in nodes}
        said = "; ".join(f"{name} is {found.state} ({found.reason})" for name, found in health.items())
        wait = self._fleet.health.retry_after(health)
        if wait is None:
            return NoNodeError(f"No node can answer: {said}. An operator must mend that in the Nodes tab.")
        return NoNodeError(f"No node can answer now: {said}. Try again in {wait:.0f} seconds.", retry_after=wait)


def _serving(search: Search, nodes: Sequence[Node], models: Sequence[str]) -> list[Node]:
    """Those of the nodes that serve one of the models now, and did not fail this request."""
    fresh = (node for node in nodes if node.name not in search.failed)
    return [node for node in fresh if any(model in search.served(node) for model in models)]


def _why(search: Search, choice: Choice, candidate: Candidate, nodes: int) -> str:
    """Why this model on this one of so many nodes, in words."""
    model, node = candidate.model, candidate.node
    where = f"{node} serves it" if nodes == 1 else f"{node} has the least to do of two drawn from {nodes} nodes"
    what = f"{model} was asked for" if search.flight.model else choice.why
    retried = f"attempt {search.attempt} after {search.last} failed: " if search.last else ""
    return f"{retried}{what}; {where}"
