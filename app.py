"""The entry of a Hugging Face Space and of `make run`."""

from __future__ import annotations

import sys

from herding.main import main

if __name__ == "__main__":
    sys.exit(main())
