"""Figures of the machine."""

from __future__ import annotations

from herding.engine.system import SystemMonitor, parse_nvidia_smi


def test_what_nvidia_smi_says_is_read_as_bytes_and_percent():
    text = "NVIDIA A10G, 23028, 512, 7\nNVIDIA A10G, 23028, [N/A], [N/A]\n"
    assert parse_nvidia_smi(text) == [
        {"name": "NVIDIA A10G", "memory_total": 23028 * 2**20, "memory_used": 512 * 2**20, "utilisation": 7},
        {"name": "NVIDIA A10G", "memory_total": 23028 * 2**20, "memory_used": None, "utilisation": None},
    ]


def test_figures_are_there_from_the_start():
    figures = SystemMonitor().metrics
    assert 0 < figures["memory_used"] < figures["memory_total"]
    assert 0 < figures["disk_used"] <= figures["disk_total"]
    assert figures["process_memory"] > 0
    assert figures["gpus"] == []
