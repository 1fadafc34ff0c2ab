"""The change from one model to another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from herding.engine.job import Job
from herding.engine.load import Load
from herding.engine.offers import Offer, Offers
from herding.engine.progress import Report
from herding.engine.refusals import BusyError, LoadError, SwitchedError
from herding.engine.served import Opener, Served
from herding.engine.state import State
from herding.errors import HerdingError

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class _Place:
    """An offered model and its checked directory."""

    model: str
    path: Path


class Switch:
    """Holds the served model and changes it.

    A model is fetched and checked while the earlier one answers. Then no new answers begin, running ones get
    `drain_seconds` to end, and the models change places. When the new one fails, the earlier one comes back.
    """

    def __init__(self, *, offers: Offers, opener: Opener, jobs: Collection[Job], drain_seconds: float) -> None:
        self.offers = offers
        self.state = State()
        self.served: Served | None = None
        self._opener = opener
        self._jobs = jobs
        self._drain_seconds = drain_seconds
        self._place: _Place | None = None
        self._task: asyncio.Task[None] | None = None

    def load(self, model: str) -> Load:
        """Start loading `model`; BusyError while another load runs."""
        offer = self.offers.get(model)
        if self.state.loading is not None:
            raise BusyError(f"'{self.state.loading}' is being loaded. Wait until that is done.", param="model")
        load = Load(model)
        self.state.loading, self.state.error = model, None
        if self.served is None:
            self.state.phase = "loading"
        self._task = asyncio.create_task(self._change(load, offer))
        return load

    async def restart(self, served: Served) -> None:
        """Bring the worker of `served` back to life; gives up where that fails."""
        try:
            await asyncio.to_thread(served.restart)
        except Exception as error:  # noqa: BLE001  whatever it is, the state must say so
            _log.exception("the batching worker cannot be started again")
            if self.served is served:
                self.served, self._place = None, None
                self._set_failed(f"The model's worker died and cannot be started again: {error}")

    async def close(self) -> None:
        """Let go of the model."""
        if self._task is not None:
            self._task.cancel()
        if self.served is not None:
            served, self.served = self.served, None
            await asyncio.to_thread(served.close)

    async def _change(self, load: Load, offer: Offer) -> None:
        error: HerdingError | None = None
        try:
            place = _Place(offer.id, await asyncio.to_thread(self._opener.fetch, offer, self._report(load)))
            await self._replace(place, self._report(load))
        except HerdingError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001  whatever it is, the follower must hear of it
            _log.exception("loading %s failed", offer.id)
            error = LoadError(f"'{offer.id}' cannot be loaded: {caught}")
        self._end(load, error)

    async def _replace(self, place: _Place, report: Report) -> None:
        earlier, self.state.phase = self._place, "loading"
        report("waiting for running answers", None)
        await self._let_go()
        try:
            await self._open(place, report)
        except LoadError as error:
            await self._bring_back(earlier, error, report)

    async def _let_go(self) -> None:
        """Let running answers end, cut off those that do not, and close the model."""
        served = self.served
        if served is None:
            return
        await self._drain()
        self.served, self._place, self.state.model = None, None, None
        await asyncio.to_thread(served.close)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_seconds
        while self._jobs and loop.time() < deadline:  # noqa: ASYNC110  bounded, and rare
            await asyncio.sleep(_POLL_SECONDS)
        for job in self._jobs:
            job.fail(SwitchedError("The answer was cut off because another model is being loaded."))

    async def _open(self, place: _Place, report: Report) -> None:
        loop = asyncio.get_running_loop()
        self.served = await asyncio.to_thread(self._opener.open, place.path, report, loop)
        self._place, self.state.model = place, place.model

    async def _bring_back(self, earlier: _Place | None, error: LoadError, report: Report) -> None:
        if earlier is None:
            raise error
        report(f"bringing {earlier.model} back", None)
        await self._open(earlier, report)
        raise LoadError(f"{error.message} The earlier model '{earlier.model}' answers again.")

    def _end(self, load: Load, error: HerdingError | None) -> None:
        self.state.loading = self.state.progress = self.state.stage = None
        self.state.error = None if error is None else error.message
        self.state.phase = "ready" if self.served is not None else "failed"
        load.end(error)

    def _set_failed(self, reason: str) -> None:
        self.state.phase, self.state.model, self.state.error = "failed", None, reason

    def _report(self, load: Load) -> Report:
        loop = asyncio.get_running_loop()

        def note(stage: str, fraction: float | None) -> None:
            self.state.stage, self.state.progress = stage, fraction
            load.progress(stage, fraction)

        def report(stage: str, fraction: float | None) -> None:
            loop.call_soon_threadsafe(note, stage, fraction)

        return report
