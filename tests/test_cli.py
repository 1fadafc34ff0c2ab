"""Tokens from the shell: alone, and beside an app that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import httpx
import pytest

from herding.access.tokens import parse
from herding.cli import main
from tests.e2e.running_app import ROOT, RunningApp, wait_until
from tests.support.fakenode import FakeNode
from tests.support.ready_process import ReadyProcess

SLOWLY = "name: Slowly\ntarget_models: [held]\nprompt: hello\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("HERDING_", "SPACE_")) or name == "DATABASE_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HERDING_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def shell(home: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


class Shell:
    """Runs the command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, line: str) -> str:
        """What a command that succeeds prints."""
        status, out, err = self.told(line)
        assert (status, err) == (0, "")
        return out

    def told(self, line: str) -> tuple[int, str, str]:
        """Exit status, and what is printed to where."""
        self._capsys.readouterr()
        try:
            status = main(["token", *line.split()])
        except SystemExit as exit:
            status = int(exit.code or 0)
        printed = self._capsys.readouterr()
        return status, printed.out, printed.err

    def refused(self, line: str, *, wrong_setting: bool = False) -> str:
        """The one line that a command prints that is refused."""
        status, out, err = self.told(line)
        assert (status, out) == (2 if wrong_setting else 1, "")
        assert "Traceback" not in err
        assert len(err.strip().split("\n")) == 1
        return err

    def rows(self, line: str = "list") -> dict[str, list[str]]:
        """The table of tokens by id; its cells are two spaces apart."""
        head, *rows = self(line).rstrip("\n").split("\n")
        assert head.split()[:4] == ["id", "user", "role", "name"]
        cells = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]
        return {row[0]: row for row in cells}


def public(text: str) -> str:
    return text.strip().split("_")[1]


def test_a_token_for_a_new_user_is_all_that_is_printed(shell: Shell) -> None:
    text = shell("create --user ada --role user --name laptop --days 2").removesuffix("\n")
    assert parse(text)
    [row] = shell.rows().values()
    assert row[:4] == [public(text), "ada", "user's", "laptop"]
    assert row[-1] == "valid"
    assert text.split("_")[2] not in shell("list")


def test_a_user_who_is_there_gets_another_token_also_a_weaker_one(shell: Shell) -> None:
    one, two = shell("create --user ada --role user"), shell("create --user ada")
    same, weaker = shell("create --user ada --role user"), shell("create --user ada --role rater")
    shell("create --user bob --role rater")
    rows = shell.rows("list --user ada")
    assert [rows[public(text)][2] for text in (one, two, same, weaker)] == ["user's"] * 3 + ["rater"]
    assert len(rows) == 4
    assert len(shell.rows()) == 5
    assert "cannot have more privileges than its user" in shell.refused("create --user bob --role admin")


def test_a_token_is_revoked_by_its_public_part_or_its_whole(shell: Shell) -> None:
    one, two = shell("create --user ada --role user"), shell("create --user ada")
    assert shell(f"revoke {public(one)}") == f"Token {public(one)} revoked.\n"
    assert two.strip().split("_")[2] not in shell(f"revoke {two.strip()}")
    assert {row[-1] for row in shell.rows().values()} == {"revoked"}


def test_a_token_is_rotated(shell: Shell) -> None:
    old = shell("create --user ada --role user --name shop")
    new = shell(f"rotate {public(old)}")
    rows = shell.rows()
    assert rows[public(new)][3] == rows[public(old)][3] == "shop"
    assert rows[public(old)][-1] == "valid"
    shell(f"revoke {public(old)}")
    assert "has expired or was revoked" in shell.refused(f"rotate {public(old)}")


def test_a_rotation_of_a_token_that_ends_tells_when(shell: Shell) -> None:
    """As one that was rotated before does."""
    old = shell("create --user ada --role user")
    shell(f"rotate {public(old)}")
    status, again, told = shell.told(f"rotate {public(old)}")
    assert status == 0
    ends = shell.rows()[public(old)][5]
    assert shell.rows()[public(again)][5] == ends
    assert f"{ends} UTC" in told


@pytest.mark.slow
def test_a_terminal_that_has_not_all_letters_shows_the_table_all_the_same(home: Path) -> None:
    given = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for line in (["create", "--user", "zoe", "--role", "user", "--name", "Zoë 名前"], ["list"]):
        command = [sys.executable, "-m", "herding", "token", *line]
        ran = subprocess.run(command, env=given, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
    assert r"Zo\xeb" in ran.stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("create --user ada", "User 'ada' not found. Add --role"),
        ("create --user ada --role king", "Role not found"),
        ("create --user guest:1 --role user", "A user id has 1 to 64"),
        ("create --user local --role user", "reserved"),
        ("create --user ada --role user --days 0", "--days"),
        ("create --user ada --role user --days -1", "--days"),
        ("create --user ada --role user --days nan", "--days"),
        ("create --user ada --role user --days inf", "--days"),
        ("create --user ada --role user --days 1e30", "--days"),
        ("revoke 000000000000", "Token not found"),
        ("revoke ' OR 1=1--".replace(" OR ", "-OR-"), "Token not found"),
        ("revoke hl_", "Token not found"),
        ("rotate x", "Token not found"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(shell: Shell, line: str, words: str) -> None:
    assert words in shell.refused(line)
    assert shell.rows() == {}


@pytest.mark.parametrize("line", ["", "create", "burn x", "revoke", "create --user ada --days soon"])
def test_wrong_arguments_are_explained(shell: Shell, line: str) -> None:
    status, out, err = shell.told(line)
    assert (status, out) == (2, "")
    assert err.startswith("usage: herding token")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HERDING_ROLES", "/nowhere/roles.yaml", "roles.yaml"),
        ("HERDING_SECRET_KEY", "too-short-canary", "HERDING_SECRET_KEY"),
        ("DATABASE_URL", "mysql://u:canary@h/d", "DATABASE_URL"),
        ("DATABASE_URL", "sqlite:////proc/nowhere/x.sqlite", "database file"),
        ("HERDING_HOME", "/dev/null/home", "not a directory"),
    ],
)
def test_settings_that_are_wrong_are_said_in_a_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    said = shell.refused("list", wrong_setting=words != "database file")
    assert words in said
    assert "canary" not in said


def test_a_key_that_is_not_whole_is_said_in_a_line(shell: Shell, home: Path) -> None:
    home.mkdir()
    (home / "secret.key").write_bytes(b"half")
    assert "too short" in shell.refused("list", wrong_setting=True)


# Beside an app that runs


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, faulty_server: FakeNode) -> Iterator[RunningApp]:
    """An app that others can reach, with a node that ends its answer when it is told to."""
    home = tmp_path_factory.mktemp("home")
    (home / "prompts").mkdir()
    (home / "prompts" / "slowly.yaml").write_text(SLOWLY)
    patience = {"first_token": 300, "idle": 300, "total": 600}
    node = {"kind": "openai", "name": "slow", "base_url": faulty_server.url, "models": ["held"], "deadlines": patience}
    (home / "nodes.yaml").write_text(json.dumps({"nodes": [node]}))
    places = {"HERDING_PROMPTS": str(home / "prompts"), "HERDING_NODES": str(home / "nodes.yaml")}
    running = RunningApp(home, environment={"HERDING_HOST": "0.0.0.0", **places}).start()
    yield running
    running.stop()


def beside(app: RunningApp, *arguments: str) -> str:
    """What the command prints, as a process of its own on the app's data."""
    environment = {"PATH": os.environ["PATH"], "HERDING_HOME": str(app.home)}
    with TemporaryFile() as printed, TemporaryFile() as errors:
        output = {"stdout": printed.fileno(), "stderr": errors.fileno()}
        process = ReadyProcess("herding.cli", "token", *arguments, environment=environment, directory=ROOT, **output)
        status = process.wait(timeout=300)
        texts = [os.pread(file.fileno(), 1_000_000, 0).decode() for file in (printed, errors)]
    assert (status, texts[1]) == (0, "")
    return texts[0].strip()


def me(app: RunningApp, token: str) -> httpx.Response:
    return httpx.get(f"{app.url}/api/v1/me", headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=60)


@pytest.mark.slow
def test_the_first_start_tells_an_admin_token_once(app: RunningApp) -> None:
    said = app.log.read_text()
    assert said.count("Admin token: hl_") == 1
    token = said.partition("Admin token: ")[2].split()[0]
    assert me(app, token).json()["role"] == "admin"


@pytest.mark.slow
def test_a_token_works_at_once_and_no_longer_than_it_may(app: RunningApp) -> None:
    token = beside(app, "create", "--user", "ada", "--role", "user")
    assert me(app, token).json()["id"] == "ada"
    new = beside(app, "rotate", public(token))
    assert {me(app, text).status_code for text in (token, new)} == {200}
    beside(app, "revoke", public(token))
    wait_until(lambda: me(app, token).status_code == 401, seconds=60, what="the end of the token")
    assert me(app, new).status_code == 200
    assert public(new) in beside(app, "list", "--user", "ada")


@pytest.mark.slow
def test_what_runs_in_the_app_goes_on_undisturbed(app: RunningApp, faulty: FakeNode) -> None:
    token = beside(app, "create", "--user", "runner", "--role", "user")
    headers = {"authorization": f"Bearer {token}"}
    answers: list[httpx.Response] = []

    def run() -> None:
        body = {"prompt": "slowly"}
        answers.append(httpx.post(f"{app.url}/api/v1/infer", json=body, headers=headers, timeout=300, trust_env=False))

    running = threading.Thread(target=run)
    running.start()
    try:
        wait_until(lambda: faulty.calls("held"), seconds=60, what="the call of the node")
        beside(app, "list")
        beside(app, "create", "--user", "other", "--role", "rater")
        assert running.is_alive()
    finally:
        faulty.released.set()
        running.join(60)
    assert answers[0].status_code == 200
    [entry] = httpx.get(f"{app.url}/api/v1/history", headers=headers, trust_env=False, timeout=60).json()["entries"]
    assert (entry["status"], entry["error"]) == ("succeeded", None)


@pytest.mark.slow
def test_when_a_token_was_used_last_is_written_down(app: RunningApp) -> None:
    token = beside(app, "create", "--user", "late", "--role", "rater")
    assert me(app, token).status_code == 200

    def noted() -> bool:
        row = next(line for line in beside(app, "list").split("\n") if line.startswith(public(token)))
        return row.split()[-2] != "-"

    wait_until(noted, seconds=120, what="the last use")
