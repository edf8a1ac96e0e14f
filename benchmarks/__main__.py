"""`make bench`: one table of ratios against peers run in the same process order, with machine, versions and spread.

python -m benchmarks [--quick] [--only describe,page,load,training,memory,unet,width_cap,camvid] [--out FILE]
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MODULES = ("describe", "page", "load", "training", "memory", "unet", "width_cap", "camvid")
COLUMNS = ("what", "ours", "peer", "peer's", "ratio", "to reach")
PLACE = Path(__file__).parent / "results.md"


def main(arguments: list[str] | None = None) -> int:
    """Run the modules, print the table, write it beside this file (or to --out); 1 where a module failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats; under three minutes")
    parser.add_argument("--only", default=",".join(MODULES), help="modules, separated by commas")
    parser.add_argument("--out", type=Path, default=PLACE, help="where the table is written")
    options = parser.parse_args(arguments)
    lines, failed = [*heading(options.quick)], []
    for line in lines:
        print(line, flush=True)
    for line in table(options.only.split(","), options.quick, failed):
        print(line, flush=True)
        lines.append(line)
    options.out.write_text("\n".join(lines) + "\n")
    return 1 if failed else 0


def heading(quick: bool) -> Iterator[str]:
    """The machine, the versions and the day: without them a figure means nothing."""
    import gradio
    import torch
    import torchvision

    versions = f"Python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}"
    yield f"{time.strftime('%Y-%m-%d')}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, " + (
        f"{versions}, gradio {gradio.__version__}{', quick' if quick else ''}. Medians; smaller is better unless said."
    )
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "| --- | ---: | --- | ---: | ---: | --- |"


def table(modules: list[str], quick: bool, failed: list[str]) -> Iterator[str]:
    """A line a measurement; a module that cannot run here says why in its line, one whose check fails is put down."""
    for name in modules:
        try:
            for what, ours, peer, theirs, reach in importlib.import_module(f"benchmarks.{name}").rows(quick):
                ratio = f"{ours / theirs:.2f}×" if theirs else ""
                yield f"| {what} | {ours:.4g} | {peer} | {f'{theirs:.4g}' if theirs else ''} | {ratio} | {reach} |"
        except (ImportError, FileNotFoundError, RuntimeError) as error:
            if isinstance(error, RuntimeError):
                failed.append(name)
            yield f"| {name} | | {str(error).splitlines()[0]} | | | |"


if __name__ == "__main__":
    sys.exit(main())
