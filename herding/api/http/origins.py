"""The origins whose pages may call the APIs from a browser."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from herding.api.http.request import Headers

API_PATHS = ("/api/", "/v1/")

EXPOSED_HEADERS = (
    *("x-request-id", "x-herding-model", "x-herding-node", "x-herding-reason", "retry-after"),
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    *("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)
"""The headers that pages of other origins may read."""


class AllowedOrigins(Collection[str]):
    """The origins of the settings; `*` stands for all. Cookies of such pages are ignored: they need a token."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        self._origins = frozenset(origins)

    def __contains__(self, origin: object) -> bool:
        return origin in self._origins or ("*" in self._origins and isinstance(origin, str))

    def __iter__(self) -> Iterator[str]:
        return iter(self._origins)

    def __len__(self) -> int:
        return len(self._origins)

    def may_call(self, path: str, headers: Headers) -> bool:
        """Return whether the page that sends a request may call a path of the APIs."""
        origin = headers.get(b"origin", b"").decode("latin-1")
        return bool(origin) and f"{path}/".startswith(API_PATHS) and origin in self
