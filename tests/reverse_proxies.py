"""Finds nginx and Caddy for the tests behind them; `python -m tests.reverse_proxies` installs what is missing.

Only the distribution's own packages are used, and only where the package manager may be run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {"nginx": "nginx-light", "caddy": "caddy"}


def find(name: str) -> str | None:
    """Path of an installed proxy; those of Debian are where only root looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def install(names: list[str]) -> None:
    """Install the distribution's packages, where this user may. A package does not start its service in a container."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}}
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
    for name in names:
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", PACKAGES[name]]
        subprocess.run(command, check=False, **quiet)


def main() -> int:
    """Exit status 1 only where continuous integration has no nginx."""
    if missing := [name for name in PACKAGES if find(name) is None]:
        install(missing)
    for name in PACKAGES:
        if found := find(name):
            sys.stdout.write(f"Tests behind {name} use {found}\n")
        else:
            sys.stdout.write(f"NO {name.upper()}: it is not installed and cannot be; tests behind it are skipped.\n")
    return 1 if os.environ.get("CI") and find("nginx") is None else 0


if __name__ == "__main__":
    sys.exit(main())
