"""What the engine imports when it starts, and until a model is loaded."""

from __future__ import annotations

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"  # it is read once, at the import
gc.disable()

import transformers.models.auto.modeling_auto  # noqa: E402
import transformers.models.llama.modeling_llama  # noqa: E402, F401

import herding.engine.api  # noqa: E402
import herding.engine.transformers_model  # noqa: E402, F401

gc.freeze()  # so that the processes share it
gc.enable()
