"""Stars move requests to the better model, hold over a restart, and turn where the raters change their minds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG, Workbench

PLAIN, FANCY = "echo-plain", "echo-fancy"
NODES = f"""
nodes:
  - {{kind: echo, name: one, models: [{PLAIN}]}}
  - {{kind: echo, name: two, models: [{FANCY}]}}
"""
GREET = f"""
name: Greet
target_models: [{PLAIN}, {FANCY}]
variables:
  name: {{type: text, default: you}}
prompt: "Hello {{{{name}}}}"
"""
RATINGS, TURNS_WITHIN, RUNS = 40, 60, 200
GOOD = 0.65
LIKES_FANCY = {FANCY: 5, PLAIN: 2}
LIKES_PLAIN = {FANCY: 2, PLAIN: 5}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RunningApp]:
    """The app with one prompt and two models that say the same."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "greet.yaml").write_text(GREET)
    (tmp_path / "nodes.yaml").write_text(NODES)
    files = {"HERDING_PROMPTS": str(tmp_path / "prompts"), "HERDING_NODES": str(tmp_path / "nodes.yaml")}
    running = RunningApp(tmp_path, environment=files).start()
    yield running
    running.stop()


class Rater:
    """Runs the prompt through the API, and says how the answers are."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def run(self) -> dict[str, Any]:
        """An answer of whatever model is chosen."""
        answer: dict[str, Any] = self._post("/api/v1/infer", {"prompt": "greet"})
        return answer

    def rate(self, stars: dict[str, int], count: int) -> None:
        """Run and rate, so many times."""
        for _ in range(count):
            answer = self.run()
            self._post("/api/v1/score", {"request_id": answer["request_id"], "score": stars[answer["model"]]})

    def counts(self, runs: int = RUNS) -> Counter[str]:
        """How many of so many requests each model gets."""
        return Counter(self.run()["model"] for _ in range(runs))

    def shares(self) -> dict[str, float]:
        """The shares that an answer tells of."""
        answer = self.run()
        routing = answer["routing"]
        found: dict[str, float] = {one["model"]: one["share"] for one in routing["candidates"]}
        assert routing["policy"] == "stars"
        assert routing["reason"].startswith(f"{answer['model']} gets {round(100 * found[answer['model']])} % of the")
        return found

    def last(self) -> dict[str, Any]:
        """The newest row of the history."""
        entry: dict[str, Any] = self._http.get("/api/v1/history", params={"limit": 1}).json()["entries"][0]
        return entry

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()


def test_forty_ratings_decide_and_sixty_turn_it(app: RunningApp) -> None:
    rater = Rater(app.url)
    assert rater.shares() == pytest.approx({PLAIN: 0.5, FANCY: 0.5}, abs=0.02)
    rater.rate(LIKES_FANCY, RATINGS)
    liked = rater.shares()
    print(f"after {RATINGS} ratings: {liked}")  # noqa: T201 (what -s is for)
    assert liked[FANCY] > GOOD + 0.1  # so that chance does not decide the next line
    assert rater.counts()[FANCY] > GOOD * RUNS

    before = rater.shares()  # evidence fades a little with each request
    app.stop()
    app.start()
    assert rater.shares() == pytest.approx(before, abs=0.02)
    assert rater.counts()[FANCY] > GOOD * RUNS

    needed = turned(rater)
    print(f"turned after {needed} of the opposite: {rater.shares()}")  # noqa: T201
    rater.rate(LIKES_PLAIN, TURNS_WITHIN - needed)
    assert rater.shares()[PLAIN] > 0.5
    assert rater.counts()[PLAIN] > RUNS / 2


def turned(rater: Rater) -> int:
    """How many ratings it took until the other model had the greater share."""
    for number in range(TURNS_WITHIN):
        if rater.shares()[PLAIN] > 0.5:
            return number
        rater.rate(LIKES_PLAIN, 1)
    return TURNS_WITHIN


@pytest.mark.browser
@pytest.mark.slow
def test_stars_that_are_given_in_the_browser_move_the_requests(app: RunningApp, launch: Callable[..., Browser]) -> None:
    rater = Rater(app.url)
    page = launch().new_page()
    page.set_default_timeout(LONG)
    rater.rate(LIKES_FANCY, 6)
    for _ in range(4):
        bench = Workbench(page, app.url).open("greet")
        bench.run()
        bench.expect_status("Succeeded")
        bench.rate_by_keyboard(LIKES_FANCY[rater.last()["model"]])
        assert rater.last()["score"] == LIKES_FANCY[rater.last()["model"]]
    shares = rater.shares()
    print(f"after 10 ratings, 4 of them in the browser: {shares}")  # noqa: T201
    assert shares[FANCY] > 0.6
