"""The entry point, on a laptop and on a Hugging Face Space: build the page and launch it."""

import os

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401  (it must come before torch)

from explorer.ui.app import build, launch  # noqa: E402

demo = build()

if __name__ == "__main__":
    launch(demo)
