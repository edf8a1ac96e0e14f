"""Gradio's theme, told to use our tokens (assets/style.css) for everything it lets a theme set."""

from __future__ import annotations

import gradio as gr

SANS = ("-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

TOKENS = {
    "body_background_fill": "var(--paper)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--ink3)",
    "body_text_size": "13px",
    "background_fill_primary": "var(--lift)",
    "background_fill_secondary": "var(--well)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--ink)",
    "color_accent": "var(--ink)",
    "color_accent_soft": "var(--well)",
    "block_background_fill": "transparent",
    "block_border_width": "0px",
    "block_padding": "0px",
    "block_shadow": "none",
    "block_radius": "0px",
    "block_title_text_color": "var(--ink)",
    "block_title_text_weight": "600",
    "block_title_text_size": "13px",
    "block_info_text_color": "var(--ink3)",
    "block_info_text_size": "12px",
    "input_background_fill": "var(--lift)",
    "input_background_fill_focus": "var(--lift)",
    "input_border_color": "var(--line)",
    "input_border_color_focus": "var(--ink2)",
    "input_border_width": "1px",
    "input_padding": "0 10px",
    "input_radius": "8px",
    "input_text_size": "13px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "slider_color": "var(--ink2)",
    "layout_gap": "0px",
    "form_gap_width": "0px",
    "section_header_text_size": "13px",
    "section_header_text_weight": "600",
    "button_large_radius": "8px",
    "button_large_text_size": "13px",
    "button_large_text_weight": "600",
    "button_large_padding": "0 16px",
    "button_primary_background_fill": "var(--ink)",
    "button_primary_background_fill_hover": "var(--ink2)",
    "button_primary_text_color": "var(--paper)",
    "button_secondary_background_fill": "var(--well)",
    "button_secondary_background_fill_hover": "var(--line)",
    "button_secondary_text_color": "var(--ink)",
    "checkbox_label_gap": "0px",
}


def theme() -> gr.themes.Base:
    """Plain font names, so that no font is fetched; each key and its dark twin hold the same token."""
    base = gr.themes.Base(font=SANS, font_mono=MONO, text_size="sm", spacing_size="sm", radius_size="md")
    dark = {f"{key}_dark": token for key, token in TOKENS.items() if hasattr(base, f"{key}_dark")}
    return base.set(**TOKENS, **dark)
