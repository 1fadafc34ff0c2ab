"""The requests that run now."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from herding.serving.request import RequestRun


class ActiveRequests:
    """A registry of running requests by id, to stop them, to revoke them, and to drop their texts."""

    def __init__(self) -> None:
        self._runs: dict[str, RequestRun] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[RequestRun]:
        return iter(list(self._runs.values()))

    def get(self, request_id: str) -> RequestRun | None:
        """Return a running request; None where it does not run."""
        return self._runs.get(request_id)

    def add(self, run: RequestRun) -> None:
        """Register a request that starts."""
        self._runs[run.request.id] = run

    def remove(self, request_id: str) -> None:
        """Forget a request that ended."""
        self._runs.pop(request_id, None)

    def drop_texts(self, principal: str, request_ids: Collection[str] | None = None) -> None:
        """Store no texts of a principal's running requests: of those with these ids, of all with None."""
        for run in self:
            if run.request.principal.id == principal and (request_ids is None or run.request.id in request_ids):
                run.drop_texts()
