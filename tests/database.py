"""Finds a PostgreSQL for the tests; `python -m tests.database` installs one if there is none.

Only the distribution's own package is used, and only where the package manager may be run. The tests start a server of
their own and never touch one that runs already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("initdb", "postgres")
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
"""Where packages put the programs; Debian's leaves them out of PATH."""

MISSING = (
    "NO POSTGRESQL: it is not installed; all tests on PostgreSQL are left out. Install it: python -m tests.database"
)


def find() -> Path | None:
    """Directory of the newest installed PostgreSQL; `HERDING_TEST_POSTGRES` names another one."""
    if chosen := os.environ.get("HERDING_TEST_POSTGRES"):
        return Path(chosen) if _is_complete(Path(chosen)) else None
    found = [path for place in PLACES for path in Path("/").glob(place.lstrip("/")) if _is_complete(path)]
    if found:
        return max(found, key=_version)
    on_path = shutil.which("initdb")
    beside = Path(on_path).resolve().parent if on_path else None
    return beside if beside and _is_complete(beside) else None


def _is_complete(directory: Path) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in PROGRAMS)


def _version(directory: Path) -> int:
    """The major version in a path such as `/usr/lib/postgresql/15/bin`."""
    digits = "".join(filter(str.isdigit, directory.parent.name))
    return int(digits) if digits else 0


def install() -> None:
    """Install the distribution's PostgreSQL, where this user may: as root, or with a `sudo` that asks for nothing."""
    if shutil.which("apt-get") is None or (become := _as_root()) is None:
        return
    quiet = {"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    apt = [*become, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    subprocess.run([*apt, "update", "-qq"], check=False, **quiet)
    subprocess.run([*apt, "install", "-y", "-qq", "--no-install-recommends", "postgresql"], check=False, **quiet)


def _as_root() -> list[str] | None:
    """What to put before a command to run it as root; None where this user may not."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    tried = subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True)
    return ["sudo", "-n"] if tried.returncode == 0 else None


def main() -> int:
    """Exit status 1 only where continuous integration has no server."""
    if find() is None:
        install()
    if found := find():
        sys.stdout.write(f"Database tests use {found / 'postgres'}\n")
        return 0
    sys.stdout.write(f"{MISSING}\n")
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
