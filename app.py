"""The entry point, on a laptop and on a Hugging Face Space: build the page and launch it."""

from explorer.ui.app import build, launch

demo = build()

if __name__ == "__main__":
    launch(demo)
