"""Bounds of what a node reports about usage, so that a wrong report misleads no limit and no statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from herding.nodes.prices import Price
from herding.values import Usage

BYTES_PER_TOKEN = 4
"""Few tokens of a text have less, in most languages."""

ANSWER_TOKENS = 256
"""The output tokens that a request is assumed to need where no `max_tokens` is set."""

MAX_REPORTED = 1_000_000
"""Output tokens that a node may report where the request sets no maximum: reasoning is not always visible."""

TEMPLATE_TOKENS = 4_096
"""Input tokens that a chat template may add to the text."""

MAX_TOKENS_PER_COUNTED = 8
"""Input tokens that a node may report for each one that is counted here: a byte each, and then some."""


class Used(NamedTuple):
    """The use of a request for people, and for its caller's limits. Costs are in nano-dollars, None if unknown."""

    usage: Usage
    cost: int | None
    charged_tokens: int
    charged_cost: int | None


@dataclass(frozen=True, slots=True)
class UsageBounds:
    """The bounds for one request: the tokens `counted` from its texts alone, and those `reserved` in its limits.

    `estimated` are those of the whole request, where nothing better is known. `output_limit` is the maximum of output
    tokens that was asked for, of all responses together; None if none was.
    """

    counted: Usage
    estimated: Usage
    reserved: Usage
    output_limit: int | None

    def used(self, reported: Usage | None, price: Price | None) -> Used:
        """Return what a request has used whose node reported `reported`, at a price (None: unknown)."""
        usage = self.estimated if reported is None else self.shown(reported)
        tokens = self.charged(usage.total, self.counted.total, self.reserved.total)
        cost = None if price is None else price.cost(usage)
        if not cost or price is None:
            return Used(usage, cost, tokens, cost)
        return Used(usage, cost, tokens, self.charged(cost, price.cost(self.counted), price.cost(self.reserved)))

    def shown(self, reported: Usage) -> Usage:
        """Return the usage for people and statistics: as reported, if it can be.

        A count of zero where there is text, and one that is impossible, are replaced; `source` is `bounded` then.
        """
        ours, most = self.estimated, self.reserved
        most_input = ours.input_tokens * MAX_TOKENS_PER_COUNTED + TEMPLATE_TOKENS
        most_output = max(self.output_limit or MAX_REPORTED, ours.output_tokens)
        made_in = _corrected(reported.input_tokens, ours.input_tokens, most.input_tokens, most_input)
        made_out = _corrected(reported.output_tokens, ours.output_tokens, most.output_tokens, most_output)
        if (made_in, made_out) == (reported.input_tokens, reported.output_tokens):
            return reported
        return Usage(made_in, made_out, "bounded")

    def charged(self, reported: int, counted: int, reserved: int) -> int:
        """Return what counts for a limit, in its unit: never less than was counted here, nor more than was reserved."""
        return min(max(reported, counted), max(reserved, counted))


def _corrected(reported: int, counted: int, reserved: int, most: int) -> int:
    if reported > most:
        return max(counted, reserved)
    return reported or counted
