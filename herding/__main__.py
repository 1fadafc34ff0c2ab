"""Entry of `python -m herding`."""

from __future__ import annotations

import sys

from herding.cli import main

sys.exit(main())
