"""Colours, fonts and sizes of the light and dark theme; only system fonts."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

ASSETS = Path(__file__).parents[1] / "assets"
LOGO = (ASSETS / "herding.svg").read_text(encoding="utf-8").strip()
HEAD = '<meta name="color-scheme" content="light dark">'

_SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Helvetica Neue", "Arial", "sans-serif"]
_MONO = [
    "ui-monospace",
    "SF Mono",
    "Cascadia Code",
    "JetBrains Mono",
    "DejaVu Sans Mono",
    "Menlo",
    "Consolas",
    "monospace",
]

GREEN = gr.themes.Color(
    c50="#edf5f1", c100="#d6e8df", c200="#aed2c2", c300="#83baa5", c400="#579e86", c500="#35806a",
    c600="#236553", c700="#1d5445", c800="#184438", c900="#12352c", c950="#0b231d", name="green",
)  # fmt: skip
SAND = gr.themes.Color(
    c50="#fdfbf6", c100="#f7f2e8", c200="#ece4d4", c300="#dcd1bc", c400="#a89e8a", c500="#7c7464",
    c600="#5f594c", c700="#474339", c800="#2f2c26", c900="#211f1b", c950="#171613", name="sand",
)  # fmt: skip


def herding_theme() -> gr.themes.Base:
    """Return the theme for what Gradio draws itself; the rest is in `style.css`."""
    base = gr.themes.Base(
        primary_hue=GREEN,
        secondary_hue=GREEN,
        neutral_hue=SAND,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=_SANS,
        font_mono=_MONO,
    )
    return base.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="#191b19",
        background_fill_primary="*neutral_50",
        background_fill_primary_dark="#212421",
        background_fill_secondary="*neutral_200",
        background_fill_secondary_dark="#2a2e2a",
        block_background_fill="*neutral_50",
        block_background_fill_dark="#212421",
        block_border_width="1px",
        block_border_width_dark="1px",
        block_border_color="*neutral_300",
        block_border_color_dark="#3a3f3a",
        border_color_primary="*neutral_300",
        border_color_primary_dark="#3a3f3a",
        block_shadow="none",
        block_shadow_dark="none",
        layout_gap="14px",
        color_accent="*primary_600",
        body_text_color="*neutral_900",
        body_text_color_dark="#ece8dc",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="#b3b0a2",
    )
