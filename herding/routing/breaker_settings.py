"""When a node's health changes, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a node is ejected and for how long. All times are in seconds.

    It is ejected after `in_a_row` failures, or when of at least `volume` calls in `window` the share `rate` failed, for
    `ejection` times the number of ejections, up to `longest`, less up to the share `jitter`. Each `settle` of health
    takes one ejection off the count. A node that says 429 rests for as long as it says (at most `longest_rest`), or
    for `rest`, twice as long each time in a row. Nobody used a node for `unused` after its ejection: it is due a probe.
    """

    in_a_row: int = 3
    rate: float = 0.5
    volume: int = 10
    window: int = 30
    ejection: float = 5.0
    longest: float = 300.0
    jitter: float = 0.2
    settle: float = 30.0
    rest: float = 1.0
    longest_own_rest: float = 60.0
    longest_rest: float = 3600.0
    unused: float = 2.0
    trial_guess: float = 1.0
