"""The tab with the herd, and the line in the header."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from herding.access.operations import MANAGE_NODES
from herding.errors import AccessError, HerdingError, MisconfiguredError, NodeError, NotFoundError, UserError
from herding.nodes.small_models import SMALL_MODELS
from herding.ui.header import herd_summary, is_settled
from herding.ui.kit.live import fixed, live
from herding.ui.nodes.card import card
from herding.ui.nodes.models import model_section, progress_bar, small_models
from herding.ui.nodes.sections import plugin_list
from herding.ui.nodes.tab import PAGE_SIZE
from herding.values import EngineModel, ModelMemory, NodeHealth, NodeInfo, NodeStats, NodeStatus, PluginInfo
from tests.support.herding import ADMIN, GUEST
from tests.support.nodes import Listing, Scripted, Switchable, echo
from tests.ui.conftest import MACHINE, Desktop

READY = NodeInfo("a", "local", NodeStatus("ready", serves=("m",)), NodeStats())
LOADING = NodeInfo("b", "local", NodeStatus("loading", progress=0.45, detail="reading"), NodeStats())
SMALL = {model.id: model for model in SMALL_MODELS}
GB = 10**9

MODELS = (
    EngineModel("owner/used", "loaded", size=GB, running=2, context_length=8192, device="cpu", features=("tools",)),
    EngineModel("owner/idle", "loaded", size=2 * GB, idle_seconds=300.0),
    EngineModel("owner/first", "loaded", size=GB, idle_seconds=20.0, resident=True, chat=False),
    EngineModel("owner/coming", "loading", progress=0.43, stage="downloading"),
    EngineModel("owner/broken", "failed", error="broken.gguf is not a GGUF file."),
    EngineModel("owner/there", "available"),
    EngineModel("Qwen/Qwen3-0.6B", "available", on_disk=False),
    EngineModel("Qwen/Qwen3-4B-Instruct-2507", "available", on_disk=False),
)
ENGINE = NodeInfo(
    "gpu.box",
    "herding",
    NodeStatus("ready", models=MODELS, memory=ModelMemory(8 * GB, 4 * GB, 4 * GB), keep_alive=1800, system=MACHINE),
    NodeStats(),
)


class Falling(Scripted):
    """Has the status that a test gives it."""

    now = NodeStatus("ready")

    async def status(self) -> NodeStatus:
        return self.now


class Counting(Scripted):
    """Counts how often its models are asked for."""

    looks = 0

    @property
    def serves(self) -> tuple[str, ...]:
        self.looks += 1
        return self.models


def words(html: object) -> str:
    """The text of a piece of HTML."""
    return " ".join(re.sub(r"<[^>]+>", " ", str(html)).split())


def rows(html: str) -> dict[str, str]:
    """The words of each row of models, by the model."""
    found = re.findall(r'<li [^>]*class="model-row.*?</li>', html, re.DOTALL)
    return {words(row).split()[0]: words(row) for row in found}


def names(html: str) -> list[str]:
    """The nodes with a card."""
    return re.findall(r'class="node-head"[^>]*><h2>(.*?)</h2>', html)


async def test_every_node_has_a_card_and_those_that_are_off_a_line(desktop: Desktop) -> None:
    desktop.place.herd.add(Off("hosted", ["m"]))
    shown = await desktop.get("nodes")
    assert names(shown.html) == ["echo", "slow", "broken", "other"]
    assert "4 of 5 nodes ready" in shown
    assert "7.9 GB of 8.0 GB" in shown
    off = shown.html.split("Not configured")[1]
    assert "hosted" in off
    assert "Set THE_KEY to enable this node." in off


class Off(Switchable):
    """Has no key."""

    async def status(self) -> NodeStatus:
        return NodeStatus("off", detail="Set THE_KEY to enable this node.")


async def test_figures_of_the_day_follow_the_requests(desktop: Desktop) -> None:
    await desktop.run()
    assert "<dt>Requests (24 h)</dt><dd>1</dd>" in await desktop.get("nodes/live")


async def test_failed_attempts_lead_to_the_history(desktop: Desktop) -> None:
    with pytest.raises(HerdingError):
        await desktop.run("failing")
    shown = await desktop.get("nodes/live")
    assert 'href="?tab=history&amp;node=broken&amp;status=failed"' in shown
    assert "history&amp;node" not in await desktop.get("nodes/live", who=replace(ADMIN, rights=frozenset({"nodes"})))


async def test_only_nodes_that_offer_models_can_load_them_and_only_for_those_who_may(desktop: Desktop) -> None:
    shown = await desktop.get("nodes")
    assert shown.html.count('hx-post="ui/nodes/other/load?model=new%2Fmodel"') == 1
    assert shown.html.count("/load?model=") == 2
    assert "/load?" not in await desktop.get("nodes", who=GUEST)


async def test_a_model_is_loaded(desktop: Desktop) -> None:
    await desktop.post("nodes/other/load?model=new/model")
    shown = await desktop.get("nodes/live")
    assert rows(shown.html)["new/model"].startswith("new/model Loaded")
    assert "Loaded other new/model" in words(shown.html)


async def test_a_load_that_fails_says_why(desktop: Desktop) -> None:
    with pytest.raises(NodeError, match="There is no file of bad/model"):
        await desktop.post("nodes/other/load", model="bad/model")
    assert "Not loaded other bad/model: There is no file" in words((await desktop.get("nodes/live")).html)


async def test_a_load_without_model_or_node_or_right_is_refused(desktop: Desktop) -> None:
    with pytest.raises(UserError, match="Enter a model"):
        await desktop.post("nodes/other/load", model=" ")
    with pytest.raises(NotFoundError):
        await desktop.post("nodes/nowhere/load", model="new/model")
    for path in ("other/load", "other/retry", "test"):
        with pytest.raises(AccessError):
            await desktop.post(f"nodes/{path}", who=GUEST, model="new/model")
    with pytest.raises(AccessError):
        await desktop.delete("nodes/other/model", who=GUEST, model="new/model")
    with pytest.raises(AccessError):
        await anext(desktop.place.orchestrator.nodes.load_model("other", "new/model", GUEST))


def test_an_engine_shows_its_memory_and_what_each_model_does() -> None:
    html = str(card(ENGINE, SMALL, ADMIN, added=False))
    assert "4.0 GB of 8.0 GB used · 4.0 GB free" in html
    assert "unloaded after 30 min without requests" in html
    shown = rows(html)
    assert list(shown) == [model.id for model in MODELS]
    assert "context 8,192 tokens · cpu · tools Loaded 2 requests 1.0 GB Unload" in shown["owner/used"]
    assert "Idle 5 min · unloads in 25 min" in shown["owner/idle"]
    assert "Idle under a minute · stays loaded" in shown["owner/first"]
    assert "No chat template: it takes raw templates and text completions, but no chats." in shown["owner/first"]
    assert shown["owner/coming"].endswith("Downloading 43% Cancel")
    assert "Not loaded broken.gguf is not a GGUF file. Try again Dismiss" in shown["owner/broken"]
    assert shown["owner/there"] == "owner/there Available Load"
    assert "Not downloaded about 2.0 GB Load" in shown["Qwen/Qwen3-0.6B"]
    assert "Does not fit Budget 8.0 GB" in shown["Qwen/Qwen3-4B-Instruct-2507"]
    assert html.count("memory-part") == 3


def test_what_cannot_be_loaded_has_no_button() -> None:
    html = str(model_section(ENGINE, SMALL, ADMIN))
    buttons = {label: tag for tag, label in re.findall(r'(<button[^>]*aria-label="([^"]*)"[^>]*>)', html)}
    assert "disabled" in buttons["Load: Qwen/Qwen3-4B-Instruct-2507"].split("hx-")[0]
    assert "disabled=" not in buttons["Load: Qwen/Qwen3-0.6B"].replace("hx-disabled-elt=", "")
    assert "<button" not in str(model_section(ENGINE, SMALL, GUEST))


def test_a_list_of_small_models_says_which_fit() -> None:
    html = str(small_models(ENGINE, SMALL_MODELS))
    fitting, larger = html.split("<details")
    assert "Qwen/Qwen3-0.6B" in fitting
    assert "download 1.5 GB" in fitting
    assert "Needs HF_TOKEN" in fitting
    assert "Unloads idle models" in fitting
    assert "microsoft/Phi-4-mini-instruct" in larger
    assert "larger models do not fit in 8.0 GB" in larger
    assert larger.count("Does not fit") == larger.count('disabled=""') == larger.count("<li")


async def test_only_those_who_manage_nodes_get_models_that_a_node_does_not_offer(desktop: Desktop) -> None:
    operator = replace(ADMIN, rights=ADMIN.rights - {MANAGE_NODES})
    desktop.place.herd.add(Switchable("engine", [], models=["Qwen/Qwen3-0.6B"]))
    assert "Phi-4" in await desktop.get("nodes/engine/small")
    few = await desktop.get("nodes/engine/small", who=operator)
    assert "Phi-4" not in few
    assert "Add node" not in await desktop.get("nodes", who=operator)


async def test_more_nodes_than_a_page_shows_are_on_request(desktop: Desktop) -> None:
    assert "nodes-more" not in await desktop.get("nodes")
    for number in range(PAGE_SIZE):
        desktop.place.herd.add(echo(f"n{number}"))
    first = await desktop.get("nodes/live")
    assert len(names(first.html)) == PAGE_SIZE
    assert "Show 4 more" in first
    more = await desktop.get("nodes/live", limit=2 * PAGE_SIZE)
    assert len(names(more.html)) == PAGE_SIZE + 4
    assert 'hx-get="ui/nodes/live?limit=28"' in more


async def test_it_asks_more_often_while_a_model_loads(desktop: Desktop) -> None:
    assert "every 3000ms" in await desktop.get("nodes/live")
    desktop.place.herd.add(Busy("busy", [], models=["m"]))
    shown = await desktop.get("nodes/live")
    assert "every 1000ms" in shown
    assert 'aria-valuenow="20"' in shown


class Busy(Switchable):
    async def status(self) -> NodeStatus:
        return NodeStatus("loading", loading="m", progress=0.2, detail="Loading m", offers=self.models)


def test_what_did_not_change_has_the_same_version() -> None:
    assert live("p", "x", "same") == live("p", "x", "same")
    assert live("p", "x", "same") != live("p", "x", "other")
    versions = {re.findall('data-v="(.*?)"', live("p", "x", "same", cls=name))[0] for name in ("a", "b")}
    assert len(versions) == 2
    assert 'data-v="fixed"' in fixed("p", "x", "same")


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
    second = EngineModel("second", "loading")
    assert not is_settled([replace(READY, status=replace(READY.status, models=(second,)))])


async def test_the_line_in_the_header_follows(desktop: Desktop) -> None:
    shown = (await desktop.get("nodes/live")).html
    assert re.search(r'<span [^>]*id="herd-line"[^>]*hx-swap-oob="true"', shown)


def test_a_card_shows_what_is_known_and_nothing_else() -> None:
    def shown(node: NodeInfo) -> str:
        return str(card(node, {}, ADMIN, added=False))

    assert "Swap" not in shown(replace(READY, status=replace(READY.status, system=MACHINE)))
    assert "7.9 GB of 8.0 GB" in shown(replace(READY, status=replace(READY.status, system=MACHINE)))
    assert "Machine" not in shown(READY)
    assert 'aria-valuenow="45"' in shown(LOADING)
    busy = NodeStats(requests=2, failures=1, busy_ms=8_640_000, mean_ms=1500)
    assert "10.0 %" in shown(replace(READY, stats=busy))
    assert "1.5 s" in shown(replace(READY, stats=busy))
    assert "2 of 8" in shown(replace(READY, running=2, concurrency=8))
    assert "Draining" in shown(replace(READY, draining=True))


def test_a_card_says_what_to_do_about_a_node_that_is_out() -> None:
    out = replace(READY, kind="openai", health=NodeHealth("ejected", 5.0, "answers HTTP 500"))
    shown = words(card(out, {}, ADMIN, added=False))
    assert "Unavailable" in shown
    assert "The node answers HTTP 500. Next attempt in 5 s. Check that its server runs" in shown
    lacking = replace(READY, status=NodeStatus("ready", serves=("m",), faults={"e5": "The hub can't be reached."}))
    assert '<p class="wrong">e5: The hub can&#x27;t be reached.</p>' in card(lacking, {}, ADMIN, added=False)
    down = NodeInfo("d", "openai", NodeStatus("down", detail="It is away."), NodeStats())
    assert "It is away. Check its URL" in words(card(down, {}, ADMIN, added=False))


def test_a_card_names_some_of_many_prompts_and_models_and_counts_the_others() -> None:
    many = replace(READY, prompts=tuple(f"p{number}" for number in range(1_500)))
    shown = str(card(many, {}, ADMIN, added=False))
    assert "p0<" in shown
    assert "p1499" not in shown
    assert "and 1,492 more" in shown
    models = replace(READY, status=replace(READY.status, serves=tuple(f"m{number}" for number in range(20))))
    assert "8 more models" in str(card(models, {}, ADMIN, added=False))


def test_progress_of_unknown_length_has_no_number() -> None:
    assert "aria-valuenow" not in progress_bar(None, "Downloading")
    assert "150%" not in progress_bar(1.5, "x")


async def test_a_node_that_failed_says_so_and_is_tried_again_by_whoever_may(desktop: Desktop) -> None:
    fleet = desktop.place.herd
    name = list(fleet)[3]
    permit = fleet.health.acquire(name)
    assert permit is not None
    permit.failed(MisconfiguredError("401"))
    assert "Retry now" not in await desktop.get("nodes", who=GUEST)
    shown = await desktop.get("nodes")
    assert "Key rejected" in shown
    assert "Check its API key, then retry." in shown
    assert "Retry now" in shown
    told = await desktop.post(f"nodes/{name}/retry")
    assert told.told["notice"] == f"The next request goes to {name} again."
    assert fleet.health.allows(name)
    assert "Retrying" in told


async def test_a_herd_to_which_nothing_happened_says_so(desktop: Desktop) -> None:
    assert "No events since the app started" in await desktop.get("nodes")


async def test_a_node_that_goes_down_and_comes_back_is_among_the_events(desktop: Desktop) -> None:
    node = Falling("far", [])
    desktop.place.herd.add(node)
    node.now = NodeStatus("down", detail="The engine died (exit code 9) and is restarting.")
    for _ in range(2):
        shown = words((await desktop.get("nodes")).html)
        assert shown.count("Down far The engine died (exit code 9) and is restarting.") == 1
    node.saw(NodeStatus("starting"))  # one that watches its server tells by itself
    node.saw(NodeStatus("ready"))
    node.now = NodeStatus("ready")
    assert re.search(r"Up again far after \d+ s .* Down far", words((await desktop.get("nodes")).html))


async def test_the_models_of_many_nodes_are_told_in_a_few_looks_at_each(desktop: Desktop) -> None:
    nodes = [Counting(f"n{number}", [], models=[f"m{number}-{one}" for one in range(9)]) for number in range(9)]
    for node in nodes:
        desktop.place.herd.add(node)
    found = await desktop.place.orchestrator.nodes.models(ADMIN)
    assert next(info for info in found if info.id == "m3-4").nodes == ("n3",)
    assert max(node.looks for node in nodes) < 9


async def test_without_nodes_it_says_what_to_do(desktop: Desktop) -> None:
    for name in list(desktop.place.herd):
        await desktop.place.herd.remove(name)
    assert "Add one above, or to the nodes file" in await desktop.get("nodes")


def test_an_added_model_can_be_removed_and_its_files_deleted() -> None:
    added = (
        EngineModel("owner/used", "loaded", added=True, files=GB),
        EngineModel("owner/half", added=True, files=GB, on_disk=False, downloaded=GB, download_size=2 * GB),
        EngineModel("owner/coming", "loading", progress=0.5, stage="downloading", downloaded=GB, download_size=2 * GB),
        EngineModel("owner/fixed", files=GB),
    )
    node = replace(ENGINE, status=replace(ENGINE.status, models=added))
    shown = rows(str(model_section(node, {}, ADMIN)))
    assert shown["owner/used"].startswith("owner/used Remove from list Loaded")
    assert "Delete files" not in shown["owner/used"]
    assert "Remove from list Delete files (1.0 GB) Partly downloaded 1.0 GB of 2.0 GB Resume" in shown["owner/half"]
    assert "Downloading 1.0 GB of 2.0 GB 50% Cancel" in shown["owner/coming"]
    assert shown["owner/fixed"].startswith("owner/fixed Delete files (1.0 GB)")
    operator = replace(ADMIN, rights=ADMIN.rights - {MANAGE_NODES})
    assert "Remove from list" not in str(model_section(node, {}, operator))
    assert "Delete files" not in str(model_section(node, {}, operator))


async def test_a_model_is_removed_with_or_without_its_files_by_those_who_may(desktop: Desktop) -> None:
    node = Listing("engine", [], models=["one", "two", "three"])
    desktop.place.herd.add(node)
    await desktop.delete("nodes/engine/listed", model="one", delete_files="")
    assert (node.removed, node.deleted) == (("one",), ())
    told = await desktop.delete("nodes/engine/listed", model="two", delete_files="on")
    assert (node.removed, node.deleted) == (("one", "two"), ("two",))
    assert told.told["notice"] == "two removed from the list."
    told = await desktop.delete("nodes/engine/files", model="three")
    assert told.told["notice"] == "Files of three deleted (5 MB)."
    events = words(told.html)
    assert "Files deleted engine three (5 MB)" in events
    assert "Removed from list engine two" in events
    for path in ("listed", "files"):
        with pytest.raises(AccessError):
            await desktop.delete(f"nodes/engine/{path}", who=GUEST, model="one")


async def test_bots_are_listed_with_their_state_and_the_reason(desktop: Desktop) -> None:
    assert "Bots" not in await desktop.get("nodes/live")
    tell = desktop.place.orchestrator.tell_bot
    tell("discord", "starting")
    assert "Bots discord Starting" in words((await desktop.get("nodes/live")).html)
    tell("discord", "connected", "as Cria, in 2 servers")
    shown = words((await desktop.get("nodes/live")).html)
    assert "discord Connected as Cria, in 2 servers" in shown
    tell("discord", "failed", "Discord refuses the token. Set a valid DISCORD_BOT_TOKEN, then restart.")
    shown = words((await desktop.get("nodes/live")).html)
    assert "discord Failed Discord refuses the token. Set a valid DISCORD_BOT_TOKEN" in shown
    assert "Key rejected" not in shown


async def test_plugins_are_listed_with_their_state(desktop: Desktop) -> None:
    assert "No plugins installed" in await desktop.get("nodes")
    assert "Plugins" not in await desktop.get("nodes", who=GUEST)
    found = (
        PluginInfo("polite", "herding-polite", "1.2", "loaded", ("check polite",)),
        PluginInfo("rude", "herding-rude", "0.1", "failed", problem="it has no hooks"),
        PluginInfo("quiet", "herding-quiet", "3", "off"),
    )
    shown = words(plugin_list(found))
    assert "polite herding-polite 1.2 Loaded check polite" in shown
    assert "rude herding-rude 0.1 Failed it has no hooks" in shown
    assert "quiet herding-quiet 3 Off" in shown
