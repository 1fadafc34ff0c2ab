"""Drafts: kept for whoever wrote them, given back, and saved as versions without writing over anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herding.access.operations import PROMPTS, SAVE
from herding.errors import AccessError, DraftConflictError, NotFoundError, StoreError, UserError, VersionConflictError
from herding.prompts.edits import MAX_CHARS, Edits
from herding.studio.drafts import ACTIVE_MS, DisplayedEdits, Drafts
from herding.values import Principal, Request, SeenDraft
from tests.support.herding import ADMIN, GUEST, NOBODY, Place, herding, outcome_of, text_of
from tests.support.nodes import echo
from tests.support.people import principal

ADA = principal("ada", "user")
BOB = principal("bob", "user")
RATER = principal("rob", "rater")
MINE = 'messages: [{role: user, content: "mine {{text}}"}]\n'
WHOLE = 'name: Whole\ntarget_models: [echo]\nvariables:\n  who: {type: text, default: you}\nprompt: "hi {{who}}"\n'
WORDED = """
    # what people read
    name: Worded
    target_models: [echo]  # one
    variables:
      amount: {type: integer, default: 3, max: 10}
      text: {type: text, default: a}
    messages:
      - {role: user, content: "{{amount}} {{text}}"}
    parameters: {temperature: 0.5, max_tokens: 50}
    """


class Clock:
    ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def place(tmp_path: Path, clock: Clock) -> AsyncIterator[Place]:
    async with herding(tmp_path, echo(), clock=clock) as made:
        made.write("worded", WORDED)
        await made.orchestrator.load()
        yield made


@pytest.fixture
def drafts(place: Place) -> Drafts:
    return place.orchestrator.drafts


async def newest(place: Place, key: str) -> dict[str, Any]:
    return dict((await place.orchestrator.prompts.get(f"{key}@newest", ADMIN)).content)


CASES: dict[str, Callable[[Drafts, Principal], Any]] = {
    "store": lambda drafts, who: drafts.store("say", Edits({"text": "x"}), who),
    "store_new": lambda drafts, who: drafts.store_new("new", Edits({"text": "x"}), who),
    "get": lambda drafts, who: drafts.get("say", who),
    "list_all": lambda drafts, who: drafts.list_all(who),
    "steps": lambda drafts, who: drafts.steps("say", who),
    "discard": lambda drafts, who: drafts.discard("say", who),
    "editors": lambda drafts, who: drafts.editors("say", who),
    "save": lambda drafts, who: drafts.save("say", who),
    "diff": lambda drafts, who: drafts.diff("say", 1, who),
}


@pytest.mark.parametrize("name", CASES)
async def test_who_may_see_no_prompts_has_no_drafts(drafts: Drafts, name: str) -> None:
    assert set(CASES) == {name for name in vars(Drafts) if not name.startswith("_")}
    for who in (NOBODY, replace(ADMIN, rights=ADMIN.rights - {PROMPTS})):
        with pytest.raises(AccessError):
            await CASES[name](drafts, who)


@pytest.mark.parametrize("name", ["save", "diff", "editors"])
async def test_who_may_not_write_prompts_saves_nothing(drafts: Drafts, name: str) -> None:
    await drafts.store("say", Edits({"text": "x"}), GUEST)
    with pytest.raises(AccessError, match=r"save|edit"):
        await CASES[name](drafts, GUEST)


async def test_a_draft_comes_back_whole(drafts: Drafts, clock: Clock) -> None:
    edits = Edits({"text": "ü ☃ \n", "n": 3}, MINE, {"temperature": 0.3, "stop": ["a", "b"]})
    kept = await drafts.store("say", edits, ADA)
    assert (kept.base, kept.updated_at) == (1, clock.ms)
    assert await drafts.get("say", ADA) == kept
    assert await drafts.get("say", BOB) is None
    assert await drafts.get("worded", ADA) is None
    assert await drafts.list_all(ADA) == (kept,)
    assert await drafts.list_all(BOB) == ()
    await drafts.discard("say", ADA)
    await drafts.discard("say", ADA)
    assert await drafts.get("say", ADA) is None


async def test_a_draft_outlives_the_app(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        await place.orchestrator.drafts.store("say", Edits(template=MINE), ADA)
    async with herding(tmp_path, echo()) as place:
        kept = await place.orchestrator.drafts.get("say", ADA)
    assert kept is not None
    assert kept.edits == Edits(template=MINE)


async def test_an_empty_draft_is_not_listed(drafts: Drafts) -> None:
    await drafts.store("say", Edits(), ADA)
    assert await drafts.list_all(ADA) == ()


async def test_a_guest_keeps_inputs_and_parameters_and_nothing_else(drafts: Drafts) -> None:
    await drafts.store("say", Edits({"text": "x"}, parameters={"temperature": 1}), GUEST)
    with pytest.raises(AccessError, match="edit"):
        await drafts.store("say", Edits(template=MINE), GUEST)
    with pytest.raises(AccessError, match="save"):
        await drafts.store("say", Edits(whole=WHOLE), replace(ADA, rights=ADA.rights - {SAVE}))
    with pytest.raises(NotFoundError):
        await drafts.store("new", Edits({"text": "x"}), GUEST)
    kept = await drafts.get("say", GUEST)
    assert kept is not None
    assert kept.edits.variables == {"text": "x"}


async def test_a_hidden_prompt_has_no_drafts_for_those_it_is_hidden_from(place: Place, drafts: Drafts) -> None:
    place.write("secret", "name: S\nroles: [admin]\ntarget_models: [echo]\nprompt: hi\n")
    await drafts.store("secret", Edits(template="prompt: ha\n"), ADMIN)
    for name in ("store", "get", "steps", "discard", "editors", "save"):
        case = {"store": (Edits(),), "save": ()}.get(name, ())
        with pytest.raises(NotFoundError, match="no prompt 'secret'"):
            await getattr(drafts, name)("secret", *case, ADA)
    assert await drafts.list_all(ADA) == ()
    few = replace(ADA, prompts=("say",))
    for key in ("worded", "quite/new"):
        with pytest.raises(NotFoundError):
            await drafts.store(key, Edits(), few)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (Edits(parameters={"temperature": "hot"}), "arameters of a draft must be numbers"),
        (Edits(parameters={"temperature": True}), "arameters of a draft must be numbers"),
        (Edits(parameters={"top_p": float("nan")}), "arameters of a draft must be numbers"),
        (Edits(parameters={"stop": "x"}), "arameters of a draft must be numbers"),
        (Edits(parameters={"roles": ["admin"]}), "arameters of a draft must be numbers"),
        (Edits({"text": float("inf")}), "JSON does not support"),
        (Edits({"text": {1, 2}}), "JSON does not support"),
        (Edits({"text": "x" * MAX_CHARS}), "longer than 1,000,000"),
    ],
)
async def test_what_cannot_be_kept_is_refused_with_words(drafts: Drafts, edits: Edits, words: str) -> None:
    with pytest.raises(UserError, match=words):
        await drafts.store("say", edits, ADA)
    assert await drafts.get("say", ADA) is None


async def test_a_draft_has_no_base_that_is_not_there(drafts: Drafts) -> None:
    for base in (-1, 2):
        with pytest.raises(UserError, match="no version"):
            await drafts.store("say", Edits(), ADA, base=base)


async def test_a_draft_that_nobody_can_read_says_so(place: Place, drafts: Drafts) -> None:
    for content in ("no json", '{"colour": "red"}', "[]"):
        await place.store.save_draft(ADA.id, "say", content, base=1, at=1)
        with pytest.raises(StoreError, match="another version of Herding"):
            await drafts.get("say", ADA)


async def test_the_steps_of_a_draft_can_be_gone_back_to(drafts: Drafts, clock: Clock) -> None:
    for number in range(3):
        await drafts.store("say", Edits({"text": str(number)}), ADA)
        clock.ms += 11_000
    steps = await drafts.steps("say", ADA)
    assert [step.edits.variables["text"] for step in steps] == ["0", "1", "2"]
    assert await drafts.steps("say", BOB) == ()


async def test_who_else_edits_a_prompt_is_told_for_a_while(drafts: Drafts, clock: Clock) -> None:
    await drafts.store("say", Edits(template=MINE), BOB)
    await drafts.store("say", Edits({"text": "only trying"}), RATER)
    await drafts.store("say", Edits(template=MINE), ADA)
    assert await drafts.editors("say", ADA) == ("bob",)
    assert await drafts.editors("worded", ADA) == ()
    clock.ms += ACTIVE_MS + 1
    assert await drafts.editors("say", ADA) == ()


async def test_a_saved_draft_is_a_version_and_its_inputs_stay(place: Place, drafts: Drafts) -> None:
    await drafts.store("worded", Edits({"text": "b"}, MINE, {"temperature": 0.1}), ADA)
    saved = await drafts.save("worded", ADA, message="shorter")
    assert (saved.version, saved.new, saved.changed, saved.file) == (2, False, True, "written")
    content = await newest(place, "worded")
    assert content["messages"] == [{"role": "user", "content": "mine {{text}}"}]
    assert content["parameters"] == {"temperature": 0.1, "max_tokens": 50}
    assert content["variables"]["text"]["default"] == "a"
    (version, _) = await place.orchestrator.studio.versions("worded", ADA)
    assert (version.author, version.message, version.source) == ("ada", "shorter", "ui")
    text = (place.prompts / "worded.yaml").read_text()
    assert "# what people read" in text
    assert "# one" in text
    kept = await drafts.get("worded", ADA)
    assert kept is not None
    assert (kept.edits, kept.base) == (Edits({"text": "b"}), 2)


async def test_inputs_become_defaults_where_that_is_wished(place: Place, drafts: Drafts) -> None:
    await drafts.store("worded", Edits({"text": "b", "amount": "7"}), ADA)
    await drafts.save("worded", ADA, inputs=True)
    variables = (await newest(place, "worded"))["variables"]
    assert variables["amount"] == {"type": "integer", "default": 7, "max": 10}
    assert variables["text"]["default"] == "b"
    assert await drafts.get("worded", ADA) is None


async def test_an_input_that_does_not_fit_is_no_default(place: Place, drafts: Drafts) -> None:
    await drafts.store("worded", Edits({"amount": "70"}), ADA)
    with pytest.raises(UserError, match="'amount' must be at most 10"):
        await drafts.save("worded", ADA, inputs=True)
    assert (await newest(place, "worded"))["variables"]["amount"]["default"] == 3


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (Edits(template="messages:\n  - {role: user, content: '{{other}}'}\n"), "{{other}}"),
        (Edits(template="messages:\n  - {role: robot, content: x}\n"), "line 2.*messages.0.role"),
        (Edits(template="a: [", parameters={}), "not valid YAML"),
        (Edits(whole=WHOLE + "colour: red\n"), r"line 6.*colour: this key is not known"),
        (Edits(parameters={"temperature": 5}), "temperature"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_written(
    place: Place, drafts: Drafts, edits: Edits, words: str
) -> None:
    await drafts.store("say", edits, ADA)
    with pytest.raises(UserError, match=words):
        await drafts.save("say", ADA)
    assert len(await place.orchestrator.studio.versions("say", ADA)) == 1
    kept = await drafts.get("say", ADA)
    assert kept is not None
    assert kept.edits == edits


async def test_the_second_save_is_a_conflict_and_the_draft_stays(place: Place, drafts: Drafts) -> None:
    await drafts.store("worded", Edits(template=MINE), ADA)
    await drafts.store("worded", Edits(parameters={"temperature": 0.9}), BOB)
    await drafts.save("worded", BOB)
    with pytest.raises(VersionConflictError) as refused:
        await drafts.save("worded", ADA)
    assert refused.value.newest == 2
    kept = await drafts.get("worded", ADA)
    assert kept is not None
    assert (kept.edits.template, kept.base) == (MINE, 1)
    (field,) = (await drafts.diff("worded", 2, ADA)).fields
    assert (field.name, field.new) == ("messages.1.content", "mine {{text}}")
    saved = await drafts.save("worded", ADA, over=2)
    content = await newest(place, "worded")
    assert saved.version == 3
    assert content["parameters"]["temperature"] == 0.9
    assert content["messages"][0]["content"] == "mine {{text}}"


async def test_somebody_who_saves_while_one_saves_on_top_is_no_less_a_conflict(drafts: Drafts) -> None:
    for who in (ADA, BOB):
        await drafts.store("say", Edits(template=MINE.replace("mine", who.id)), who)
    await drafts.save("say", BOB)
    await drafts.store("say", Edits(template=MINE), BOB)
    await drafts.save("say", BOB)
    with pytest.raises(VersionConflictError):
        await drafts.save("say", ADA, over=2)


async def test_a_new_prompt_is_kept_run_and_saved(place: Place, drafts: Drafts) -> None:
    kept = await drafts.store("greet/new", Edits(whole=WHOLE), ADA)
    assert kept.base == 0
    assert await drafts.list_all(ADA) == (kept,)
    info = await place.orchestrator.prompts.sketch("greet/new", WHOLE, ADA)
    assert (info.name, list(info.variables), info.served) == ("Whole", ["who"], {"echo": ("echo",)})
    assert "greet/new" not in [prompt.key for prompt in await place.orchestrator.prompts.list_all(ADA)]
    events = await place.events(Request("greet/new", {"who": "Ada"}, whole=WHOLE), ADA)
    assert text_of(events) == "hi Ada"
    row = await place.row()
    assert (row.prompt, row.version, row.edited) == ("greet/new", 0, True)
    saved = await drafts.save("greet/new", ADA, message="first")
    assert (saved.version, saved.new) == (1, True)
    assert (place.prompts / "greet" / "new.yaml").read_text().startswith("name: Whole")
    assert await drafts.list_all(ADA) == ()


async def test_a_new_prompt_whose_key_was_taken_meanwhile_is_a_conflict(drafts: Drafts) -> None:
    await drafts.store("new", Edits(whole=WHOLE), ADA)
    await drafts.store("new", Edits(whole=WHOLE.replace("hi", "hello")), BOB)
    await drafts.save("new", BOB)
    with pytest.raises(VersionConflictError):
        await drafts.save("new", ADA)


async def test_a_key_that_none_can_have_is_refused(drafts: Drafts) -> None:
    for key in ("", "..", "a b", "x/draft", "x/versions"):
        with pytest.raises(UserError):
            await drafts.store(key, Edits(whole=WHOLE), ADA)


async def test_a_whole_prompt_is_run_by_those_who_may_save_it(place: Place) -> None:
    request = Request("say", {"who": "Ada"}, whole=WHOLE)
    assert text_of(await place.events(request, ADA)) == "hi Ada"
    assert (await place.row()).edited
    for who in (GUEST, RATER, replace(ADA, rights=ADA.rights - {SAVE})):
        with pytest.raises(AccessError, match="save"):
            await place.events(request, who)
        with pytest.raises(AccessError, match="save"):
            await place.orchestrator.prompts.sketch("say", WHOLE, who)
    with pytest.raises(NotFoundError):
        await place.events(request, replace(ADA, prompts=("other",)))
    with pytest.raises(UserError, match="this key is missing"):
        await place.events(replace(request, whole="colour: red"), ADA)
    same = "name: Say\ntarget_models: [echo]\nvariables: {text: {type: text, default: one two three}}\n"
    same += 'messages: [{role: user, content: "{{text}}"}]\n'
    assert not outcome_of(await place.events(Request("say", whole=same), ADA)).edited


async def test_a_draft_of_a_prompt_that_was_deleted_meanwhile_brings_it_back(place: Place, drafts: Drafts) -> None:
    await drafts.store("say", Edits(whole=WHOLE), ADA)
    await place.orchestrator.studio.delete("say", ADMIN)
    kept = await drafts.store("say", Edits(whole=WHOLE), ADA, base=1)
    assert kept.base == 1
    saved = await drafts.save("say", ADA)
    assert saved.version == 2


async def test_the_draft_of_a_deleted_prompt_is_a_whole_one_based_on_nothing(place: Place, drafts: Drafts) -> None:
    await drafts.store("worded", Edits({"text": "b"}, MINE, {"temperature": 0.9}), ADA)
    await drafts.store("worded", Edits({"text": "b"}, "messages: [{role: user, con", {"temperature": 0.9}), ADA)
    await place.orchestrator.studio.delete("worded", ADMIN)
    for found in (await drafts.get("worded", ADA), (await drafts.list_all(ADA))[0]):
        assert found is not None
        assert (found.base, found.edits.template, found.edits.variables) == (0, None, {"text": "b"})
        assert (found.edits.whole or "").endswith("messages: [{role: user, con")
        assert "temperature: 0.9" in (found.edits.whole or "")
    steps = [step.edits.whole or "" for step in await drafts.steps("worded", ADA)]
    assert [text.endswith(MINE) for text in steps] == [True]
    await drafts.store("worded", replace(found.edits, whole=steps[0]), ADA, base=0)
    saved = await drafts.save("worded", ADA)
    assert (saved.version, saved.new) == (2, True)
    content = await newest(place, "worded")
    assert content["messages"][0]["content"] == "mine {{text}}"
    assert content["parameters"] == {"temperature": 0.9, "max_tokens": 50}


async def test_the_draft_of_a_deleted_prompt_shows_nothing_that_was_hidden(place: Place, drafts: Drafts) -> None:
    content = await newest(place, "worded")
    await place.orchestrator.studio.save("secret", content | {"roles": ["admin"]}, ADMIN)
    await place.orchestrator.studio.delete("secret", ADMIN)
    await drafts.store("secret", Edits(template=MINE), ADA, base=1)
    found = await drafts.get("secret", ADA)
    assert found is not None
    assert (found.base, found.edits) == (1, Edits(template=MINE))


async def test_what_is_shown_is_saved_and_another_draft_stays(place: Place, drafts: Drafts) -> None:
    shown, other = DisplayedEdits(Edits({"text": "z"}, MINE), 1), Edits(parameters={"temperature": 0.1})
    await drafts.store("worded", other, ADA)
    assert [field.name for field in (await drafts.diff("worded", 1, ADA, shown=shown)).fields] == ["messages.1.content"]
    assert (await drafts.save("worded", ADA, shown=shown)).version == 2
    assert (await newest(place, "worded"))["parameters"]["temperature"] == 0.5
    kept = await drafts.get("worded", ADA)
    assert kept is not None
    assert (kept.edits, kept.base) == (other, 1)
    with pytest.raises(VersionConflictError):
        await drafts.save("worded", ADA, shown=DisplayedEdits(Edits(template="prompt: x"), 1))
    with pytest.raises(NotFoundError, match="no unsaved changes"):
        await drafts.save("worded", ADA, shown=DisplayedEdits(Edits(), 2))


async def test_a_draft_that_takes_the_place_of_an_unknown_one_leaves_it_as_a_step(drafts: Drafts) -> None:
    one, two, three = Edits({"text": "a"}), Edits({"text": "ab"}), Edits({"text": "abc"})
    await drafts.store("worded", one, ADA)
    await drafts.store("worded", two, ADA, before=one)
    await drafts.store("worded", three, ADA, before=two)
    assert [step.edits for step in await drafts.steps("worded", ADA)] == [one]
    await drafts.store("worded", Edits({"text": "x"}), ADA, before=one)
    await drafts.store("worded", Edits({"text": "y"}), ADA)
    steps = [step.edits.variables["text"] for step in await drafts.steps("worded", ADA)]
    assert steps == ["a", "abc", "x"]


async def test_a_page_does_not_overwrite_what_another_page_stored(drafts: Drafts) -> None:
    one, two = SeenDraft("", ("one",)), SeenDraft("", ("two",))
    first = await drafts.store("say", Edits({"text": "a"}), ADMIN, seen=one)
    with pytest.raises(DraftConflictError, match="another tab"):
        await drafts.store("say", Edits({"text": "b"}), ADMIN, seen=two)
    with pytest.raises(DraftConflictError):
        await drafts.discard("say", ADMIN, seen=two)
    assert await drafts.get("say", ADMIN) == first
    await drafts.store("say", Edits({"text": "b"}), ADMIN, seen=replace(two, revision=first.revision))
    with pytest.raises(DraftConflictError):
        await drafts.store("say", Edits({"text": "c"}), ADMIN, seen=one)
    await drafts.store("say", Edits({"text": "c"}), ADMIN, seen=replace(one, revision=None))
    assert [step.edits.variables["text"] for step in await drafts.steps("say", ADMIN)] == ["a", "b"]


async def test_a_page_overwrites_its_own_saves_whose_answers_were_lost(drafts: Drafts) -> None:
    page = SeenDraft("", ("one",))
    for text in ("a", "b", "c"):
        await drafts.store("say", Edits({"text": text}), ADMIN, seen=page, before=Edits())
    after = SeenDraft("", ("next", "one"))
    await drafts.store("say", Edits({"text": "d"}), ADMIN, seen=after)
    await drafts.save("say", ADMIN, message="leaves the inputs", inputs=True, page="next")
    await drafts.store("say", Edits({"text": "e"}), ADMIN, seen=page)  # nothing is overwritten


async def test_the_inputs_that_a_save_leaves_are_of_its_page(drafts: Drafts) -> None:
    page = SeenDraft("", ("one",))
    await drafts.store("say", Edits({"text": "a"}, template=MINE), ADMIN, seen=page)
    await drafts.save("say", ADMIN, page="one")
    made = await drafts.store("say", Edits({"text": "b"}), ADMIN, seen=page)
    assert await drafts.get("say", ADMIN) == made
