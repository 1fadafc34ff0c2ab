"""What an error says about the node that gave it."""

from __future__ import annotations

from typing import Literal

from herding.errors import HerdingError, MisconfiguredError, NodeError, NoNodeError, StatusError

Verdict = Literal["failure", "rest", "misconfigured", "none"]

BLAMELESS = frozenset({400, 409, 413, 422})
"""Statuses by which a server blames the request; nobody may eject a node by sending it nonsense."""

_WORDS = {
    "node_unreachable": "cannot be reached",
    "node_timeout": "does not answer in time",
    "node_bad_response": "answers what is not its protocol",
    "node_cut_stream": "stops in the middle of answers",
    "node_misconfigured": "refuses our credentials",
}


def verdict(error: HerdingError) -> Verdict:
    """Whether an error counts against the node, or asks for a rest (429, or 503 that says for how long)."""
    if isinstance(error, MisconfiguredError):
        return "misconfigured"
    if isinstance(error, NoNodeError) or not isinstance(error, NodeError):
        return "none"
    if not isinstance(error, StatusError):
        return "failure"
    if error.status == 429 or (error.status == 503 and error.retry_after is not None):
        return "rest"
    return "none" if error.status in BLAMELESS else "failure"


def words(error: HerdingError) -> str:
    """A few words for people; an error's own message may repeat what was sent to the node."""
    if isinstance(error, StatusError):
        return f"answers HTTP {error.status}"
    return _WORDS.get(error.type, "fails")
