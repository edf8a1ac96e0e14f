"""The files in a run's folder, by name. The standard library alone."""

from __future__ import annotations

WEIGHTS, DESCRIPTION = "last.safetensors", "spec.json"
"""Weights of the last whole epoch; all that is needed to build and feed the model again."""

STATE = "state.safetensors"
"""What a paused run needs beside its weights to go on."""

START, START_DESCRIPTION = "start.safetensors", "start.json"
"""The weights of another run that this one begins with, and that run's description."""
