"""Logging in and out, and who then sees and may do what, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame, Page, expect

from tests.e2e.doors import bearer, open_app
from tests.e2e.running_app import RunningApp, wait_until
from tests.e2e.tls import forward, site
from tests.e2e.tls import page as one_page
from tests.e2e.workbench import LONG

pytestmark = pytest.mark.browser

GUESTS = ["Prompt engineer", "Overview", "My history", "Compare", "Nodes", "Usage"]
ADMINS = [*GUESTS[:2], "Versions", "History", "Review", "Compare", "Insights", "Knowledge", *GUESTS[4:], "Access"]
SPACE, HUB = "me-space.hf.space", "huggingface.co"
FRAME = f'<!doctype html><title>A Space</title><iframe src="https://{SPACE}/" width="1200" height="800"></iframe>'


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app as it is started for the first time where others can reach it."""
    running = open_app(tmp_path_factory.mktemp("open"), HERDING_ADMIN_TOKEN="").start()
    yield running
    running.stop()


def first_token(app: RunningApp) -> str:
    """The token that the app told its operator."""
    found = re.search(r"Admin token: (hl_\w+)", app.log.read_text())
    assert found
    return found[1]


def expect_tabs(page: Page | Frame, names: list[str]) -> None:
    expect(page.locator("#tabs > .tab-wrapper").get_by_role("tab")).to_have_text(names, timeout=LONG)


def log_in(page: Page | Frame, token: str) -> None:
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Log in").click()


def arrive(page: Page, app: RunningApp, token: str) -> None:
    """Log in and wait for the page."""
    page.goto(f"{app.url}/login")
    log_in(page, token)
    expect(page.get_by_role("button", name="Log out")).to_be_visible(timeout=LONG)
    page.wait_for_timeout(500)


def test_a_wrong_token_is_refused_and_the_right_one_opens_all_tabs_until_one_logs_out(
    first_start: RunningApp, page: Page
) -> None:
    page.goto(first_start.url)
    expect_tabs(page, GUESTS)
    expect(page.locator("#whoami")).to_contain_text("Guest")
    page.get_by_role("link", name="Log in").click()
    log_in(page, "hl_wrong")
    expect(page.get_by_role("alert")).to_contain_text("This token is not valid")
    log_in(page, first_token(first_start))
    expect_tabs(page, ADMINS)
    expect(page.locator("#whoami")).to_contain_text("Administrator")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out")).to_be_visible()
    page.goto(first_start.url)
    expect_tabs(page, GUESTS)


def test_a_guest_is_refused_what_no_tab_of_theirs_does(first_start: RunningApp, page: Page) -> None:
    page.goto(f"{first_start.url}/?tab=access")
    expect_tabs(page, GUESTS)
    for method, path in (
        ("GET", "access"),
        ("POST", "access/tokens"),
        ("POST", "access/users"),
        ("POST", "access/roles"),
    ):
        answer = page.evaluate(
            """async ([method, path]) => {
              const asked = await fetch(`ui/${path}`, { method });
              return { status: asked.status, text: await asked.text() };
            }""",
            [method, path],
        )
        assert answer["status"] == 403, path
        assert "Your role does not allow this" in answer["text"], path
    expect_tabs(page, GUESTS)


def test_a_token_made_in_the_page_works_until_it_is_revoked_there(
    first_start: RunningApp, page: Page, chromium: Browser
) -> None:
    arrive(page, first_start, first_token(first_start))
    page.get_by_role("tab", name="Access").click()
    page.locator("#access-to-users").click()
    page.locator("#user-new").click()
    page.locator("#user-id").fill("ada")
    page.locator("#user-name").fill("Ada Lovelace")
    page.get_by_role("button", name="Add user").click()
    expect(page.locator("#user-list")).to_contain_text("Ada Lovelace")
    page.locator("#access-to-tokens").click()
    page.locator("#token-user").select_option("ada")
    page.locator("#token-name").fill("her laptop")
    page.get_by_role("button", name="Create token").click()
    box = page.locator("#access-secret input").first
    expect(box).to_have_value(re.compile(r"hl_\w{12}_\w{43}"))
    expect(box).to_be_focused()
    token = box.input_value()
    assert token not in page.url
    assert page.content().count(token) == 2  # the box, and the call to copy beside it

    def asks() -> int:
        return first_start.client().get("/api/v1/me", headers=bearer(token)).status_code

    assert asks() == 200
    hers = chromium.new_context()
    her_page = hers.new_page()
    arrive(her_page, first_start, token)
    expect(her_page.locator("#whoami")).to_contain_text("Ada Lovelace")

    page.locator("#token-list").get_by_role("button", name="her laptop").click()
    expect(page.locator("#token-detail")).to_contain_text("her laptop")
    assert token not in page.content()
    page.locator("#token-revoke").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.locator("#token-detail")).to_contain_text("revoked")
    assert token not in first_start.log.read_text()
    wait_until(lambda: asks() == 401, seconds=60, what="the end of the token")
    her_page.get_by_role("tab", name="Overview").click()
    her_page.wait_for_url("**/login?ended=1", timeout=LONG)
    expect(her_page.get_by_text("Your session has ended")).to_be_visible()
    hers.close()


def test_a_session_lives_in_the_frame_of_another_site(launch: Callable[..., Browser], tmp_path: Path) -> None:
    app = open_app(tmp_path, HERDING_ADMIN_TOKEN="", SPACE_ID="me/space").start()
    with site(SPACE, forward(app.port)) as inner, site(HUB, one_page(FRAME)) as outer:
        rules = f"MAP {SPACE}:443 127.0.0.1:{inner}, MAP {HUB}:443 127.0.0.1:{outer}"
        context = launch(f"--host-resolver-rules={rules}").new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"https://{HUB}/spaces/me/space")
        frame = framed(page)
        expect_tabs(frame, GUESTS)
        frame.get_by_role("link", name="Log in").click()
        with page.expect_response(lambda found: found.request.method == "POST" and "/login" in found.url) as answer:
            log_in(frame, first_token(app))
        expect_tabs(framed(page), ADMINS)
        page.reload()
        expect_tabs(framed(page), ADMINS)
        cookie = answer.value.all_headers()["set-cookie"]
        (kept,) = [found for found in context.cookies() if found["name"] == "herding_session"]
        framed(page).get_by_role("button", name="Log out").click()
        expect(framed(page).get_by_text("You are logged out")).to_be_visible()
        page.reload()
        expect_tabs(framed(page), GUESTS)
        context.close()
    app.stop()
    for part in ("HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/"):
        assert part in cookie
    assert (kept.get("sameSite"), kept.get("secure"), kept.get("httpOnly")) == ("None", True, True)
    assert "huggingface.co" in str(kept.get("partitionKey"))


def framed(page: Page) -> Frame:
    """The app in the page of the other site."""
    frame = page.frame(url=re.compile(f"https://{SPACE}/"))
    assert frame
    return frame
