"""Pictures of one's own in a real Chromium: dropped, shown, trained on, removed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser
TINY = "?arch=squeezenet1_1&weights=random&size=32&epochs=1&batch_size=8"
GONE = (
    """n => document.querySelectorAll('#upload .other').length < n || document.querySelector('#upload .card').hidden"""
)
SET = {"beagle": 12, "pug": 3, "tabby cat": 6}


@pytest.fixture
def pets(tmp_path) -> Path:
    """A folder with a folder a class, what a Mac adds, and a page that calls itself a picture."""
    noise = np.random.default_rng(0)
    for name, n in SET.items():
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(n):
            picture = Image.fromarray(noise.integers(0, 256, (24, 32, 3), np.uint8))
            picture.save(tmp_path / "pets" / name / f"{i}.png")
    (tmp_path / "pets" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "pets" / "beagle" / "page.png").write_text("<html>")
    return tmp_path / "pets"


@pytest.fixture
def pets_zip(pets, tmp_path) -> Path:
    with zipfile.ZipFile(tmp_path / "my pets.zip", "w") as out:
        for file in sorted(pets.rglob("*")):
            out.write(file, file.relative_to(tmp_path))
    return tmp_path / "my pets.zip"


@pytest.fixture
def masked(tmp_path) -> Path:
    """A folder with pictures, and masks of 0 and 255."""
    noise = np.random.default_rng(1)
    for i in range(6):
        for part, pixels in (("images", (32, 32, 3)), ("masks", (32, 32))):
            folder = tmp_path / "scenes" / part
            folder.mkdir(parents=True, exist_ok=True)
            values = noise.integers(0, 256, pixels, np.uint8)
            Image.fromarray(values if part == "images" else (values > 127).astype(np.uint8) * 255).save(
                folder / f"{i}.png"
            )
    return tmp_path / "scenes"


def choose_own(page, prefix: str = "") -> None:
    """Choose the set that waits for pictures, and wait until its limits are told."""
    page.locator(f"#{prefix}data input").scroll_into_view_if_needed()
    page.click(f"#{prefix}data input")
    page.click(".options li:has-text('Pictures of yours')")
    page.wait_for_function(
        "id => document.querySelector(`#${id} .help`)?.innerText.startsWith('Up to')", arg=f"{prefix}upload"
    )
    page.wait_for_function("atRest()")


def drop(page, *paths: Path, prefix: str = "") -> None:
    """Drop files and folders of this machine on the field, as a person does from a window beside the browser."""
    field = page.locator(f"#{prefix}upload .field-drop")
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, **where, "data": data})
    devtools.detach()


def give(page, button: str, *paths: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.click(f"#upload button:has-text('{button}')")
    chooser.value.set_files([str(path) for path in paths])


def card(page, prefix: str = "", name: str = "") -> str:
    page.wait_for_selector(f"#{prefix}upload .card:not([hidden]) b:has-text('{name}')")
    page.wait_for_function("atRest()")
    return page.inner_text(f"#{prefix}upload .card")


def classes(page) -> dict[str, int]:
    rows = page.locator("#upload .bars tbody tr").all()
    return {row.locator("th").inner_text(): int(row.locator("td").last.inner_text()) for row in rows}


def outputs(page) -> str:
    return page.inner_text("#chips .out")


def kept(app) -> list[Path]:
    return list((app.home / "uploads").rglob("*.png"))


def test_a_dropped_folder_is_shown_trained_on_and_removed(open_page, app, pets):
    page = open_page(TINY)
    choose_own(page)
    assert page.is_hidden("#upload .card") and page.is_hidden("#upload .fault")
    drop(page, pets)
    text = card(page, name="pets")
    assert classes(page) == SET and outputs(page).startswith("3")
    assert "21 pictures · 3 classes" in text and "“beagle” has 12 pictures and “pug” 3" in text and "page.png" in text
    page.click("#go")
    page.wait_for_function("document.querySelector('#run')?.innerText.includes('after 1 epoch')")
    page.wait_for_selector("#go:not([disabled])")
    page.click("#upload button[aria-label='Remove pets']")
    page.wait_for_selector("#upload .card", state="hidden")
    assert kept(app) == []
    page.click("#go")
    page.wait_for_selector("#upload .problem:has-text('Bring pictures first')")


def test_a_zip_and_a_chosen_folder_come_in_and_one_goes_back_to_the_other(open_page, pets, pets_zip):
    page = open_page(TINY)
    choose_own(page)
    give(page, "Choose files", pets_zip)
    assert "21 pictures" in card(page, name="my pets")
    few = [pets / "beagle" / f"{i}.png" for i in range(2)]
    give(page, "Choose a folder", pets)
    card(page, name="pets")
    assert page.inner_text("#upload .others").startswith("my pets")
    page.click("#upload .other")
    assert "21 pictures" in card(page, name="my pets")
    give(page, "Choose files", *few)
    page.wait_for_selector("#upload .fault:not([hidden])")
    assert "has no classes" in page.inner_text("#upload .fault") and outputs(page).startswith("3")
    assert "21 pictures" in card(page, name="my pets")
    page.reload()
    page.wait_for_selector("html[data-opened] #tree tbody tr")
    choose_own(page)
    assert "21 pictures" in card(page, name="pets")
    while page.is_visible("#upload .card"):
        before = page.locator("#upload .other").count()
        page.click("#upload .card button.icon")
        page.wait_for_function(GONE, arg=before)


@pytest.mark.parametrize("file", [b"PK\3\4 broken", b"no zip at all"])
def test_what_is_refused_says_so_at_the_field(file, open_page, tmp_path):
    (tmp_path / "bad.zip").write_bytes(file)
    page = open_page(TINY)
    choose_own(page)
    drop(page, tmp_path / "bad.zip")
    page.wait_for_selector("#upload .fault:not([hidden])")
    assert "“bad.zip” is" in page.inner_text("#upload .fault") and page.is_hidden("#upload .card")
    assert page.get_attribute("#upload .upload", "aria-busy") is None


def test_more_than_the_limit_is_refused_before_it_is_sent(open_page, tmp_path):
    with (tmp_path / "large.bmp").open("wb") as file:
        file.truncate(201_000_000)
    page = open_page(TINY)
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    choose_own(page)
    sent.clear()
    drop(page, tmp_path / "large.bmp")
    page.wait_for_selector("#upload .fault:not([hidden])")
    assert "201 MB are too much, 200 MB at most" in page.inner_text("#upload .fault") and sent == []


def test_sending_can_be_cancelled_and_begun_again(open_page, app, pets):
    page = open_page(TINY)
    choose_own(page)
    held = []
    page.route("**/gradio_api/upload", lambda route: held.append(route))
    drop(page, pets)
    page.wait_for_selector("#upload .work:not([hidden])")
    page.wait_for_function("atRest()")
    assert len(held) == 1 and page.get_attribute("#upload .upload", "aria-busy") == "true"
    page.click("#upload button:has-text('Cancel')")
    page.wait_for_selector("#upload .work", state="hidden")
    page.unroute("**/gradio_api/upload")
    assert page.is_hidden("#upload .fault") and page.is_hidden("#upload .card") and kept(app) == []
    drop(page, pets)
    card(page, name="pets")
    page.click("#upload .card button.icon")
    page.wait_for_selector("#upload .card", state="hidden")


def test_a_connection_that_breaks_is_told(open_page, pets):
    page = open_page(TINY)
    choose_own(page)
    page.route("**/gradio_api/upload", lambda route: route.fulfill(status=500, body="no"))
    drop(page, pets)
    page.wait_for_selector("#upload .fault:not([hidden])")
    assert "did not arrive" in page.inner_text("#upload .fault") and page.is_hidden("#upload .work")
    open_page.faults.clear()  # Chromium writes the answer 500 to the console


def test_another_browser_does_not_see_them(open_page, pets):
    page, other = open_page(TINY), open_page(TINY)
    choose_own(page)
    drop(page, pets)
    card(page)
    choose_own(other)
    assert other.is_hidden("#upload .card") and other.locator("#upload .other").count() == 0
    page.click("#upload .card button.icon")
    page.wait_for_selector("#upload .card", state="hidden")


def test_masks_come_in_on_the_unet_page(open_page, masked):
    page = open_page("?family=unet&arch=squeezenet1_1&weights=random&size=32&epochs=1", wait=False)
    page.wait_for_selector("html[data-opened] #unet-go")
    page.wait_for_function("atRest()")
    choose_own(page, "unet-")
    drop(page, masked, prefix="unet-")
    text = card(page, "unet-", "scenes")
    assert "6 pictures · 2 classes" in text and "0:0,255:1" in text
    assert page.locator("#unet-n_out input").first.input_value() == "2"
    page.click("#unet-upload .card button.icon")
    page.wait_for_selector("#unet-upload .card", state="hidden")


def test_the_drop_zone_is_reached_and_used_with_the_keyboard(open_page, pets):
    page = open_page(TINY)
    choose_own(page)
    page.on("filechooser", lambda chooser: chooser.set_files(str(pets)))
    page.focus("#upload button:has-text('Choose files')")
    page.wait_for_function("atRest()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Choose a folder"
    page.keyboard.press("Enter")
    card(page, name="pets")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove pets"
    page.keyboard.press("Enter")
    page.wait_for_selector("#upload .card", state="hidden")
