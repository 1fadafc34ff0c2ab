"""The origins whose pages may call the APIs from a browser."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from herding.api.http.request import Headers

API_PATHS = ("/api/", "/v1/")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OTHER_ORIGIN = "A page of another origin may not do this."

EXPOSED_HEADERS = (
    *("x-request-id", "x-herding-model", "x-herding-node", "x-herding-reason", "x-herding-ignored", "retry-after"),
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    *("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    "mcp-session-id",
)
"""The headers that pages of other origins may read."""


class AllowedOrigins(Collection[str]):
    """The origins of the settings (`*` stands for all) and those of `tokens`.

    Cookies of such pages are ignored: they need a token.
    """

    def __init__(self, origins: Sequence[str] = (), tokens: Callable[[], Collection[str]] = tuple) -> None:
        self._origins, self._tokens = frozenset(origins), tokens

    def __contains__(self, origin: object) -> bool:
        if origin == "*":  # CORSMiddleware asks whether all pages may call without further checks
            return "*" in self._origins
        return self.in_settings(origin) or bool({origin, "*"} & set(self._tokens()))

    def __iter__(self) -> Iterator[str]:
        return iter({*self._origins, *self._tokens()})

    def __len__(self) -> int:
        return len({*self._origins, *self._tokens()})

    def in_settings(self, origin: object) -> bool:
        """Return whether the settings allow an origin, whichever token its pages have."""
        return origin in self._origins or "*" in self._origins

    def may_call(self, path: str, headers: Headers) -> bool:
        """Return whether the page that sends a request may call a path of the APIs."""
        origin = page_origin(headers)
        return bool(origin) and f"{path}/".startswith(API_PATHS) and origin in self


def page_origin(headers: Headers) -> str:
    """Return the origin of the page that sends a request; empty if there is none."""
    return headers.get(b"origin", b"").decode("latin-1").lower()
