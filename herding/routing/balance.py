"""Load balancing between nodes that serve the same model: the better of two drawn at random.

Two choices keep the fullest node close to the mean (M. Mitzenmacher, "The Power of Two Choices in Randomized Load
Balancing", 2001), and unlike the best of all they do not send a burst to one node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from random import Random

from herding.routing.slots import LATENCY_FADES, Load

UNBOUNDED = 16
"""The concurrency assumed for a node without a limit when loads are compared."""

SIMILAR, GRAIN_MS = 1.15, 200.0
"""Latencies count as equal within this factor plus so many milliseconds, since by chance one is always lower."""

OPTIMISM = 0.8
"""The share of the other node's latency that is assumed of a node without recent responses."""


def pick_node(nodes: Sequence[str], load: Callable[[str], Load], rng: Random) -> str:
    """Return the node to call, of at least one; ties are broken at random."""
    if len(nodes) == 1:
        return nodes[0]
    first, second = rng.sample(nodes, 2)
    first_load, second_load = load(first), load(second)
    first_ms, second_ms = _expected_ms(first_load, second_load), _expected_ms(second_load, first_load)
    if max(first_ms, second_ms) + GRAIN_MS <= SIMILAR * (min(first_ms, second_ms) + GRAIN_MS):
        first_ms = second_ms
    return first if first_ms * _slowdown(first_load) <= second_ms * _slowdown(second_load) else second


def _slowdown(load: Load) -> float:
    """Return the factor by which running requests slow down a further one."""
    return 1 + load.running / (load.concurrency or UNBOUNDED)


def _expected_ms(load: Load, other: Load) -> float:
    """Return the expected latency in milliseconds; without own data that of the other node.

    The older the data is compared with that of the other node, the closer the result is to a bit less than that one's
    latency. So a node that was slow is tried again some time, but not by a burst.
    """
    own_ms, other_ms = (one.total_ms if one.settled else None for one in (load, other))
    if own_ms is None or other_ms is None:
        return own_ms or other_ms or 1.0
    weight = exp(-max(0.0, load.age - other.age) / LATENCY_FADES)
    assumed = OPTIMISM * other_ms
    return assumed + (own_ms - assumed) * weight
