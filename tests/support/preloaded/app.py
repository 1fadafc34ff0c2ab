"""What the app imports when it starts."""

from __future__ import annotations

import gc

gc.disable()

import herding.main  # noqa: E402
import herding.ui.mount  # noqa: E402, F401

gc.freeze()  # so that the processes share it
gc.enable()
