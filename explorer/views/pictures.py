"""What the pictures of a run are told about the page's model; all else they hear from the run itself."""

from __future__ import annotations

from explorer.spec import UnetSpec

SEGMENTATION_TAB, PICTURES_TAB = "Masks", "Pictures"


def pictures(spec: UnetSpec) -> dict:
    """The value of `Explorer.pictures` (assets/pictures.js): which task is meant, so that outlines have its names."""
    return {"task": spec.task}


def tab_title(task: str) -> str:
    """What the tab of the pictures is called."""
    return SEGMENTATION_TAB if task == "segmentation" else PICTURES_TAB
