"""The app as an installed package, away from its checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installed package; its requirements are those of this environment."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--target", str(folder), str(ROOT)], check=True, timeout=600)
    return folder


@pytest.fixture
def command(installed: Path, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """The `herding` command and an environment in which only the installed package is found."""
    ours = ("HERDING_", "DATABASE_URL", "SPACE_ID", "SYSTEM")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {"PYTHONPATH": str(installed), "HERDING_HOME": str(tmp_path / "home")}
    return [sys.executable, str(installed / "bin" / "herding")], env


@pytest.fixture
def url(command: tuple[list[str], dict[str, str]], tmp_path: Path) -> Iterator[str]:
    """The address of an app that `herding serve` started."""
    words, env = command
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        served = [*words, "serve", "--port", str(port)]
        process = subprocess.Popen(served, env=env, cwd=tmp_path, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/healthz", process, tmp_path / "log")
        yield address
    finally:
        process.terminate()
        process.wait(60)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(address, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.mark.slow
def test_an_installed_app_serves_the_page_and_the_shipped_prompts(url: str, tmp_path: Path) -> None:
    assert "Herding" in httpx.get(f"{url}/", trust_env=False).text
    prompts = httpx.get(f"{url}/api/v1/prompts", trust_env=False).json()
    shipped = {path.stem for path in (ROOT / "prompts").glob("*.yaml")}
    assert shipped <= {prompt["key"] for prompt in prompts["prompts"]}
    assert {path.stem for path in (tmp_path / "home" / "prompts").glob("*.yaml")} == shipped


@pytest.mark.slow
def test_the_command_creates_tokens(command: tuple[list[str], dict[str, str]], tmp_path: Path) -> None:
    words, env = command
    create = [*words, "token", "create", "--user", "ada", "--role", "user"]
    made = subprocess.run(create, env=env, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120)
    assert made.stdout.startswith("hl_")


def test_the_driver_of_postgresql_has_one_version() -> None:
    pins = {
        name: re.findall(r"psycopg\[binary\]==[0-9.]+", (ROOT / name).read_text())
        for name in ("pyproject.toml", "requirements-dev.txt", "Dockerfile")
    }
    (versions,) = {tuple(found) for found in pins.values()}
    assert len(versions) == 1


def test_a_space_builds_the_image_and_finds_its_port() -> None:
    space = yaml.safe_load((ROOT / "README.md").read_text().split("---")[1])
    assert space["sdk"] == "docker"  # the Gradio SDK adds gradio[mcp], which excludes our version of mcp
    exposed = re.search(r"^EXPOSE (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert exposed
    assert space["app_port"] == int(exposed[1])


def test_the_user_of_the_image_can_write_in_the_home_directory_of_compose() -> None:
    (spec,) = [
        mount
        for mount in yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["herding"]["tmpfs"]
        if mount.startswith("/home")
    ]
    user = re.search(r"^RUN useradd .*--uid (\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user
    assert f"uid={user[1]}" in spec.partition(":")[2].split(",")
