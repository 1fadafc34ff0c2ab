"""The model picker: targets first, all other models below, loaded when picked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from herding.access.operations import SAVE, SWITCH_MODEL
from herding.ui.engineer.models import ModelChoice, model_picker
from herding.values import EngineModel, NodeStatus
from tests.support.herding import ADMIN, GUEST
from tests.support.nodes import Switchable
from tests.ui.conftest import Desktop
from tests.ui.engineer.pages import content, opened


async def test_targets_stand_first_and_all_others_below(desktop: Desktop) -> None:
    page = (await opened(desktop, "varied")).html
    targets = page[page.index('label="Target models"') : page.index('label="Other models"')]
    others = page[page.index('label="Other models"') : page.index("</select>", page.index('label="Other models"'))]
    assert "echo · echo" in targets
    assert "nowhere/model · not available" in targets
    assert "slow/model · slow" in others
    assert "new/model · not loaded" in others


async def test_a_model_that_is_no_target_can_be_added(desktop: Desktop) -> None:
    form = await opened(desktop)
    picked = await desktop.post("engineer/model", **{**form.fields, "model": "slow/model"})
    assert "Not a target model of this prompt." in picked
    assert 'data-add-target="slow/model"' in picked
    assert picked.told["address"] == {"model": "slow/model"}
    form.fields["target"] = [*form.fields["target"], "slow/model"]
    form["model"] = "slow/model"
    answer = await form.edit()
    assert "Not a target" not in answer["models"]
    await form.press("save")
    assert (await content(desktop))["target_models"][-1] == "slow/model"


async def test_a_picked_model_is_loaded_where_the_role_may(desktop: Desktop) -> None:
    form = await opened(desktop)
    picked = await desktop.post("engineer/model", who=GUEST, **{**form.fields, "model": "new/model"})
    assert "can&#x27;t load models" in picked
    await desktop.post("engineer/model", **{**form.fields, "model": "new/model"})
    async with asyncio.timeout(20):
        while "new/model" not in desktop.place.herd["other"].serves:  # noqa: ASYNC110 (the node has no event)
            await asyncio.sleep(0.01)
    now = await desktop.get("engineer/model", key="say", model="new/model")
    assert "new/model · other" in now
    assert "not loaded" not in now.html.partition("bad/model")[0]


async def test_a_load_that_fails_is_told(desktop: Desktop) -> None:
    form = await opened(desktop)
    picked = await desktop.post("engineer/model", **{**form.fields, "model": "bad/model"})
    assert "There is no file of bad/model." in picked.told["notice"]


async def test_roles_without_the_right_get_no_buttons(desktop: Desktop) -> None:
    reader = replace(ADMIN, rights=ADMIN.rights - {SAVE, SWITCH_MODEL})
    page = await desktop.get("engineer/model", who=reader, key="say", model="new/model")
    assert "Add to this prompt" not in page
    assert "Load model" not in page


async def test_a_target_that_loads_is_told_without_alarm(desktop: Desktop) -> None:
    prompt = await desktop.place.orchestrator.prompts.get("varied", ADMIN)
    held = EngineModel("echo", "loading", stage="reading", progress=0.4)
    loading = ModelChoice("echo", target=True, held=held, loads_on="other")
    picker = str(model_picker(prompt, "", [loading, ModelChoice("nowhere/model", target=True)], ADMIN))
    assert 'aria-label="Loading echo"' in picker
    assert "Reading 40%" in picker
    assert 'value="0.40"' in picker
    assert "every 1500ms" in picker
    assert "No target model" not in picker


async def test_no_available_target_is_told(desktop: Desktop) -> None:
    desktop.place.write("lonely", "name: Lonely\ntarget_models: [new/model]\nvariables: {}\nprompt: hi\n")
    assert "No target model is available" in await desktop.get("engineer", prompt="lonely")


TARGET = "name: Waits\ntarget_models: [resident/model, far/model]\nvariables: {}\nprompt: hi\n"
FIRST = EngineModel("first/model", "loading", progress=0.3, resident=True)
RESIDENT = EngineModel("resident/model", resident=True)


class Starting(Switchable):
    now = NodeStatus("starting", offers=("resident/model",))

    async def status(self) -> NodeStatus:
        return self.now


@pytest.mark.parametrize(
    ("status", "note"),
    [
        (NodeStatus("starting", offers=("resident/model",)), "are loaded next"),
        (NodeStatus("loading", offers=("resident/model",), models=(FIRST, RESIDENT)), "are loaded next"),
        (
            NodeStatus("ready", models=(replace(RESIDENT, state="loading", stage="Reading weights", progress=0.4),)),
            "Reading weights 40%",
        ),
        (NodeStatus("ready", offers=("resident/model",), models=(RESIDENT,)), "No target model is available"),
    ],
)
async def test_a_target_that_is_on_its_way_is_no_fault(desktop: Desktop, status: NodeStatus, note: str) -> None:
    desktop.place.write("waits", TARGET)
    node = Starting("start", [], models=["resident/model"])
    node.now = status
    desktop.place.herd.add(node)
    page = await desktop.get("engineer", prompt="waits")
    assert note in page
    assert ("No target model" in page) == ("No target model" in note)
    assert "every 1500ms" in page
