"""The packaged weights of SmolLM2-135M-Instruct, converted once for all tests."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from herding.engine.fetching.fetcher import ModelFetcher
from herding.engine.model_files import INSTALL_COMMAND, ModelSource, packaged_weights

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
CACHE = Path.home() / ".cache" / "herding" / "models"
"""Where an engine that is started by hand keeps what it converts."""


def smollm2() -> Path:
    """Return the directory of the converted model; without its package the test is skipped, and in CI it fails."""
    if packaged_weights(SMOLLM2) is None:
        message = f"NO WEIGHTS: this test needs the packaged SmolLM2. {INSTALL_COMMAND}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return asyncio.run(ModelFetcher(CACHE).fetch(ModelSource(SMOLLM2), lambda *_: None))
