"""Measures the cost of a chat completion through Herding beside other gateways, all in one run.

All sides stand in front of one upstream server and are measured in turns, round by round: the upstream, a bare
Starlette pass-through, Herding, and optionally another checkout of Herding, MLflow's gateway and LiteLLM's proxy. The
programs under test have one core, the callers and the upstream the other, so the ratios say more than the absolute
numbers. Herding runs as a user starts it: access token, limits, routing and a durable row for every request, in a
database below `--folder` (a folder on a disk; `/dev/shm` keeps it in memory).

python benchmarks/gateway.py [--base CHECKOUT] [--mlflow .../bin/mlflow] [--litellm .../bin/litellm]
                             [--rounds 5] [--seconds 2] [--folder .] [--cases 50]
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PATH = "/v1/chat/completions"
OWN_VARIABLES = ("HERDING_", "DATABASE_URL", "SPACE_ID", "SYSTEM")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
"""The environment of the programs, without anything that leads Herding to the data of this machine's owner."""

NODES = """
nodes:
  - kind: openai
    name: upstream
    base_url: {url}/v1
    models: [fast, slow, paced]
"""
ROLES = """
roles:
  guest:
    description: No rights.
  admin:
    description: The operator, who creates the token.
    allow_nodes: ["*"]
    allow_prompts: ["*"]
    allow_api_paths: ["*"]
    allow_tabs: ["*"]
    rights: ["*"]
  caller:
    description: Sends chats and never reaches the limits.
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
  - model_name: slow
    litellm_params: {{model: openai/slow, api_base: "{url}/v1", api_key: none}}
  - model_name: paced
    litellm_params: {{model: openai/paced, api_base: "{url}/v1", api_key: none}}
litellm_settings: {{telemetry: false, turn_off_message_logging: true}}
general_settings: {{master_key: "{token}"}}
"""
MLFLOW_ENDPOINT = """
  - name: {model}
    endpoint_type: llm/v1/chat
    model:
      provider: openai
      name: {model}
      config: {{openai_api_key: none, openai_api_base: "{url}/v1"}}
"""


@dataclass(frozen=True)
class Side:
    """A program under test; `folder` is the home of a Herding."""

    name: str
    url: str
    token: str
    process: int
    folder: Path | None = None


@dataclass(frozen=True)
class Case:
    """A load: so many callers, each with one request at a time."""

    name: str
    callers: int
    model: str = "fast"
    stream: bool = field(default=False)


CASES = (
    Case("0 ms, 1 caller", 1),
    Case("0 ms, 16 callers", 16),
    Case("0 ms, 64 callers", 64),
    Case("50 ms, 1 caller", 1, "slow"),
    Case("50 ms, 16 callers", 16, "slow"),
    Case("50 ms, 64 callers", 64, "slow"),
    Case("stream 0 ms, 16 callers", 16, stream=True),
    Case("stream 50 + 10 ms, 1 caller", 1, "paced", stream=True),
    Case("stream 50 + 10 ms, 64 callers", 64, "paced", stream=True),
)

Results = dict[tuple[str, Case], list[dict[str, Any]]]
"""The measured numbers of a side in a case, one a round."""


def main() -> None:
    options = parse_options()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])  # child processes inherit this, unless they are under test
    cases = [case for case in CASES if options.cases in case.name]
    with tempfile.TemporaryDirectory(dir=options.folder) as name, ExitStack() as stack:
        folder = Path(name).resolve()
        print(f"Herding's database is in {folder}")
        sides = list(start_sides(stack, folder, options, core=cores[0]))
        homes = {side.name: side.folder for side in sides if side.folder}
        measure_all(sides, cases, rounds=1, seconds=0.5)
        before = {name: count_rows(home) for name, home in homes.items()}
        results = measure_all(sides, cases, rounds=options.rounds, seconds=options.seconds)
        written = {name: count_rows(home) - before[name] for name, home in homes.items()}
    report(results, [side.name for side in sides], cases)
    report_rows(results, written)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="another checkout of Herding to compare with")
    parser.add_argument("--mlflow", help="the mlflow program of a virtual environment of its own")
    parser.add_argument("--litellm", help="the litellm program of a virtual environment of its own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="for each side and case in a round")
    parser.add_argument("--folder", default=".", help="a folder for the databases")
    parser.add_argument("--cases", default="", help="run only the cases with this text in their name")
    return parser.parse_args()


def start_sides(stack: ExitStack, folder: Path, options: argparse.Namespace, *, core: int) -> Iterator[Side]:
    """Start the programs; they run until `stack` closes. The first is the upstream itself."""

    def start(
        name: str, command: Sequence[object], *, port: int, token: str = "none", home: Path | None = None, **how: Any
    ) -> Side:
        log = folder / f"{name}.log"
        process = stack.enter_context(running(command, log=log, **how))
        side = Side(name, f"http://127.0.0.1:{port}", token, process, home)
        wait_for(side, log)
        return side

    port = free_port()
    direct = start("direct", [sys.executable, HERE / "upstream.py", port], port=port)
    yield direct
    port = free_port()
    yield start("bare", [sys.executable, HERE / "passthrough.py", port, f"{direct.url}/v1"], port=port, core=core)
    for name, checkout in (("herding", ROOT), ("base", options.base)):
        if checkout:
            port, home = free_port(), folder / name
            env, token = configure(home, checkout, direct.url, port)
            command = [sys.executable, checkout.resolve() / "app.py"]
            yield start(name, command, port=port, token=token, home=home, core=core, env=env, cwd=checkout)
    if options.mlflow:
        port, config = free_port(), folder / "mlflow.yaml"
        models = ("fast", "slow", "paced")
        config.write_text(
            "endpoints:" + "".join(MLFLOW_ENDPOINT.format(url=direct.url, model=model) for model in models)
        )
        command = [options.mlflow, "gateway", "start", "--config-path", config, "--port", port, "--workers", 1]
        env = {
            "PATH": f"{Path(options.mlflow).parent}:{os.environ['PATH']}",
            "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "0",
        }
        yield start("mlflow", command, port=port, core=core, env=env)
    if options.litellm:
        port, token = free_port(), f"sk-{secrets.token_hex(16)}"
        (folder / "litellm.yaml").write_text(LITELLM.format(url=direct.url, token=token))
        command = [options.litellm, "--config", folder / "litellm.yaml", "--host", "127.0.0.1", "--num_workers", 1]
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        yield start("litellm", [*command, "--port", port], port=port, token=token, core=core, env=env)


def configure(home: Path, checkout: Path, upstream: str, port: int) -> tuple[dict[str, str], str]:
    """Return the environment of a Herding and the token of a user of it."""
    home.mkdir()
    (home / "nodes.yaml").write_text(NODES.format(url=upstream))
    (home / "roles.yaml").write_text(ROLES)
    env = {
        "HERDING_HOME": str(home),
        "HERDING_HOST": "0.0.0.0",
        "HERDING_PORT": str(port),
        "HERDING_NODES": str(home / "nodes.yaml"),
        "HERDING_ROLES": str(home / "roles.yaml"),
    }
    command = [sys.executable, "-m", "herding", "token", "create", "--user", "caller", "--role", "caller"]
    made = subprocess.run(
        command, check=True, cwd=checkout, env={**ENVIRONMENT, **env}, stdout=subprocess.PIPE, text=True
    )
    return env, made.stdout.split()[-1]


@contextmanager
def running(
    command: Sequence[object],
    *,
    log: Path,
    core: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Iterator[int]:
    """Run a process, on a core of its own where one is given, and yield its id."""
    with log.open("w") as out:
        words = [str(part) for part in command]
        process = subprocess.Popen(words, cwd=cwd, stdout=out, stderr=out, env={**ENVIRONMENT, **(env or {})})
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
    """Return when the side completes a chat, at most 90 seconds later."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {side.token}"}
    body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    ends, problem = time.monotonic() + 90, ""
    while time.monotonic() < ends:
        try:
            with opener.open(urllib.request.Request(side.url + PATH, body, headers), timeout=5):
                return
        except OSError as error:
            problem = str(error)
            time.sleep(0.2)
    sys.exit(f"{side.name} does not respond ({problem}). Its log ends with:\n{log.read_text()[-3000:]}")


def measure_all(sides: Sequence[Side], cases: Sequence[Case], *, rounds: int, seconds: float) -> Results:
    """Measure all sides in all cases in turns; every round begins with another side."""
    results: Results = {(side.name, case): [] for side in sides for case in cases}
    for number in range(rounds):
        first = number % len(sides)
        for case in cases:
            for side in [*sides[first:], *sides[:first]]:
                results[side.name, case].append(measure(side, case, seconds))
    return results


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
    """Return the CPU time of a process and its children so far, in milliseconds."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) * 1000 / os.sysconf("SC_CLK_TCK") + sum(cpu_ms(int(child)) for child in children)


def count_rows(home: Path) -> int:
    """Count the succeeded requests in a Herding's database."""
    with closing(sqlite3.connect(f"file:{home / 'herding.sqlite'}?mode=ro", uri=True, timeout=30)) as database:
        count: int = database.execute("SELECT count(*) FROM request WHERE status = 'succeeded'").fetchone()[0]
    return count


def median(results: Results, side: str, case: Case, key: str) -> float:
    return statistics.median(one[key] for one in results[side, case])


def ratio(results: Results, side: str, other: str, case: Case) -> float:
    """Return the ratio of responses per second of two sides, the median of all rounds."""
    pairs = zip(results[side, case], results[other, case], strict=True)
    return statistics.median(one["rate"] / another["rate"] if another["rate"] else math.inf for one, another in pairs)


def added(results: Results, side: str, case: Case, key: str, share: int) -> float:
    """Return the milliseconds added to the `first` word or to `all`, at the median (share 0) or p99 (1)."""
    pairs = zip(results[side, case], results["direct", case], strict=True)
    return statistics.median(one[key][share] - direct[key][share] for one, direct in pairs)


def report(results: Results, sides: Sequence[str], cases: Sequence[Case]) -> None:
    """Print the tables: responses per second with their ratios, CPU time, added latency."""
    others = [side for side in sides if side not in ("direct", "herding")]
    print()
    line("responses per second", [*sides, *(f"herding/{side}" for side in others)])
    for case in cases:
        rates = [f"{median(results, side, case, 'rate'):,.0f}" for side in sides]
        line(case.name, [*rates, *(f"{ratio(results, 'herding', side, case):.2f}" for side in others)])
    print()
    line("CPU per response, ms", sides[1:])
    for case in cases:
        line(case.name, [f"{median(results, side, case, 'cpu'):.2f}" for side in sides[1:]])
    for key, streams in (("all", False), ("first", True)):
        print()
        line(f"ms added to the {'first event' if streams else 'response'}, p50 / p99", sides[1:])
        for case in cases:
            if case.stream is streams:
                times = [[added(results, side, case, key, share) for share in (0, 1)] for side in sides[1:]]
                line(case.name, [f"{middle:.2f} / {worst:.2f}" for middle, worst in times])


def line(name: str, cells: Sequence[str]) -> None:
    print(f"{name:42}" + "".join(f"{cell:>17}" for cell in cells))


def report_rows(results: Results, written: Mapping[str, int]) -> None:
    """Compare the responses of each Herding with the rows in its database."""
    print()
    for name, count in written.items():
        total = sum(one["answered"] for (side, _), found in results.items() if side == name for one in found)
        print(f"{name}: {total:,} responses, {count:,} new rows: {'equal' if total == count else 'NOT EQUAL'}")


if __name__ == "__main__":
    main()
