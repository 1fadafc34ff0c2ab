"""What a chat completion costs through Herding, against a bare pass-through and LiteLLM's proxy, in one run.

All sides stand before the same server, which answers at once, and are asked in turns, round by round. Herding is the
real app in a process of its own: token, limits, routing and a durable row for every request. The programs under test
have one core, the callers and the answering server the other, so the ratios tell more than the numbers. LiteLLM keeps
no rows; so that computing is compared and not a disk, Herding's database lies in memory where the system has a place
there. `--folder` names another one; every row is committed and synced all the same.

python benchmarks/gateway.py [--litellm .../bin/litellm] [--rounds 5] [--seconds 2] [--folder .]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import secrets
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PATH = "/v1/chat/completions"
MEMORY = Path("/dev/shm")
OURS = ("HERDING_", "DATABASE_URL", "SPACE_ID", "SYSTEM")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
"""What the programs find in their environment: nothing that leads Herding to the data of this machine's owner."""

NODES = """
nodes:
  - kind: openai
    name: upstream
    base_url: {url}/v1
    models: [fast, paced]
"""
ROLES = """
roles:
  guest:
    description: Nobody.
  admin:
    description: The operator, who hands out the token.
    allow_nodes: ["*"]
    allow_prompts: ["*"]
    allow_api_paths: ["*"]
    allow_tabs: ["*"]
    rights: ["*"]
  caller:
    description: Calls chats, and never reaches the limits.
    allow_nodes: ["*"]
    allow_prompts: ["*"]
    allow_api_paths: [/v1/chat/completions]
    limits:
      - {type: request, interval: 1, limit: 10000000}
      - {type: token, interval: 1, limit: 1000000000000}
"""
LITELLM = """
model_list:
  - model_name: fast
    litellm_params: {{model: openai/fast, api_base: "{url}/v1", api_key: none}}
  - model_name: paced
    litellm_params: {{model: openai/paced, api_base: "{url}/v1", api_key: none}}
litellm_settings: {{telemetry: false, turn_off_message_logging: true}}
general_settings: {{master_key: "{token}"}}
"""


@dataclass(frozen=True)
class Side:
    """A program that is asked."""

    name: str
    url: str
    token: str
    process: int


@dataclass(frozen=True)
class Case:
    """A way of asking."""

    name: str
    callers: int
    model: str = "fast"
    stream: bool = False


CASES = (
    Case("whole, 1 caller", 1),
    Case("whole, 16 callers", 16),
    Case("whole, 64 callers", 64),
    Case("streamed, 16 callers", 16, stream=True),
    Case("paced stream, 1 caller", 1, "paced", stream=True),
    Case("paced stream, 64 callers", 64, "paced", stream=True),
)
ONE, SIXTEEN = CASES[0], CASES[1]

Seen = dict[tuple[str, Case], list[dict[str, Any]]]
"""What the callers saw of a side in a case, by round."""


def main() -> None:
    options = parse_options()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])  # what this process starts stays there, unless it is under test
    with tempfile.TemporaryDirectory(dir=options.folder) as name, ExitStack() as stack:
        folder = Path(name)
        print(f"Herding's database is in {folder}")
        sides = list(start_all(stack, folder, options.litellm, core=cores[0]))
        measure_all(sides, rounds=1, seconds=0.5)
        before = rows(folder)
        seen = measure_all(sides, rounds=options.rounds, seconds=options.seconds)
        written = rows(folder) - before
    report(seen, [side.name for side in sides])
    report_rows(seen, written)
    report_expectations(seen)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="for each side and case in a round")
    memory = MEMORY if MEMORY.is_dir() else None
    parser.add_argument("--folder", default=memory, help="for the database; by default in memory where that can be")
    parser.add_argument("--litellm", help="the program of that name, from a virtual environment of its own")
    return parser.parse_args()


def start_all(stack: ExitStack, folder: Path, litellm: str | None, *, core: int) -> Iterator[Side]:
    """The programs to compare, running until `stack` ends; the first is the answering server itself."""

    def start(name: str, command: Sequence[object], *, port: int, token: str = "none", **how: Any) -> Side:
        log = folder / f"{name}.log"
        side = Side(name, f"http://127.0.0.1:{port}", token, stack.enter_context(running(command, log=log, **how)))
        wait_for(side, log)
        return side

    port = free_port()
    direct = start("direct", [sys.executable, HERE / "upstream.py", port], port=port)
    yield direct
    port = free_port()
    yield start("bare", [sys.executable, HERE / "passthrough.py", port, f"{direct.url}/v1"], port=port, core=core)
    port = free_port()
    env, token = herding(folder, direct.url, port)
    yield start("herding", [sys.executable, ROOT / "app.py"], port=port, token=token, core=core, env=env)
    if litellm:
        port, token = free_port(), f"sk-{secrets.token_hex(16)}"
        (folder / "litellm.yaml").write_text(LITELLM.format(url=direct.url, token=token))
        command = [litellm, "--config", folder / "litellm.yaml", "--host", "127.0.0.1", "--num_workers", 1]
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        yield start("litellm", [*command, "--port", port], port=port, token=token, core=core, env=env)


def herding(folder: Path, upstream: str, port: int) -> tuple[dict[str, str], str]:
    """What Herding finds in its environment, and the token of a user."""
    (folder / "nodes.yaml").write_text(NODES.format(url=upstream))
    (folder / "roles.yaml").write_text(ROLES)
    env = {
        "HERDING_HOME": str(folder),
        "HERDING_HOST": "0.0.0.0",
        "HERDING_PORT": str(port),
        "HERDING_NODES": str(folder / "nodes.yaml"),
        "HERDING_ROLES": str(folder / "roles.yaml"),
    }
    command = [sys.executable, "-m", "herding", "token", "create", "--user", "caller", "--role", "caller"]
    made = subprocess.run(command, check=True, cwd=ROOT, env={**ENVIRONMENT, **env}, stdout=subprocess.PIPE, text=True)
    return env, made.stdout.split()[-1]


@contextmanager
def running(
    command: Sequence[object], *, log: Path, core: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process, on a core of its own where one is given; yields its number."""
    with log.open("w") as out:
        words = [str(part) for part in command]
        process = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=out, env={**ENVIRONMENT, **(env or {})})
    if core is not None:
        os.sched_setaffinity(process.pid, [core])
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(side: Side, log: Path) -> None:
    """Returns when the side answers a chat; a minute and a half is LiteLLM's need on a busy machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {side.token}"}
    body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    ends, said = time.monotonic() + 90, ""
    while time.monotonic() < ends:
        try:
            with opener.open(urllib.request.Request(side.url + PATH, body, headers), timeout=5):
                return
        except OSError as error:
            said = str(error)
            time.sleep(0.2)
    sys.exit(f"{side.name} does not answer ({said}). Its log ends with:\n{log.read_text()[-3000:]}")


def measure_all(sides: Sequence[Side], *, rounds: int, seconds: float) -> Seen:
    """All sides in all cases, in turns; every round begins with another side."""
    seen: Seen = {(side.name, case): [] for side in sides for case in CASES}
    for number in range(rounds):
        first = number % len(sides)
        for case in CASES:
            for side in [*sides[first:], *sides[:first]]:
                seen[side.name, case].append(measure(side, case, seconds))
    return seen


def measure(side: Side, case: Case, seconds: float) -> dict[str, Any]:
    command = [sys.executable, HERE / "load.py", side.url + PATH, "--token", side.token, "--seconds", seconds]
    command += ["--callers", case.callers, "--model", case.model, *(["--stream"] if case.stream else [])]
    before = cpu_ms(side.process)
    found = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(found.stdout)
    result["cpu"] = (cpu_ms(side.process) - before) / max(1, result["answered"])
    if result["failed"]:
        print(f"{side.name}, {case.name}: {result['failed']} failed, the first with {result['failure']}")
    return result


def cpu_ms(process: int) -> float:
    """Milliseconds that a process has computed so far."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) * 1000 / os.sysconf("SC_CLK_TCK")


def rows(folder: Path) -> int:
    """Requests in Herding's database that ended well."""
    with closing(sqlite3.connect(f"file:{folder / 'herding.sqlite'}?mode=ro", uri=True, timeout=30)) as database:
        count: int = database.execute("SELECT count(*) FROM request WHERE status = 'succeeded'").fetchone()[0]
    return count


def median(seen: Seen, side: str, case: Case, what: str) -> float:
    return statistics.median(one[what] for one in seen[side, case])


def ratio(seen: Seen, side: str, other: str, case: Case) -> float:
    """How many times the other side's answers a second, the median of all rounds."""
    pairs = zip(seen[side, case], seen[other, case], strict=True)
    return statistics.median(one["rate"] / another["rate"] if another["rate"] else math.inf for one, another in pairs)


def added(seen: Seen, side: str, case: Case, what: str, share: int) -> float:
    """Milliseconds over direct to the `first` word or to `all`, at the median (share 0) or the 99th percentile (1)."""
    pairs = zip(seen[side, case], seen["direct", case], strict=True)
    return statistics.median(one[what][share] - direct[what][share] for one, direct in pairs)


def report(seen: Seen, sides: Sequence[str]) -> None:
    """The table: answers a second with their ratios, then what each side adds to the times."""
    others = [side for side in sides if side not in ("direct", "herding")]
    heads = [*sides, *(f"herding/{side}" for side in others)]
    print()
    line("answers a second", heads)
    for case in CASES:
        rates = [f"{median(seen, side, case, 'rate'):,.0f}" for side in sides]
        line(case.name, [*rates, *(f"{ratio(seen, 'herding', side, case):.2f}" for side in others)])
    print()
    line("ms of computing an answer", sides[1:])
    for case in CASES:
        line(case.name, [f"{median(seen, side, case, 'cpu'):.2f}" for side in sides[1:]])
    for what, cases in (("all", CASES[:3]), ("first", CASES[3:])):
        print()
        line(f"ms over direct to the {'end' if what == 'all' else 'first word'}, p50 / p99", sides[1:])
        for case in cases:
            times = [[added(seen, side, case, what, share) for share in (0, 1)] for side in sides[1:]]
            line(case.name, [f"{middle:.2f} / {worst:.2f}" for middle, worst in times])


def line(name: str, cells: Sequence[str]) -> None:
    print(f"{name:42}" + "".join(f"{cell:>19}" for cell in cells))


def report_rows(seen: Seen, written: int) -> None:
    answered = sum(one["answered"] for (side, _), found in seen.items() if side == "herding" for one in found)
    print(f"\nHerding answered {answered:,} requests and has {written:,} new rows: {verdict(answered == written)}")


def report_expectations(seen: Seen) -> None:
    """What Herding promises of itself."""
    bare = ratio(seen, "herding", "bare", SIXTEEN)
    print(f"at least 0.4 of the bare pass-through with 16 callers: {bare:.2f}, {verdict(bare >= 0.4)}")
    if ("litellm", SIXTEEN) not in seen:
        return
    times = ratio(seen, "herding", "litellm", SIXTEEN)
    print(f"at least 15 times LiteLLM with 16 callers: {times:.1f}, {verdict(times >= 15)}")
    ours, theirs = (added(seen, side, ONE, "all", 0) for side in ("herding", "litellm"))
    print(
        f"adds at most a tenth of LiteLLM with 1 caller: {ours:.2f} of {theirs:.2f} ms, {verdict(ours <= theirs / 10)}"
    )


def verdict(holds: bool) -> str:
    return "holds" if holds else "DOES NOT HOLD"


if __name__ == "__main__":
    main()
