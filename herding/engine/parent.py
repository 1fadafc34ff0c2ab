"""Ends a program together with the one that started it."""

from __future__ import annotations

import os
import threading


def exit_with_parent() -> None:
    """Exit when stdin closes, which also happens when the parent process is killed."""
    threading.Thread(target=_exit_at_end_of_stdin, name="parent-watch", daemon=True).start()


def _exit_at_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)
