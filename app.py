"""The entry of a Hugging Face Space and of `make run`."""

from __future__ import annotations

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # until the app runs: its imports leave no garbage, and to look for some takes a fifth of the start

    from herding.main import main

    sys.exit(main())
