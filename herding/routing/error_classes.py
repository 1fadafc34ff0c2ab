"""What an error says about the node that gave it."""

from __future__ import annotations

from typing import Literal

from herding.errors import (
    BusyNodeError,
    HerdingError,
    MisconfiguredError,
    NodeError,
    NoNodeError,
    RefusalError,
    StatusError,
)

Verdict = Literal["failure", "rest", "misconfigured", "none"]

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
    if isinstance(error, BusyNodeError):
        return "rest"
    if isinstance(error, NoNodeError | RefusalError) or not isinstance(error, NodeError):
        return "none"
    return "failure"


def words(error: HerdingError) -> str:
    """A few words for people; an error's own message may repeat what was sent to the node."""
    if isinstance(error, StatusError):
        return f"answers HTTP {error.status}"
    return _WORDS.get(error.type, "fails")
