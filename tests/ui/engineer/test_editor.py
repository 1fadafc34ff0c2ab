"""The editor of the Prompt engineer: messages, variables, parameters, checks and YAML as one prompt."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
import yaml

from herding.access.operations import SAVE
from herding.errors import AccessError
from herding.yaml_files import YamlDocument
from tests.support.herding import GUEST
from tests.support.people import principal
from tests.ui.conftest import Desktop
from tests.ui.engineer.pages import Form, content, kept, opened

COMMENTED = """\
# about the prompt
name: Noted
target_models: [echo]  # the models
variables:
  text: {type: text, default: hi}  # the text
messages:
  # the rules
  - {role: system, content: Be kind.}
  - {role: user, content: "{{text}}"}
parameters:
  temperature: 0.2  # low
"""


def noted(desktop: Desktop) -> None:
    (desktop.place.prompts / "noted.yaml").write_text(COMMENTED, encoding="utf-8")
    desktop.place.library.refresh()


async def test_a_prompt_opens_with_its_messages_variables_and_values(desktop: Desktop) -> None:
    form = await opened(desktop, "chat")
    assert (form["messages.0.role"], form["messages.0.content"]) == ("system", "Be kind.")
    assert form["messages.1.content"] == "{{message}}"
    assert form["var.message"] == "hello"
    form = await opened(desktop, "varied")
    assert [form[f"var.{name}"] for name in ("error", "tone", "note")] == ["1200", "kind", ""]
    assert "var.loud" not in form.fields
    assert form["variants.0.when"] == "error > 2000"
    assert form["param.stop"] == "\\n"
    assert "Number, min 0" in form
    assert "Variant: near" in form


async def test_a_form_that_nobody_touched_is_no_draft(desktop: Desktop) -> None:
    noted(desktop)
    for key in ("say", "varied", "chat", "many", "hostile", "noted"):
        form = await opened(desktop, key)
        await form.edit()
        assert (await kept(desktop, key)).empty, key


async def test_a_new_name_in_a_message_is_a_variable_at_once(desktop: Desktop) -> None:
    form = await opened(desktop)
    answer = await form.edit(messages__0__content="Tell {{who}} of {{text}}")
    assert list(answer["added"]) == ["who"]
    assert form["def.who.type"] == "text"
    assert "required" in answer["added"]["who"]
    await form.edit(def__who__type="integer", def__who__default="7", def__who__max="9")
    whole = yaml.safe_load((await kept(desktop)).whole or "")
    assert whole["variables"]["who"] == {"type": "integer", "default": 7, "max": 9}


async def test_names_that_were_only_typed_on_the_way_leave_no_variables(desktop: Desktop) -> None:
    form = await opened(desktop)
    await form.edit(messages__0__content="{{text}} {{wh}}")
    answer = await form.edit(messages__0__content="{{text}} {{who}}")
    assert (answer["gone"], list(answer["added"])) == (["wh"], ["who"])
    form.fields = {name: value for name, value in form.fields.items() if ".wh." not in name and name != "var.wh"}
    answer = await form.edit(messages__0__content="nothing")
    assert (answer["gone"], answer["unused"]) == (["who"], ["text"])
    assert "who" not in ((await kept(desktop)).whole or "") + ((await kept(desktop)).template or "")


async def test_a_variable_that_no_text_uses_goes_when_its_card_is_removed(desktop: Desktop) -> None:
    form = await opened(desktop)
    answer = await form.edit(messages__0__content="no variable")
    assert answer["unused"] == ["text"]
    form.fields = {name: value for name, value in form.fields.items() if not name.startswith("def.text")}
    await form.edit()
    await form.press("save")
    assert "variables" not in await content(desktop)


async def test_a_variable_takes_another_type_with_another_field(desktop: Desktop) -> None:
    form = await opened(desktop)
    answer = await form.edit(def__text__type="choice", def__text__choices="one\ntwo", def__text__default="one")
    assert '<option value="two"' in answer["controls"]["text"]
    assert answer["errors"] == {"var.text": "Must be one of: one, two."}
    answer = await form.edit(def__text__default="three")
    assert "must be one of" in answer["errors"]["def.text.default"]


async def test_messages_are_added_moved_and_removed(desktop: Desktop) -> None:
    form = await opened(desktop)
    text = form["messages.0.content"]
    form.fields = {name: value for name, value in form.fields.items() if not name.startswith("messages.")}
    form.fields |= {"messages.7.role": ["system"], "messages.7.content": ["First"]}
    form.fields |= {"messages.2.role": ["user"], "messages.2.content": [text]}
    await form.edit()
    await form.press("save")
    assert [m["role"] for m in (await content(desktop))["messages"]] == ["system", "user"]
    again = await opened(desktop)
    assert (again["messages.0.content"], again["messages.1.content"]) == ("First", text)


def variant(number: int, was: str, name: str, when: str, text: str) -> dict[str, list[str]]:
    """The fields of a variant with one message."""
    prefix = f"variants.{number}."
    return {
        f"{prefix}was": [was],
        f"{prefix}name": [name],
        f"{prefix}when": [when],
        f"{prefix}blocks": ["on"],
        f"{prefix}messages.0.role": ["user"],
        f"{prefix}messages.0.content": [text],
    }


def without_variants(form: Form) -> dict[str, list[str]]:
    return {name: value for name, value in form.fields.items() if not name.startswith("variants.")}


async def test_variants_are_added_removed_and_reordered(desktop: Desktop) -> None:
    form = await opened(desktop, "varied")
    far, near = (await content(desktop, "varied"))["variants"]
    assert (far["name"], form["variants.1.was"]) == ("far", "1")
    form.fields = without_variants(form)
    form.fields |= variant(0, "1", "near", near["when"], near["messages"][0]["content"])
    form.fields |= variant(1, "", "loud", "loud", "LOUD {{error}}")
    answer = await form.edit()
    assert answer["errors"] == {}
    await form.press("save")
    saved = await content(desktop, "varied")
    assert [one["name"] for one in saved["variants"]] == ["near", "loud"]
    assert saved["variants"][0] == near
    assert "messages" not in saved
    again = await opened(desktop, "varied")
    assert (again["variants.0.name"], again["variants.1.when"]) == ("near", "loud")


async def test_a_prompt_gets_its_first_variant_and_loses_its_last(desktop: Desktop) -> None:
    before = await content(desktop)
    form = await opened(desktop)
    assert 'id="add-variant"' in form
    form.fields |= variant(0, "", "short", 'text == "x"', "Only {{text}}")
    await form.edit()
    await form.press("save")
    saved = await content(desktop)
    assert saved["messages"] == before["messages"]
    assert saved["variants"] == [
        {"name": "short", "when": 'text == "x"', "messages": [{"role": "user", "content": "Only {{text}}"}]}
    ]
    form.fields = without_variants(form)
    await form.edit()
    await form.press("save")
    assert await content(desktop) == before


async def test_errors_of_variants_stand_at_their_fields(desktop: Desktop) -> None:
    form = await opened(desktop, "varied")
    form["variants.1.when"] = "error >"
    assert list((await form.edit())["errors"]) == ["variants.1.when"]
    form["variants.1.when"] = "error <= 2000"
    form["variants.1.name"] = "far"
    answer = await form.edit()
    assert "another variant" in answer["errors"]["variants.1.name"].lower()
    form["variants.1.name"] = "near"
    form.fields |= variant(2, "", "third", "", "x")
    assert list((await form.edit())["errors"]) == ["variants.2.when"]
    form.fields = {name: value for name, value in form.fields.items() if not name.startswith("variants.2.messages")}
    form["variants.2.when"] = "loud"
    assert list((await form.edit())["errors"]) == ["variants.2.messages"]
    for number in range(3):
        for name in list(form.fields):
            if name.startswith(f"variants.{number}."):
                del form.fields[name]
    assert list((await form.edit())["errors"]) == ["messages"]


async def test_a_raw_prompt_gets_raw_variants(desktop: Desktop) -> None:
    form = await opened(desktop, "many")
    assert 'name="variants.new.prompt_text"' in form
    form.fields |= {"variants.0.was": [""], "variants.0.name": ["b"], "variants.0.when": ['v0 == "b"']}
    form["variants.0.prompt_text"] = "{{v1}}"
    assert (await form.edit())["errors"] == {}
    await form.press("save")
    assert (await content(desktop, "many"))["variants"] == [{"name": "b", "when": 'v0 == "b"', "prompt": "{{v1}}"}]


async def test_a_reader_sees_variants_without_buttons(desktop: Desktop) -> None:
    form = await opened(desktop, "varied", who=GUEST)
    assert "far {{error}}" in form.html or "far" in form["variants.0.name"]
    assert "add-variant" not in form
    assert "data-remove-variant" not in form


async def test_comments_of_the_file_outlive_edits_of_the_form(desktop: Desktop) -> None:
    noted(desktop)
    form = await opened(desktop, "noted")
    await form.edit(messages__0__content="Be brief, {{who}}.", param__temperature="0.3", check__max_words="20")
    await form.press("save", note="shorter")
    text = (desktop.place.prompts / "noted.yaml").read_text(encoding="utf-8")
    for comment in ("# about the prompt", "# the models", "# the text", "# the rules", "# low"):
        assert comment in text, comment
    data = yaml.safe_load(text)
    assert data["parameters"] == {"temperature": 0.3}
    assert data["checks"] == {"max_words": 20}
    assert data["variables"]["who"] == {"type": "text"}


async def test_all_parameters_and_checks_have_fields(desktop: Desktop) -> None:
    form = await opened(desktop)
    await form.edit(
        param__tools='[{"type": "function", "function": {"name": "f"}}]',
        param__tool_choice="auto",
        param__ignore_eos="true",
        param__logit_bias='{"5": -1}',
        param__stop="END\\n\nC:\\\\new",
        check__choices="yes\nno",
        check__ignore_case="true",
        check__json_schema='{"type": "object"}',
    )
    assert form.answer["errors"] == {}
    await form.press("save")
    saved = await content(desktop)
    assert saved["parameters"]["stop"] == ["END\n", "C:\\new"]
    assert saved["parameters"]["logit_bias"] == {"5": -1.0}
    assert (saved["parameters"]["tool_choice"], saved["parameters"]["ignore_eos"]) == ("auto", True)
    assert saved["checks"] == {"choices": ["yes", "no"], "ignore_case": True, "json_schema": {"type": "object"}}
    again = await opened(desktop)
    await again.edit()
    assert (await kept(desktop)).empty


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("param.temperature", "hot", "number"),
        ("param.top_k", "1.5", "integer"),
        ("check.regex", "[", "not a regular expression"),
        ("check.max_words", "-1", "greater than"),
        ("def.text.max_chars", "many", "integer"),
        ("about.name", "", "at least 1 character"),
    ],
)
async def test_an_error_stands_at_its_field_once_and_goes_with_its_cause(
    desktop: Desktop, field: str, typed: str, words: str
) -> None:
    form = await opened(desktop)
    before = form[field]
    form[field] = typed
    answer = await form.edit()
    assert list(answer["errors"]) == [field]
    assert words in answer["errors"][field].lower()
    assert answer["pieces"]["engineer-problem"] == ""
    again = await opened(desktop)
    assert again[field] == typed
    again[field] = before
    assert (await again.edit())["errors"] == {}


async def test_an_error_of_a_value_stands_at_its_field(desktop: Desktop) -> None:
    form = await opened(desktop, "varied")
    answer = await form.edit(var__error="a lot")
    assert answer["errors"] == {"var.error": "Must be a number, such as 1200 or 449.5."}
    assert (await form.edit(var__error="2500"))["errors"] == {}
    assert "Variant: far" in form.answer["pieces"]["engineer-preview-head"]


async def test_the_preview_shows_the_input_and_its_tokens(desktop: Desktop) -> None:
    form = await opened(desktop, "chat")
    answer = await form.edit(var__message="what now?")
    assert "what now?" in answer["pieces"]["engineer-preview"]
    assert "estimated" in answer["pieces"]["engineer-preview-head"]


async def test_the_form_and_the_yaml_show_the_same_draft(desktop: Desktop) -> None:
    noted(desktop)
    form = await opened(desktop, "noted")
    await form.edit(messages__0__content="Be brief.")
    await form.press("way", to="yaml")
    assert form["way"] == "yaml"
    assert "Be brief." in form["yaml"]
    assert "# the rules" in form["yaml"]
    await form.edit(yaml=form["yaml"].replace("Be brief.", "Be quick.") + "checks: {max_words: 5}  # short\n")
    await form.press("way", to="form")
    assert (form["messages.0.content"], form["check.max_words"]) == ("Be quick.", "5")
    await form.edit(check__max_words="6")
    await form.press("save")
    text = (desktop.place.prompts / "noted.yaml").read_text(encoding="utf-8")
    assert "# short" in text
    assert "max_words: 6" in text


async def test_an_error_in_the_yaml_names_its_line(desktop: Desktop) -> None:
    form = await opened(desktop)
    await form.press("way", to="yaml")
    answer = await form.edit(yaml=form["yaml"] + "colour: 1\n")
    line = form["yaml"].count("\n")
    assert answer["errors"] == {"yaml": f"Line {line}: colour: this key is not known here."}
    answer = await form.edit(yaml="name: [")
    assert "not valid YAML" in answer["errors"]["yaml"]
    again = await opened(desktop)
    assert (again["way"], again["yaml"]) == ("yaml", "name: [")


async def test_a_raw_prompt_has_one_text(desktop: Desktop) -> None:
    form = await opened(desktop, "many")
    assert form["prompt_text"] == "{{v0}} {{v17}} {{v18}}"
    assert len([name for name in form.fields if name.startswith("var.")]) == 19
    await form.edit(prompt_text="{{v0}} and {{v1}}")
    await form.press("save")
    assert (await content(desktop, "many"))["prompt"] == "{{v0}} and {{v1}}"


async def test_a_guest_sees_the_messages_and_changes_values_only(desktop: Desktop) -> None:
    form = await opened(desktop, who=GUEST)
    assert "readonly" in form
    assert "Read-only" in form
    assert "save-version" not in form
    await form.edit(var__text="mine", messages__0__content="forged")
    found = await kept(desktop, who=GUEST)
    assert (dict(found.variables), found.changes_prompt) == ({"text": "mine"}, False)
    for action in ("save", "way", "new", "publish", "theirs", "delete"):
        with pytest.raises(AccessError):
            await desktop.post(f"engineer/{action}", who=GUEST, key="say", base_version="1")


async def test_a_role_that_may_edit_but_not_save_is_told(desktop: Desktop) -> None:
    writer = principal("tess", "user")
    tester = replace(writer, rights=writer.rights - {SAVE})
    form = await opened(desktop, who=tester)
    answer = await form.edit(messages__0__content="{{text}} and {{more}}")
    assert "not declared" in answer["pieces"]["engineer-problem"]
    answer = await form.edit(messages__0__content="mine {{text}}")
    assert "Your role can&#x27;t save versions" in answer["pieces"]["draft-state"]
    assert "mine {{text}}" in ((await kept(desktop, who=tester)).template or "")


async def test_hostile_texts_stay_texts(desktop: Desktop) -> None:
    form = await opened(desktop, "hostile")
    assert "<script>alert" not in form.html
    assert "<img src=x" not in form.html
    answer = await form.edit(var__text="<script>alert(9)</script>")
    assert "<script>alert(9)" not in str(answer["pieces"])


async def test_a_long_text_is_read_beside_the_event_loop(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, inside = threading.get_ident(), list[int]()
    parse = YamlDocument._read

    def read(document: YamlDocument, text: str) -> Any:
        inside.append(threading.get_ident())
        return parse(document, text)

    monkeypatch.setattr(YamlDocument, "_read", read)
    for text in ("name: Long\nprompt: |\n" + "  a line\n" * 5_000, "- [1]\n" * 5_000):
        await desktop.post("engineer/edit", key="say", base_version="1", way="yaml", yaml=text)
        assert inside
        assert loop not in inside
