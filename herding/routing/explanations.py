"""What a model did, in words."""

from __future__ import annotations

from herding.routing.window import Count


def deeds(count: Count | None, elsewhere: Count) -> str:
    """One half sentence on what is counted of a model, such as `4.6 stars from 23 ratings; fails 2 % of the time`.

    Where nobody rated it on this prompt, what it did on others counts, and is told.
    """
    here = _deeds(count)
    there = [_stars(elsewhere)] if elsewhere.rated else []
    if elsewhere.failed:
        there.append(f"fails {_percent(elsewhere.failed, elsewhere.requests)} of the time")
    if not there or (count and count.rated):
        return here
    return f"{here}; on other prompts: {', '.join(there)}"


def _deeds(count: Count | None) -> str:
    if count is None or not count.requests:
        return "nothing is known of it on this prompt yet"
    said = [_stars(count)]
    if count.failed:
        said.append(f"fails {_percent(count.failed, count.requests)} of the time")
    if count.checks_failed:
        said.append(
            f"fails checks in {_percent(count.checks_failed, count.checks_passed + count.checks_failed)} of its answers"
        )
    if len(said) == 1:
        said.append(f"no complaint in {_many(count.requests, 'request')}")
    return "; ".join(said)


def _stars(count: Count) -> str:
    if not count.rated:
        return "no stars yet"
    return f"{count.stars / count.rated:.1f} stars from {_many(count.rated, 'rating')}"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return "less than 1 %" if share < 1 else f"{share:.0f} %"
