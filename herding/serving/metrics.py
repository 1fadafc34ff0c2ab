"""Metrics in Prometheus' text format: counts and times, no texts of requests or responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from herding.nodes.base import Node
from herding.serving.queue import RequestQueue
from herding.serving.request import ActiveRequests
from herding.values import Outcome, to_dollars

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counts since this process started. Labels are names of this installation: callers cannot create new ones."""

    def __init__(self, nodes: Mapping[str, Node], active: ActiveRequests, queue: RequestQueue) -> None:
        self._nodes = nodes
        self._registry = kept = CollectorRegistry()
        by_answer = ["prompt", "model", "node"]
        requests = Counter("herding_requests", "Requests that ended, by status.", [*by_answer, "status"], registry=kept)
        tokens = Counter("herding_tokens", "Tokens in and out.", ["model", "node", "direction"], registry=kept)
        cost = Counter("herding_cost_dollars", "Cost in US dollars, as far as known.", ["model", "node"], registry=kept)
        attempts = Counter("herding_attempts", "Calls of nodes, by result.", ["node", "result"], registry=kept)
        check_failures = Counter("herding_check_failures", "Responses that failed a check.", ["prompt"], registry=kept)
        self._refused = Counter("herding_requests_over_limit", "Requests that a limit refused.", registry=kept)
        total = Histogram(
            "herding_request_seconds", "From arrival to the end.", ["node"], buckets=_SECONDS, registry=kept
        )
        first = Histogram(
            "herding_first_token_seconds", "From arrival to the first token.", ["node"], buckets=_SECONDS, registry=kept
        )
        self._serving = Gauge("herding_node_models", "Models that a node serves now.", ["node"], registry=kept)
        # Looking up the child of some labels takes longer than counting.
        self._requests, self._tokens = cache(requests.labels), cache(tokens.labels)
        self._cost = cache(cost.labels)
        self._attempts, self._check_failures = cache(attempts.labels), cache(check_failures.labels)
        self._total, self._first = cache(total.labels), cache(first.labels)
        running = Gauge("herding_running_requests", "Requests that run or wait now.", registry=kept)
        running.set_function(lambda: len(active))
        waiting = Gauge("herding_waiting_requests", "Requests that wait for a node now.", registry=kept)
        waiting.set_function(lambda: len(queue))

    def ended(self, outcome: Outcome) -> None:
        """Count a request that has a row and ended. The tokens, costs and times of a chain are those of its steps."""
        if outcome.kind == "chain":
            self._requests(outcome.prompt, "", "", outcome.status).inc()
            return
        node = outcome.node or ""
        model = outcome.model if outcome.node and outcome.model else ""  # without a node it is what a caller wrote
        self._requests(outcome.prompt, model, node, outcome.status).inc()
        self._tokens(model, node, "in").inc(outcome.usage.input_tokens)
        self._tokens(model, node, "out").inc(outcome.usage.output_tokens)
        if outcome.cost:
            self._cost(model, node).inc(to_dollars(outcome.cost))
        self._total(node).observe(outcome.timings.total_ms / 1000)
        if outcome.timings.first_token_ms is not None:
            self._first(node).observe(outcome.timings.first_token_ms / 1000)
        if outcome.checks.ok is False:
            self._check_failures(outcome.prompt).inc()
        for attempt in outcome.attempts:
            self._attempts(attempt.node, attempt.error_type or "answered").inc()

    def over_limit(self) -> None:
        """Count a request that a limit refused."""
        self._refused.inc()

    def text(self, visible: Iterable[str]) -> bytes:
        """Return all metrics now; of the nodes, only those named."""
        self._serving.clear()
        for name in visible:
            self._serving.labels(name).set(len(self._nodes[name].serves))
        return generate_latest(self._registry)
