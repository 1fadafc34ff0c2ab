"""Which of several nodes that serve the same model: the better of two drawn at random.

Two choices keep the fullest node close to the mean (M. Mitzenmacher, "The Power of Two Choices in Randomized Load
Balancing", 2001), and unlike the best of all they do not send a burst to one node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from random import Random

from herding.routing.slots import FADES, Load

UNBOUNDED = 16
"""The concurrency that a node without a bound is taken to have when its work is compared."""
NEAR, GRAIN_MS = 1.15, 200.0
"""Latencies that differ by no more than this factor, beside so many ms, are equal: by chance one is always lower."""
CURIOUS = 0.8
"""What share of its rival's latency a node is hoped to take that gave no answer for long."""


def pick_node(nodes: Sequence[str], load: Callable[[str], Load], rng: Random) -> str:
    """The node to ask, of at least one; equal ones in turn of chance."""
    if len(nodes) == 1:
        return nodes[0]
    first, second = rng.sample(nodes, 2)
    one, other = load(first), load(second)
    mine, theirs = _expected(one, other), _expected(other, one)
    if max(mine, theirs) + GRAIN_MS <= NEAR * (min(mine, theirs) + GRAIN_MS):
        mine = theirs
    return first if mine * _busy(one) <= theirs * _busy(other) else second


def _busy(load: Load) -> float:
    """How many times as long a request takes by what the node does already."""
    return 1 + load.running / (load.concurrency or UNBOUNDED)


def _expected(load: Load, rival: Load) -> float:
    """The node's latency in ms; where it is unknown, the rival's.

    The older it is beside the rival's, the nearer it counts to a bit less than the rival's: a node that was slow is
    tried again one day, and not by a burst.
    """
    took, theirs = (one.total_ms if one.settled else None for one in (load, rival))
    if took is None or theirs is None:
        return took or theirs or 1.0
    known = exp(-max(0.0, load.age - rival.age) / FADES)
    hoped = CURIOUS * theirs
    return hoped + (took - hoped) * known
