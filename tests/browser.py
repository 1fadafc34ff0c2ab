"""Finds a Chromium for the browser tests; `python -m tests.browser` installs one.

Its headless shell is the same browser without windows, and takes half the time of a processor for the same tests. Only
the distribution's own packages are used, and only where the package manager may be run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

SHELL = "chromium-headless-shell"
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--force-prefers-reduced-motion",  # nothing has to be drawn while a test waits for what runs
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """Path of an installed Chromium; `HERDING_TEST_BROWSER` names another one."""
    return os.environ.get("HERDING_TEST_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> None:
    """Install the distribution's headless shell where this user may, and Chromium where there is no shell."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
    for package in (SHELL, "chromium"):
        if find() is None or package == SHELL:
            command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
            subprocess.run(command, check=False, **quiet)


def main() -> int:
    """Exit status 1 only where continuous integration has no browser."""
    if shutil.which(SHELL) is None and "HERDING_TEST_BROWSER" not in os.environ:
        install()
    if found := find():
        sys.stdout.write(f"Browser tests use {found}\n")
        return 0
    sys.stdout.write("NO BROWSER: Chromium is not installed and cannot be; all browser tests will be skipped.\n")
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
