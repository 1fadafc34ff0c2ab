"""The tab with the herd, and the line in the header."""

from __future__ import annotations

from dataclasses import replace

import pytest

from herding.errors import AccessError, MisconfiguredError, UserError
from herding.ui.header import herd_summary, is_settled
from herding.ui.nodes.card import card, progress_bar
from herding.ui.nodes.state import PAGE
from herding.values import NodeHealth, NodeInfo, NodeStats, NodeStatus
from tests.support.herding import GUEST
from tests.support.nodes import echo
from tests.ui.conftest import MACHINE, Desktop

READY = NodeInfo("a", "local", NodeStatus("ready", serves=("m",)), NodeStats())
LOADING = NodeInfo("b", "local", NodeStatus("loading", progress=0.45, detail="reading"), NodeStats())


async def test_every_node_has_a_card(desktop: Desktop) -> None:
    await desktop.fire("watch")
    nodes = desktop.page.nodes
    boxes = [desktop.prop(slot.box, "visible") for slot in nodes.slots]
    assert boxes == [True] * 4 + [False] * (PAGE - 4)
    assert "4 of 4 nodes ready" in desktop.value(nodes.summary)
    assert "This node reports no metrics." in desktop.value(nodes.slots[0].card)
    assert "7.9 GB of 8.0 GB" in desktop.value(nodes.slots[3].card)
    assert desktop.prop(nodes.timer, "active") is True


async def test_figures_of_the_day_follow_the_requests(desktop: Desktop) -> None:
    await desktop.run()
    await desktop.fire("watch")
    assert "<dt>Requests</dt><dd>1</dd>" in desktop.value(desktop.page.nodes.slots[0].card)


async def test_the_refreshing_ends_with_the_tab(desktop: Desktop) -> None:
    await desktop.fire("watch")
    await desktop.fire("pause_others_history")
    assert desktop.prop(desktop.page.nodes.timer, "active") is False


async def test_only_nodes_that_offer_models_have_a_switch_and_only_for_those_who_may(desktop: Desktop) -> None:
    slots = desktop.page.nodes.slots
    await desktop.fire("watch")
    assert [desktop.prop(slot.control, "visible") for slot in slots[:4]] == [False, False, False, True]
    await desktop.fire("watch_on", who=GUEST)
    assert not any(desktop.prop(slot.control, "visible") for slot in slots[:4])


async def test_a_refresh_leaves_a_choice_alone_that_is_being_made(desktop: Desktop) -> None:
    slot = desktop.page.nodes.slots[3]
    await desktop.fire("watch")
    desktop.set(slot.model, "bad/model")
    await desktop.fire("watch_on")
    assert desktop.value(slot.model) == "bad/model"


async def test_a_switch_shows_its_progress_and_its_end(desktop: Desktop) -> None:
    slot, seen = desktop.page.nodes.slots[3], []
    await desktop.fire("watch")
    desktop.set(slot.model, "new/model")
    async for _ in desktop.steps("nodes_switch_3"):
        seen.append(desktop.value(slot.progress))
    assert 'aria-valuenow="50"' in seen[1]
    assert "new/model is loaded" in seen[-1]
    assert desktop.prop(slot.load, "interactive") is True


async def test_a_switch_that_fails_says_why(desktop: Desktop) -> None:
    slot = desktop.page.nodes.slots[3]
    await desktop.fire("watch")
    desktop.set(slot.model, "bad/model")
    await desktop.fire("nodes_switch_3")
    assert "There is no file of bad/model" in desktop.value(slot.progress)
    assert desktop.prop(slot.load, "interactive") is True


async def test_a_switch_without_node_or_model_or_right_is_refused(desktop: Desktop) -> None:
    await desktop.fire("watch")
    with pytest.raises(UserError, match="Choose a model"):
        await desktop.fire("nodes_switch_3")
    desktop.set(desktop.page.nodes.slots[9].model, "new/model")
    with pytest.raises(UserError):
        await desktop.fire("nodes_switch_9")
    desktop.set(desktop.page.nodes.slots[3].model, "new/model")
    await desktop.fire("nodes_switch_3", who=GUEST)
    assert "lacks the right" in desktop.value(desktop.page.nodes.slots[3].progress)
    with pytest.raises(AccessError):
        await anext(desktop.place.orchestrator.nodes.load_model("other", "new/model", GUEST))


def heads(desktop: Desktop) -> list[str]:
    """The nodes on the page."""
    slots = [slot for slot in desktop.page.nodes.slots if desktop.prop(slot.box, "visible")]
    return [str(desktop.value(slot.card)).split("<h3>")[1].split("<")[0] for slot in slots]


async def test_more_nodes_than_places_are_on_more_pages(desktop: Desktop) -> None:
    nodes, fleet = desktop.page.nodes, desktop.place.herd
    await desktop.fire("watch")
    assert desktop.prop(nodes.pager, "visible") is False
    for number in range(PAGE):
        fleet.add(echo(f"n{number}"))
    await desktop.fire("watch_on")
    first = heads(desktop)
    assert len(first) == PAGE
    assert (desktop.prop(nodes.earlier, "interactive"), desktop.prop(nodes.later, "interactive")) == (False, True)
    assert f"1–12 of {PAGE + 4} nodes" in desktop.value(nodes.place)
    await desktop.fire("nodes_later")
    await desktop.fire("watch_on")
    assert heads(desktop) == ["n8", "n9", "n10", "n11"]
    assert (desktop.prop(nodes.earlier, "interactive"), desktop.prop(nodes.later, "interactive")) == (True, False)
    await desktop.fire("nodes_later")
    assert heads(desktop) == ["n8", "n9", "n10", "n11"]
    for number in range(8, PAGE):
        await fleet.remove(f"n{number}")
    await desktop.fire("watch_on")
    assert heads(desktop) == first
    assert desktop.prop(nodes.pager, "visible") is False


async def test_what_was_said_of_a_node_does_not_stand_below_another(desktop: Desktop) -> None:
    slot = desktop.page.nodes.slots[3]
    await desktop.fire("watch")
    desktop.set(slot.model, "new/model")
    await desktop.fire("nodes_switch_3")
    await desktop.fire("watch_on")
    assert "new/model is loaded on other" in desktop.value(slot.progress)
    await desktop.place.herd.remove("slow")
    desktop.place.herd.add(echo("last", "m"))
    await desktop.fire("watch_on")
    assert desktop.value(slot.progress) == ""


def test_the_header_tells_of_the_node_that_matters_most() -> None:
    assert "No nodes" in herd_summary([])
    assert "a: m ready" in herd_summary([READY])
    assert "b: loading 45 %" in herd_summary([READY, LOADING])
    assert "1 more ready" in herd_summary([READY, LOADING])
    out = replace(READY, name="c", health=NodeHealth("ejected", 5.0, "answers HTTP 500"))
    assert "a: m ready" in herd_summary([out, READY])
    assert "more" not in herd_summary([out, READY])
    assert "c: out of rotation" in herd_summary([out, replace(out, draining=True)])
    assert [one.answers for one in (READY, LOADING, out, replace(READY, draining=True))] == [True, False, False, False]
    assert is_settled([READY])
    assert not is_settled([READY, LOADING])


def test_a_card_shows_what_is_known_and_nothing_else() -> None:
    assert "Swap" in card(replace(READY, status=replace(READY.status, system=MACHINE)))
    assert "meter" not in card(READY)
    assert 'aria-valuenow="45"' in card(LOADING)
    busy = NodeStats(requests=2, failures=1, busy_ms=8_640_000, mean_ms=1500)
    assert "10.0 %" in card(replace(READY, stats=busy))
    assert "1.5 s" in card(replace(READY, stats=busy))


def test_a_card_says_that_a_node_that_is_down_is_offline() -> None:
    assert "<dt>Models</dt>" in card(READY)
    assert "<dt>Models (offline)</dt>" in card(replace(READY, status=replace(READY.status, state="down")))


def test_a_card_names_some_of_many_prompts_and_counts_the_others() -> None:
    shown = card(replace(READY, prompts=tuple(f"p{number}" for number in range(1_500))))
    assert "p0<" in shown
    assert "p1499" not in shown
    assert "and 1,488 more" in shown


def test_progress_of_unknown_length_has_no_number() -> None:
    assert "aria-valuenow" not in progress_bar(None, "Downloading")
    assert "150%" not in progress_bar(1.5, "x")


async def test_a_node_that_failed_says_so_and_is_tried_again_by_whoever_may(desktop: Desktop) -> None:
    fleet, slot = desktop.place.herd, desktop.page.nodes.slots[3]
    name = list(fleet)[3]
    permit = fleet.health.acquire(name)
    assert permit is not None
    permit.failed(MisconfiguredError("401"))
    await desktop.fire("watch", who=GUEST)
    assert desktop.prop(slot.retry, "visible") is False
    await desktop.fire("watch")
    assert "Key rejected" in desktop.value(slot.card)
    assert "an operator must check its key" in desktop.value(slot.card)
    assert desktop.prop(slot.retry, "visible") is True
    assert "misconfigured" in desktop.value(desktop.page.nodes.events)
    with pytest.raises(AccessError):
        await desktop.fire("nodes_retry_3", who=GUEST)
    await desktop.fire("nodes_retry_3")
    assert fleet.health.allows(name)
    await desktop.fire("watch")
    assert "Retrying" in desktop.value(slot.card)
    assert "mended" in desktop.value(desktop.page.nodes.events)


async def test_a_herd_to_which_nothing_happened_says_so(desktop: Desktop) -> None:
    await desktop.fire("watch")
    assert "No events since the app started" in desktop.value(desktop.page.nodes.events)
