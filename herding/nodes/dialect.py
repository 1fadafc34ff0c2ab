"""The form in which one server takes requests: names and options that differ between servers, but mean the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from herding.errors import StatusError

_LIMITS = ("max_tokens", "max_completion_tokens")
"""The two names of the maximum of output tokens."""

_REFUSED = re.compile(
    r"unsupported|not (be )?(supported|permitted|allowed|recognized|implemented|accepted|available)|unrecognized"
    r"|unknown|unexpected|extra_?forbidden|extra (field|input|param)|deprecated|no longer|not a valid (param|field|arg)"
    r"|(does not|doesn't|cannot|can't|do not) (support|accept|allow|recognize|stream)|must be verified|only when"
    r"|invalid (field|param|argument)s? name|additional properties",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form of requests for one server. `limit` is its name for the maximum of output tokens, None as it was given.

    `stream` and `stream_options` say whether the server takes these options, which only concern the transport.
    """

    limit: str | None = None
    stream: bool = True
    stream_options: bool = True

    def applied_to(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of a request in this form; nothing that the caller asked for is left out."""
        made = dict(body)
        if self.limit and sum(name in made for name in _LIMITS) == 1:
            made = {self.limit if name in _LIMITS else name: value for name, value in made.items()}
        if not self.stream:
            made["stream"] = False
        if not self.stream or not self.stream_options:
            made.pop("stream_options", None)
        return made

    def after(self, error: StatusError, body: Mapping[str, Any]) -> Dialect | None:
        """Return the form to try after a server refused a request, None if the error has another reason.

        Only what means the same in another form is changed: the parameters of a caller are never left out.
        """
        if error.status not in (400, 404, 422, 500, 501):
            return None
        sent = self.applied_to(body)
        if "stream_options" in sent and _refuses(error, "stream_options"):
            return replace(self, stream_options=False)
        limit = next((name for name in _LIMITS if name in sent), None)
        if limit:
            other = _LIMITS[1 - _LIMITS.index(limit)]
            if _refuses(error, limit) or other in error.reported.message:
                return replace(self, limit=other)
        if sent.get("stream") and _refuses(error, "stream(?:ing)?"):
            return replace(self, stream=False)
        return None


def _refuses(error: StatusError, name: str) -> bool:
    """True if an error says that the server does not take a parameter, rather than that its value is wrong."""
    reported = error.reported
    words = f"{reported.message} {reported.code} {reported.type}"
    field = (reported.param or "").rpartition(".")[2]
    is_named = re.fullmatch(name, field) or re.search(rf"(?<![\w]){name}(?![\w])", reported.message, re.IGNORECASE)
    return bool(is_named and _REFUSED.search(words))
