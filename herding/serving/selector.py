"""Selects the model and the node of each attempt, and explains why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from herding.errors import HerdingError, NodeError, NoNodeError, NotFoundError, UserError
from herding.evaluation.learning import Learning
from herding.herd.fleet import Fleet
from herding.herd.nodes import knows
from herding.nodes.base import Node
from herding.routing import balance
from herding.routing.balance import UNBOUNDED
from herding.routing.breaker import Permit
from herding.routing.fair_queue import Ticket
from herding.routing.policies import Candidate, Choice
from herding.routing.slots import Slot
from herding.serving.request import PreparedRequest
from herding.values import Considered, generalists

SHORT_WAIT_SECONDS = 2.0
"""A request waits for a node that is ejected or on trial for at most this long."""

ASKED = "asked"
"""The policy of a request that names its model."""


@dataclass(slots=True, eq=False)
class RoutingState:
    """The attempts of a request so far, for the selection of the next one.

    `failed` are the nodes that failed it, `missing` the models that a node said it does not have, `failure` and
    `last_node` tell of the last attempt. `attempt` counts from 1. `deadline` ends the waiting of all attempts
    together, in seconds of the fleet's clock.
    """

    request: PreparedRequest
    deadline: float
    failed: set[str] = field(default_factory=set)
    missing: set[Candidate] = field(default_factory=set)
    failure: NodeError | None = None
    last_node: str = ""
    attempt: int = 1

    @property
    def kind(self) -> tuple[object, ...]:
        """A key that is equal for requests which the same models on the same nodes could serve."""
        request, met = self.request, (frozenset(self.failed), frozenset(self.missing))
        asked = (_targets(request), request.principal.nodes, request.response_format is None, request.limits_cost)
        return (*asked, _purpose(request), tuple(need.name for need in request.needs), *met)

    def advertised(self, node: Node) -> tuple[str, ...]:
        """Return the models that the node lists for such a request, and with which it can do what that needs.

        Under a limit on money, only those with a price.
        """
        listed, needs = _listed(node, self.request), self.request.needs
        if needs:
            listed = tuple(model for model in listed if node.capabilities(model).meet(needs))
        if not self.request.limits_cost:
            return listed
        return tuple(model for model in listed if node.price(model) is not None)

    def served(self, node: Node, listed: tuple[str, ...]) -> tuple[str, ...]:
        """Return the `listed` models without those that the node said it does not have."""
        if not self.missing:
            return listed
        return tuple(model for model in listed if Candidate(model, node.name) not in self.missing)

    def still_serves(self, candidate: Candidate, node: Node) -> bool:
        """Return whether the node lists the model of a candidate, and did not say that it does not have it."""
        return candidate not in self.missing and candidate.model in self.advertised(node)


@dataclass(slots=True, eq=False)
class Assignment:
    """A place on a node for one attempt. `considered` are all candidates, with the reasons against them."""

    candidate: Candidate
    node: Node
    policy: str
    reason: str
    considered: tuple[Considered, ...]
    slot: Slot
    permit: Permit

    def release(self) -> None:
        """Give the place back; repeated calls are ignored. Without a verdict before, the node's health is unchanged."""
        if not self.permit.ended:
            self.permit.cancelled()
        self.slot.release()


RequestTicket = Ticket[RoutingState, Assignment]
Advertised = Mapping[Node, tuple[str, ...]]
"""The models that each node lists for a request."""


class Selector:
    """Selects a model by the prompt's policy among those that are served, then a node by its health and load."""

    def __init__(self, fleet: Fleet, learning: Learning) -> None:
        self._fleet, self._learning = fleet, learning

    def models(self, request: PreparedRequest) -> Sequence[str]:
        """Return the models that may serve the request, best first; without a target, those that are served."""
        if targets := _targets(request):
            return targets
        served = (model for node in self.allowed(request) for model in (*node.serves, *node.expects))
        return generalists(served)

    def allowed(self, request: PreparedRequest) -> list[Node]:
        """Return the nodes that the caller's role may use and that support the response format."""
        nodes = self._fleet.usable(request.principal)
        return nodes if request.response_format is None else [node for node in nodes if node.formats]

    def serving(self, state: RoutingState) -> list[Node]:
        """Return the nodes that serve one of the models now and have not failed this request."""
        advertised = {node: state.advertised(node) for node in self.allowed(state.request)}
        return list(_serving(state, advertised, self.models(state.request)))

    def coming(self, state: RoutingState) -> list[Node]:
        """Return the nodes that will serve one of the models soon."""
        models = self._loadable(state)
        return [node for node in self.allowed(state.request) if models & set(node.expects)]

    def switchable(self, state: RoutingState) -> list[Node]:
        """Return the nodes that may load one of the models on demand."""
        models, nodes = self._loadable(state), self.allowed(state.request)
        return [node for node in nodes if any(self._fleet.can_load(node, model) for model in models)]

    def _loadable(self, state: RoutingState) -> set[str]:
        """Return the models that may be loaded for the request; no node loads one to embed or rerank."""
        return set() if state.request.texts is not None else set(self.models(state.request))

    def check(self, request: PreparedRequest) -> None:
        """Raise what can be said before the request waits: a model that no node has, an unsupported format."""
        if request.texts is not None:
            self._check_reading(request)
        elif request.response_format is not None:
            self._check_format(request)
        if request.needs:
            self._check_needs(request)

    def _check_reading(self, request: PreparedRequest) -> None:
        """Raise NotFoundError for a model with which no node embeds, or scores documents."""
        usable = self._fleet.usable(request.principal)
        models = dict.fromkeys(model for node in usable for model in _listed(node, request))
        if request.model in models:
            return
        embeds = request.query is None
        advice = f"Add {'embedding_models' if embeds else 'rerank_models'} to a node in the nodes file, or set its key."
        faults = (node.fault_of(request.model or "") for node in usable)
        if fault := next(filter(None, faults), None):
            advice = fault
        elif models:
            advice = f"These are there: {', '.join(models)}."
        what = "makes embeddings" if embeds else "reranks"
        raise NotFoundError(f"No node {what} with '{request.model}'. {advice}", param="model")

    def _check_format(self, request: PreparedRequest) -> None:
        if request.rendered.messages is None:
            message = "A raw text has no response_format. Send messages, or run a prompt that has them."
            raise UserError(message, param="response_format")
        models = set(self.models(request))
        serving = [node for node in self._fleet.usable(request.principal) if _serves(node, models)]
        if serving and not any(node.formats for node in serving):
            where = f"No node that serves {' or '.join(models)} keeps" if models else "No node keeps"
            advice = "Leave it out, and run a prompt with a json_schema check instead."
            raise UserError(f"{where} responses to a response_format. {advice}", param="response_format")

    def _check_needs(self, request: PreparedRequest) -> None:
        """Raise UserError for the first thing that a request needs, and none of the nodes that serve it can do."""
        models = set(self.models(request))
        offered = self._offered(request)
        serving = [node.capabilities(model) for node, model in offered if not models or model in models]
        if not serving or any(able.meet(request.needs) for able in serving):
            return
        missing = [need for need in request.needs if not any(able.meets(need) for able in serving)]
        need = missing[0] if missing else request.needs[-1]
        where = f"No node that serves {' or '.join(sorted(models))} takes" if _targets(request) else "No node takes"
        advice = "Leave it out, or choose a model that does."
        raise UserError(f"{where} {need.what}. {advice}", param=need.param)

    def max_cost(self, request: PreparedRequest) -> int:
        """Return the most in nano-dollars that the request may cost on a node that serves one of its models.

        That of a chain is of all its calls. Raises UserError if none of the models has a known price.
        """
        if request.chain is not None:
            return sum(call.count * self.max_cost(request.planned(call)) for call in request.chain.calls)
        wanted, offered = set(self.models(request)), self._offered(request)
        found = {Candidate(model, node.name): node.price(model) for node, model in offered if model in wanted}
        usage = request.max_usage
        costs = [price.cost(usage) for price in found.values() if price is not None]
        if found and not costs:
            where = " or ".join(f"{one.model} on {one.node}" for one in found)
            advice = "Choose another model, or set prices for the node in the nodes file."
            raise UserError(f"The price of {where} is unknown, and you have a limit on cost. {advice}", param="model")
        return max(costs, default=0)

    def _offered(self, request: PreparedRequest) -> Iterator[tuple[Node, str]]:
        """Yield each model that a node serves, expects or could load for the request, with the node."""
        for node in self.allowed(request):
            models = (*_listed(node, request), *(() if request.texts is not None else (*node.expects, *node.offers)))
            yield from ((node, model) for model in dict.fromkeys(models))

    def take(self, state: RoutingState) -> Assignment | None:
        """Take a place for an attempt; None while all candidates are full. Raises what ends the request."""
        models = self.models(state.request)
        advertised = {node: state.advertised(node) for node in self.allowed(state.request)}
        serving = _serving(state, advertised, models)
        free, last = self._free(serving), False
        if not free and self._are_last(state, serving):
            free, last = self._free(serving, last=True), True
        if not free:
            if error := self._final_error(state, list(serving)):
                raise error
            return None
        offered = set().union(*free.values())
        able = [model for model in models if model in offered]
        choice = self._learning.choose(state.request.key, able, state.request.prompt, busy=self._busy(able, free))
        model = choice.order[0]
        nodes = {node.name: node for node, served in free.items() if model in served}
        names, fleet = list(nodes), self._fleet
        name = names[0] if len(names) == 1 else balance.pick_node(names, fleet.slots.load, fleet.rng)
        considered = self._considered(state, choice, advertised, models, {} if last else free)
        return self._assign(state, choice, Candidate(model, name), nodes, considered, last=last)

    def _free(self, serving: Advertised, *, last: bool = False) -> Advertised:
        """Return the nodes that take a call now, with what they serve; if they are the `last`, ejected ones."""
        slots, health = self._fleet.slots, self._fleet.health
        return {
            node: served
            for node, served in serving.items()
            if slots.has_free(node.name) and health.allows(node.name, last=last)
        }

    def _assign(
        self,
        state: RoutingState,
        choice: Choice,
        candidate: Candidate,
        nodes: Mapping[str, Node],
        considered: tuple[Considered, ...],
        *,
        last: bool,
    ) -> Assignment:
        """Take the place and the permit; of the `last` nodes for a request, even an ejected one gives it."""
        fleet, reason = self._fleet, _reason(state, choice, candidate, len(nodes))
        permit, slot = fleet.health.acquire(candidate.node, last=last), fleet.slots.acquire(candidate.node)
        if permit is None or slot is None:
            raise AssertionError("a node that is free takes a call")
        return Assignment(
            candidate=candidate,
            node=nodes[candidate.node],
            policy=ASKED if state.request.model else choice.policy,
            reason=reason,
            considered=considered,
            slot=slot,
            permit=permit,
        )

    def _busy(self, models: Sequence[str], free: Advertised) -> dict[str, float]:
        """Return how busy each model is: the least share of taken places among the free nodes that serve it."""
        if len(models) < 2:
            return {}
        found: dict[str, float] = {}
        for node, served in free.items():
            load = self._fleet.slots.load(node.name)
            taken = load.running / (load.concurrency or UNBOUNDED)
            for model in served:
                found[model] = min(taken, found.get(model, taken))
        return found

    def _considered(
        self,
        state: RoutingState,
        choice: Choice,
        advertised: Advertised,
        models: Sequence[str],
        free: Advertised,
    ) -> tuple[Considered, ...]:
        """Return all candidates with the reasons against them; those on `free` nodes have none."""
        found: list[Considered] = []
        for model in models:
            serving = [node for node, listed in advertised.items() if model in listed]
            share = choice.shares.get(model)
            if not serving:
                coming = [node.name for node in advertised if model in node.expects]
                found.append(Considered(model, None, share, f"{coming[0]} loads it" if coming else "no node serves it"))
            for node in serving:
                excluded = None if model in free.get(node, ()) else self._exclusion(state, Candidate(model, node.name))
                found.append(Considered(model, node.name, share, excluded))
        return tuple(found)

    def _exclusion(self, state: RoutingState, candidate: Candidate) -> str | None:
        """Return why a candidate cannot be chosen now; None where it can."""
        name = candidate.node
        if name in state.failed or candidate in state.missing:
            return "it failed this request"
        health = self._fleet.health.status(name)
        if health.state != "healthy":
            return f"{health.state}: {health.reason}" if health.reason else health.state
        if self._fleet.slots.has_free(name):
            return None
        load = self._fleet.slots.load(name)
        return "it takes no new requests" if load.draining else f"all its {load.concurrency} places are taken"

    def _are_last(self, state: RoutingState, nodes: Collection[Node]) -> bool:
        """Return whether all nodes are out, so that a request which has not failed yet may be the trial of one."""
        return state.failure is None and all(self._fleet.health.is_out(node.name) for node in nodes)

    # When no node can

    def can_continue(self, state: RoutingState) -> bool:
        """Return whether there is a candidate for the request now, or will be soon."""
        return self._final_error(state, self.serving(state)) is None

    def has_sound_node(self, state: RoutingState) -> bool:
        """Return whether one of the candidates shows no sign of failing."""
        found = (self._fleet.health.status(node.name) for node in self.serving(state))
        return any(health.state == "healthy" and not health.failures_in_a_row for health in found)

    def _final_error(self, state: RoutingState, nodes: Sequence[Node]) -> HerdingError | None:
        """Return the error that ends the request; None while waiting may help."""
        names = [node.name for node in nodes]
        wait = self._fleet.health.retry_after(names, last=self._are_last(state, nodes))
        if nodes and wait is not None and wait <= SHORT_WAIT_SECONDS:
            return None
        if self.coming(state) or (not nodes and self.switchable(state)):
            return None
        return state.failure or self.no_node_error(state, nodes)

    def no_node_error(self, state: RoutingState, nodes: Sequence[Node] = ()) -> HerdingError:
        """Return why no node can serve the request; `nodes` serve a fitting model, and may not be called."""
        request = state.request
        permitted, models = self._fleet.usable(request.principal), self.models(request)
        if nodes:
            return self._all_out(nodes)
        if request.needs:
            self._check_needs(request)
        if request.model and any(request.model in node.embeds for node in permitted):
            message = f"{request.model} is an embedding model. Send texts for it to /v1/embeddings."
            return NotFoundError(message, param="model")
        if request.model and any(request.model in node.reranks for node in permitted):
            message = f"{request.model} is a reranker. Send documents for it to /v1/rerank."
            return NotFoundError(message, param="model")
        if request.model and not knows(permitted, request.model):
            message = f"No node knows the model {request.model}. Choose one of GET /api/v1/models, or leave it out."
            return NotFoundError(message, param="model")
        wanted = " or ".join(models) or "any model"
        able = [node.name for node in self.allowed(request) if set(models) & set(node.offers)]
        failures = [self._fleet.load_failure(name, model) for name in able for model in models]
        if reason := next((reason for reason in failures if reason), None):
            return NoNodeError(f"No node serves {wanted}: {reason}")
        if able:
            advice = f"Load it on {' or '.join(able)} in the Nodes tab, or choose another model."
            return NoNodeError(f"No node serves {wanted} now. {advice}")
        return NoNodeError(
            f"No node serves {wanted}. Add one that does to the nodes file, or set the key of a hosted one."
        )

    def _all_out(self, nodes: Sequence[Node]) -> NoNodeError:
        health = {node.name: self._fleet.health.status(node.name) for node in nodes}
        states = "; ".join(f"{name} is {found.state} ({found.reason})" for name, found in health.items())
        wait = self._fleet.health.retry_after(health) or 0.0
        if all(found.state == "misconfigured" for found in health.values()):
            return NoNodeError(f"No node is available: {states}. An operator must check its key.", retry_after=wait)
        return NoNodeError(f"No node is available now: {states}. Try again in {wait:.0f} seconds.", retry_after=wait)


def _serving(state: RoutingState, advertised: Advertised, models: Sequence[str]) -> dict[Node, tuple[str, ...]]:
    """Return the nodes that serve one of the models now and have not failed this request, with what they serve."""
    left = {node: state.served(node, listed) for node, listed in advertised.items() if node.name not in state.failed}
    wanted = set(models)
    return {node: served for node, served in left.items() if not wanted.isdisjoint(served)}


def _targets(request: PreparedRequest) -> tuple[str, ...]:
    """Return the models that may serve a request by its own choice or that of its prompt, best first; empty is any."""
    if request.model:
        return (request.model,)
    if request.prompt.routing and request.prompt.routing.pinned:
        return (request.prompt.routing.pinned,)
    return tuple(request.prompt.target_models)


def _purpose(request: PreparedRequest) -> str:
    """Return what a request needs of a model: to respond, to embed texts or to score documents."""
    if request.texts is None:
        return "serves"
    return "embeds" if request.query is None else "reranks"


def _listed(node: Node, request: PreparedRequest) -> tuple[str, ...]:
    """Return the models of a node that can do what a request needs."""
    if request.texts is None:
        return node.serves
    return node.embeds if request.query is None else node.reranks


def _serves(node: Node, models: set[str]) -> bool:
    """Return whether a node serves one of the models now or soon; any model where none is named."""
    served = {*node.serves, *node.expects}
    return bool(served & models if models else served)


def _reason(state: RoutingState, choice: Choice, candidate: Candidate, nodes: int) -> str:
    """Return why this model on this node was chosen among `nodes` nodes."""
    model, node = candidate.model, candidate.node
    where = "" if nodes == 1 else f"; {node} is the less busy of {'its' if nodes == 2 else '2 of its'} {nodes} nodes"
    why = f"{model} selected" if state.request.model else choice.why
    retried = f"attempt {state.attempt} after {state.last_node} failed: " if state.last_node else ""
    return f"{retried}{why}{where}"
