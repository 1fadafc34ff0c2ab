"""Imports point down, and each library stays in its room."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.imports import breaches, modules

ROOT = Path(__file__).resolve().parent.parent


def test_the_rooms_keep_to_the_rules() -> None:
    assert breaches(ROOT) == []


def test_every_room_of_the_house_is_looked_at() -> None:
    """An empty house would keep to the rules as well."""
    assert len(list((ROOT / "herding").rglob("*.py"))) > 40


def test_no_modules_import_each_other() -> None:
    TopologicalSorter(modules(ROOT)).prepare()


def test_a_planted_cycle_is_found(tmp_path: Path) -> None:
    (tmp_path / "herding").mkdir()
    for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / "herding" / f"{name}.py").write_text(f"from herding.{other} import x\n")
    with pytest.raises(CycleError):
        TopologicalSorter(modules(tmp_path)).prepare()


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("herding/errors.py", "from herding.values import Call"),
        ("herding/values/x.py", "import herding.settings"),
        ("herding/yaml_files.py", "from herding.prompts.model import Prompt"),
        ("herding/settings.py", "from herding.nodes import catalog"),
        ("herding/prompts/x.py", "from herding.access.roles import RUN"),
        ("herding/nodes/x.py", "from herding.routing import policy"),
        ("herding/store/x.py", "from herding.orchestrator import Orchestrator"),
        ("herding/routing/x.py", "from herding import nodes"),
        ("herding/access/x.py", "from ..store import Store"),
        ("herding/orchestrator.py", "from herding.api import errors"),
        ("herding/serving/pipeline.py", "from herding.engine.loading import load"),
        ("herding/nodes/x.py", "import herding.engine.api"),
        ("herding/engine/x.py", "from herding.yaml_files import StrictModel"),
        ("herding/ui/x.py", "from herding.api.middleware.open_responses import OpenResponseMiddleware"),
        ("herding/api/x.py", "from herding.ui import page"),
        ("herding/mcp/x.py", "from herding.api.app import create_app"),
        ("herding/api/x.py", "from mcp.server.lowlevel import Server"),
        ("herding/bots/x.py", "from herding.api.app import create_app"),
        ("herding/api/x.py", "import discord"),
        ("herding/prompts/x.py", "from herding.settings import secret; import gradio as gr"),
        ("herding/api/x.py", "def f():\n    import gradio"),
        ("herding/orchestrator.py", "from sqlalchemy.exc import DatabaseError"),
        ("herding/nodes/x.py", "class A:\n    def f(self):\n        import torch.nn"),
        ("herding/nodes/x.py", "import importlib\nimportlib.import_module('transformers')"),
        ("herding/ui/x.py", "from fastapi import Request"),
        ("herding/access/x.py", "from fastapi import Request"),
        ("herding/prompts/x.py", "import os\nkey = os.environ['HF_TOKEN']"),
        ("herding/nodes/openai.py", "from os import getenv\ngetenv('HF_TOKEN')"),
        ("herding/ui/x.py", "from herding.main import create"),
        ("herding/people/x.py", "from herding.herd.fleet import Fleet"),
        ("herding/knowledge/x.py", "from herding.serving.pipeline import Pipeline"),
        ("herding/herd/x.py", "from herding.serving.queue import Queue"),
        ("herding/plugins/x.py", "from herding.prompts.model import Prompt"),
        ("herding/studio/x.py", "from herding.herd.fleet import Fleet"),
        ("herding/serving/x.py", "from herding.people.accounts import Accounts"),
        ("herding/studio/x.py", "from herding.evaluation.learning import Learning"),
        ("herding/evaluation/x.py", "from herding.serving.pipeline import Pipeline"),
        ("herding/serving/x.py", "from herding.orchestrator import Orchestrator"),
        ("herding/values/x.py", "from herding.errors import x; import herding.cli"),
        ("herding/main.py", "from herding.cli import main"),
        ("herding/cli.py", "from herding.api.app import create_app"),
        ("app.py", "from herding.settings import Settings"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n", encoding="utf-8")
    (found,) = breaches(tmp_path)
    assert found.startswith(f"{file}:")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("herding/ui/x.py", "if TYPE_CHECKING:\n    from fastapi import FastAPI"),
        ("herding/ui/x.py", "import gradio as gr\nfrom herding.orchestrator import Orchestrator"),
        ("herding/nodes/local.py", "import os\nenvironment = {**os.environ}"),
        ("herding/engine/x.py", "import torch\nfrom herding.errors import UserError"),
        ("herding/api/x.py", "from herding import __version__"),
        ("herding/main.py", "from herding.ui.mount import mount\nfrom herding.api import errors\nimport fastapi"),
        ("herding/serving/x.py", "from herding.studio.version_cache import VersionCache"),
    ],
)
def test_a_fitting_import_is_not(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n", encoding="utf-8")
    assert breaches(tmp_path) == []
