"""The history as files."""

from __future__ import annotations

import csv
import io
import json
import re

import httpx
import pytest
from fastapi import FastAPI

from herding.api.http.request import get_principal
from herding.api.native.exports import COLUMNS
from herding.values import Request
from tests.api.conftest import ADMIN
from tests.support.herding import ADMIN as BOSS
from tests.support.herding import NOBODY, Place
from tests.support.people import principal


async def add(place: Place, text: str, by: str = "guest:1", stars: int | None = None, comment: str = "") -> str:
    """A request of that guest, rated by the admin."""
    outcome = await place.orchestrator.pipeline.run(Request("say", {"text": text}), principal(by, "guest"))
    if stars:
        await place.orchestrator.feedback.rate(outcome.request_id, stars, principal("admin", "admin"))
    if comment:
        await place.orchestrator.feedback.comment(outcome.request_id, comment, principal("admin", "admin"))
    return outcome.request_id


async def table(http: httpx.AsyncClient, **params: str) -> list[dict[str, str]]:
    response = await http.get("/api/v1/history.csv", params=params, headers=ADMIN)
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


async def lines(http: httpx.AsyncClient, headers: dict[str, str] | None = None) -> list[dict[str, object]]:
    response = await http.get("/api/v1/history.jsonl", headers=headers or ADMIN)
    assert response.status_code == 200
    return [json.loads(line) for line in response.text.split("\n") if line]


async def test_an_empty_history_is_a_header(http: httpx.AsyncClient) -> None:
    response = await http.get("/api/v1/history.csv", headers=ADMIN)
    assert response.content.decode() == "\ufeff" + ",".join(COLUMNS) + "\r\n"
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="history.csv"'
    assert response.headers["cache-control"] == "no-store"
    assert await lines(http) == []


async def test_all_facts_of_a_request(http: httpx.AsyncClient, place: Place) -> None:
    request_id = await add(place, "hello you", stars=4, comment="fine")
    (row,) = await table(http)
    assert tuple(row) == COLUMNS
    assert row["request_id"] == request_id
    facts = {name: row[name] for name in ("principal", "prompt", "version", "status", "model", "node", "edited")}
    assert facts == {
        "principal": "guest:1",
        "prompt": "say",
        "version": "1",
        "status": "succeeded",
        "model": "echo",
        "node": "echo",
        "edited": "False",
    }
    assert json.loads(row["variables"]) == {"text": "hello you"}
    assert (row["answer"], row["stars"], row["comment"], row["error"]) == ("hello you", "4", "fine", "")
    assert (row["input_tokens"], row["output_tokens"], row["token_source"]) == ("2", "2", "node")
    assert row["created_at"].endswith("+00:00")


TEXTS = [
    "ünïcödé 🎉 漢字",
    'quotes " and, commas; and ; semicolons',
    "several\nlines\r\nof\rtext",
    "\u2028 line separators \x85",
    "tabs\tinside",
]


async def test_awkward_texts_come_out_as_they_went_in(http: httpx.AsyncClient, place: Place) -> None:
    for text in TEXTS:
        await add(place, text)
    assert [row["answer"] for row in await table(http)] == TEXTS[::-1]
    assert [row["answer"] for row in await lines(http)] == TEXTS[::-1]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|'/c calc'!A0"])
async def test_a_formula_is_disarmed_in_csv_only(http: httpx.AsyncClient, place: Place, text: str) -> None:
    await add(place, text, comment=text)
    (row,) = await table(http)
    assert row["answer"] == f"'{text}"
    assert row["comment"][:2] == f"'{text[0]}"
    assert (await lines(http))[0]["answer"] == text


@pytest.mark.parametrize("text", ["x" * 40_000, "🎉" * 20_000, "=" + "x" * 32_767])
async def test_a_text_too_long_for_a_cell_is_cut_with_a_mark(http: httpx.AsyncClient, place: Place, text: str) -> None:
    await add(place, text)
    (row,) = await table(http)
    for cell in (row["answer"], row["variables"], row["input"]):
        assert len(cell.encode("utf-16-le")) // 2 <= 32_767
        assert re.search(r" \[cut: [\d,]+ characters in history.jsonl\]$", cell)
    assert row["answer"].removeprefix("'")[:1000] == text[:1000]
    assert (await lines(http))[0]["answer"] == text


async def test_a_text_that_just_fits_a_cell_is_whole(http: httpx.AsyncClient, place: Place) -> None:
    await add(place, "x" * 32_767)
    assert (await table(http))[0]["answer"] == "x" * 32_767


async def test_filters_narrow_the_export(http: httpx.AsyncClient, place: Place) -> None:
    good, bad = await add(place, "alpha", stars=5), await add(place, "beta", stars=1)
    plain = await add(place, "100% gamma_delta")
    everything = [plain, bad, good]
    for params, ids in (
        ({"stars": "5"}, [good]),
        ({"stars": "0"}, [plain]),
        ({"text": "BETA"}, [bad]),
        ({"text": "0% g"}, [plain]),
        ({"text": "a_d"}, [plain]),
        ({"prompt": "say"}, everything),
        ({"prompt": "ghost"}, []),
        ({"model": "echo"}, everything),
        ({"node": "other"}, []),
        ({"status": "failed"}, []),
        ({"status": "succeeded"}, everything),
        (dict.fromkeys(("stars", "status", "text", "prompt", "model", "node"), ""), everything),
    ):
        assert [row["request_id"] for row in await table(http, **params)] == ids, params


@pytest.mark.parametrize("query", ["stars=6", "stars=x", "status=happy", f"text={'x' * 1001}"])
async def test_a_filter_that_is_none_is_refused(http: httpx.AsyncClient, query: str) -> None:
    response = await http.get(f"/api/v1/history.csv?{query}", headers=ADMIN)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == query.partition("=")[0]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_what_the_database_refuses_has_its_status(http: httpx.AsyncClient, kind: str) -> None:
    response = await http.get(f"/api/v1/history.{kind}?version={2**63}", headers=ADMIN)
    assert response.status_code == 422
    assert "too large" in response.json()["error"]["message"]


async def test_a_guest_gets_their_own_rows_only(http: httpx.AsyncClient, place: Place) -> None:
    me = (await http.get("/healthz")).cookies["herding_session"].split(".")[1]
    mine = await add(place, "mine", by=f"guest:{me}")
    await add(place, "theirs")
    assert (await http.get("/api/v1/history.jsonl?principal=guest:1")).json()["error"]["param"] == "principal"
    for query in ("", "?text=theirs"):
        response = await http.get(f"/api/v1/history.jsonl{query}")
        assert "theirs" not in response.text
    assert [row["request_id"] for row in await lines(http, {"x": "guest"})] == [mine]
    assert len(await lines(http)) == 2


async def test_a_long_history_is_streamed_whole(http: httpx.AsyncClient, place: Place) -> None:
    for _ in range(12):
        await place.orchestrator.pipeline.run(Request("say"), BOSS)
    assert len({row["request_id"] for row in await table(http)}) == 12


async def test_without_the_right_there_is_no_export(http: httpx.AsyncClient, app: FastAPI) -> None:
    app.dependency_overrides[get_principal] = lambda: NOBODY
    for kind in ("csv", "jsonl"):
        response = await http.get(f"/api/v1/history.{kind}")
        assert response.status_code == 403
        assert response.json()["error"]["type"] == "forbidden"
