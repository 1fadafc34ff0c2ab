"""The pieces of which tabs are made: addresses, tables, errors, and what replaces a part of the page."""

from __future__ import annotations

import pytest
from starlette.datastructures import FormData, QueryParams

from herding.errors import UserError
from herding.ui.kit.fields import parse_stars
from herding.ui.kit.format import dotted, failure
from herding.ui.kit.links import tab_address
from herding.ui.kit.live import fixed, live, out_of_band
from herding.ui.kit.tables import head_row, matrix, matrix_row, total_tiles
from herding.ui.kit.views import Call
from tests.support.herding import ADMIN

EVIL = "<b>&\"'"


def test_the_address_of_a_tab_leaves_out_empty_fields_and_hides_no_character() -> None:
    assert tab_address("history") == "?tab=history"
    assert tab_address("engineer", prompt="a/b&c=d", model="", request="1") == (
        "?tab=engineer&prompt=a%2Fb%26c%3Dd&request=1"
    )


def test_columns_from_a_number_on_are_numbers_in_the_head_and_in_the_rows() -> None:
    heads = ("Model", "Runs")
    shown = matrix("All", heads, [matrix_row(heads, (EVIL, 3), numbers=1)], label="x", numbers=1)
    assert '<th scope="col">Model</th>' in shown
    assert '<th class="number" scope="col">Runs</th>' in shown
    assert '<td class="number" data-label="Runs"><span class="held">3</span></td>' in shown
    assert "&lt;b&gt;" in shown
    assert "number" not in head_row("Model", "Runs")
    with pytest.raises(ValueError, match="argument"):
        matrix_row(("Model", "Runs"), ("a",), numbers=1)


def test_a_total_without_a_note_has_none() -> None:
    shown = total_tiles([("Runs", 3, ""), ("Cost", EVIL, "known")])
    assert shown.count("<dt>") == 2
    assert shown.count('class="muted"') == 1
    assert EVIL not in shown


def test_an_error_is_an_alert_with_its_reason() -> None:
    assert 'role="alert"' in failure("Not saved", EVIL)
    assert "<strong>Not saved</strong><p>&lt;b&gt;" in failure("Not saved", EVIL)


def test_pieces_with_dots_leave_out_what_is_empty() -> None:
    assert dotted(["a", None, "", EVIL]) == "a · &lt;b&gt;&amp;&quot;&#x27;"
    assert dotted([]) == ""


def test_a_piece_has_another_version_when_its_content_or_an_attribute_changes() -> None:
    def version(html: str) -> str:
        return html.split('data-v="')[1].split('"', maxsplit=1)[0]

    first = live("p", "x", "one", title="t")
    assert version(first) == version(live("p", "x", "one", title="t"))
    others = (
        live("p", "x", "two", title="t"),
        live("p", "x", "one", title="u"),
        live("p", "x", "one", cls="c", title="t"),
    )
    assert version(first) not in map(version, others)
    assert version(fixed("p", "x", "one")) == version(fixed("p", "x", "two"))


def test_pieces_beside_the_target_replace_the_content_of_their_elements() -> None:
    assert out_of_band({"a": None}) == '<div id="a" hx-swap-oob="innerHTML"></div>'
    assert out_of_band({}) == ""


@pytest.mark.parametrize(("given", "stars"), [(0, None), (1, 1), (5, 5)])
def test_stars_are_one_to_five(given: int, stars: int | None) -> None:
    assert parse_stars(given) == stars


@pytest.mark.parametrize("given", [-1, 6])
def test_other_stars_are_refused(given: int) -> None:
    with pytest.raises(UserError, match="1 to 5"):
        parse_stars(given)


def test_a_field_of_the_form_goes_before_that_of_the_address() -> None:
    form, query = FormData([("n", "7"), ("many", "a"), ("many", "b")]), QueryParams("n=8&other=-3&bad=1e3")
    call = Call(ADMIN, {}, query, form, {"prompt": ["say", "other"]})
    assert (call.whole("n"), call.whole("other"), call.whole("none", 4)) == (7, -3, 4)
    assert (call.texts("many"), call.text("none", "x")) == (["a", "b"], "x")
    assert (call.in_address("prompt"), call.in_address("model")) == ("say", "")
    with pytest.raises(UserError, match="whole number"):
        call.whole("bad")
