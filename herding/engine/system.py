"""Measures CPU, memory, disk and GPUs of the machine."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

_INTERVAL_SECONDS = 1.0
_QUERY = ("name", "memory.total", "memory.used", "utilization.gpu")


_SHARE = 0.7
"""The share of the machine's memory, or of its GPUs', that models may take together."""

_CGROUP = Path("/sys/fs/cgroup")


def memory_budget() -> int:
    """Return the bytes that all models may take together, where nothing else is set."""
    program = shutil.which("nvidia-smi")
    gpus = _query_nvidia_smi(program) if program else []
    on_gpus = sum(gpu["memory_total"] or 0 for gpu in gpus)
    return int((on_gpus or min(psutil.virtual_memory().total, _container_limit() or 2**63)) * _SHARE)


def free_memory() -> int:
    """Return the bytes that are free on the machine and in the container."""
    free = psutil.virtual_memory().available
    limit, used = _container_limit(), _read_number(_CGROUP / "memory.current")
    return min(free, max(0, limit - used)) if limit and used else free


def _container_limit() -> int | None:
    return _read_number(_CGROUP / "memory.max")


def _read_number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


class SystemMonitor:
    """Measures the machine once a second in a thread. Sizes are in bytes, shares in percent."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._nvidia_smi = shutil.which("nvidia-smi")
        self._metrics = self._measure(gpus=[])

    @property
    def metrics(self) -> dict[str, Any]:
        """The latest metrics."""
        return self._metrics

    async def watch(self) -> None:
        """Measure repeatedly; runs as long as the engine."""
        while True:
            with suppress(OSError, psutil.Error):  # a failed measurement is repeated in a second
                gpus = await asyncio.to_thread(self._gpus)
                self._metrics = await asyncio.to_thread(self._measure, gpus=gpus)
            await asyncio.sleep(_INTERVAL_SECONDS)

    def _measure(self, gpus: list[dict[str, Any]]) -> dict[str, Any]:
        memory, swap, disk = psutil.virtual_memory(), psutil.swap_memory(), psutil.disk_usage(str(Path.cwd()))
        return {
            "cpu_percent": psutil.cpu_percent(interval=None),
            "load_1m": psutil.getloadavg()[0],
            "memory_total": memory.total,
            "memory_used": memory.total - memory.available,
            "swap_total": swap.total,
            "swap_used": swap.used,
            "disk_total": disk.total,
            "disk_used": disk.used,
            "process_memory": self._process.memory_info().rss,
            "gpus": gpus,
        }

    def _gpus(self) -> list[dict[str, Any]]:
        """Return the GPUs from nvidia-smi or, once it is imported, from torch; `utilisation` is None if unknown."""
        if self._nvidia_smi is not None:
            return _query_nvidia_smi(self._nvidia_smi)
        torch = sys.modules.get("torch")
        cuda = getattr(torch, "cuda", None)
        return _query_torch(cuda) if cuda is not None and cuda.is_initialized() else []


def parse_nvidia_smi(text: str) -> list[dict[str, Any]]:
    """Parse the output of nvidia-smi: one GPU per line, sizes in MiB; '[N/A]' becomes None."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]
    return [
        {
            "name": name,
            "memory_total": _scaled(total, 2**20),
            "memory_used": _scaled(used, 2**20),
            "utilisation": _scaled(utilisation, 1),
        }
        for name, total, used, utilisation in rows
    ]


def _query_nvidia_smi(program: str) -> list[dict[str, Any]]:
    command = [program, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
        return parse_nvidia_smi(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def _query_torch(cuda: Any) -> list[dict[str, Any]]:
    gpus = []
    for index in range(cuda.device_count()):
        free, total = cuda.mem_get_info(index)
        name = cuda.get_device_name(index)
        gpus.append({"name": name, "memory_total": total, "memory_used": total - free, "utilisation": None})
    return gpus


def _scaled(text: str, unit: int) -> int | None:
    return int(text) * unit if text.isdigit() else None
