"""The pictures of a run on a bare page: what is shown of which epoch, and which page's run is followed."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.train.events import EpochDone, Failed, Note, Outputs, PictureSample, Started, to_dict

pytestmark = pytest.mark.browser
ASSETS = Path(__file__).resolve().parents[2] / "assets"
SCRIPTS = (
    "kit.js", "rows.js", "history.js", "charts.js", "confusion.js", "follow.js", "run.js", "predictions.js",
    "learning.js", "pictures.js",
)  # fmt: skip
WIDGET = '<div class="block" id="{id}"><section class="{name}"></section></div>'
PAGE = (
    "<style>:root { --sans: serif; --bar: 0px } img { width: 40px; height: 40px }</style><div id=app>"
    + '<div id="page-unet">' + WIDGET.format(id="unet-pictures", name="pictures")
    + WIDGET.format(id="unet-run", name="run") + "</div>"
    + '<div id="page-classifier">' + WIDGET.format(id="pictures", name="pictures")
    + WIDGET.format(id="run", name="run") + "</div></div>"
)  # fmt: skip
START = """() => {
  const props = value => ({ value });
  for (const block of document.querySelectorAll('.block')) {
    const name = block.firstElementChild.className, server = { poll: asked => window.answer(asked) };
    Explorer[name](block, props(name === 'run' ? { run: null } : { task: 'segmentation' }), () => {}, () => {}, server);
  }
}"""


def picture(shade: int) -> str:
    """A grey picture of 2×2 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes([0, shade, shade] * 2))
    head = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return f"data:image/png;base64,{b64encode(png).decode()}"


STARTED = Started(3, 5, 15, 80, 20, ("sky", "tree_top", "car"), "cpu", 1000, 100, "random")
SAMPLE = PictureSample(
    "segmentation", (picture(1), picture(2)), (picture(3), picture(4)), ("sky", "tree_top", "car"),
    ("#c7d5e4", "#b4583f", "#7b9f8e"),
)  # fmt: skip


def made(epoch: int) -> Outputs:
    per_class = (0.25 * epoch, 0.5, None) if epoch else ()
    return Outputs(epoch, (picture(10 + epoch), picture(20 + epoch)), (0.2 * epoch, 0.1), per_class, 0.04)


def done(epoch: int) -> EpochDone:
    return EpochDone(epoch, 1.0, 1.0, (("accuracy", 0.25 * epoch), ("miou", 0.2 * epoch)), 1.0)


@pytest.fixture
def page(browser) -> Iterator:
    page = browser.new_page(viewport={"width": 900, "height": 900})
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.route("http://page.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto("http://page.test/")
    for name in SCRIPTS:
        page.add_script_tag(content=(ASSETS / name).read_text())
    page.evaluate("window.answer = async () => ({ state: 'gone' })")
    page.evaluate(START)
    yield page
    page.close()
    assert faults == []


def tell(page, *events, run: str = "r", where: str = "unet-pictures") -> None:
    page.evaluate(
        """([events, id, where]) => Explorer.learning.of(document.getElementById(where)).tell({
             id, layers: null, subject: 'resnet18 at 64 px', epochs: 3,
             run: events.reduce(Explorer.history.fold, Explorer.history.empty()) })""",
        [[to_dict(event) for event in (STARTED, *events)], run, where],
    )


def sources(page, row: int = 1) -> list[str | None]:
    cells = page.locator(f"#unet-pictures .row:nth-child({row + 1}) img").all()
    return [cell.get_attribute("src") for cell in cells]


def test_before_a_run_there_are_outlines_and_what_to_press(page):
    assert page.locator("#unet-pictures .row .ghost").count() == 8
    assert "Press Train" in page.inner_text("#unet-pictures .say")
    assert page.locator("#unet-pictures .heads span").all_inner_texts()[1:] == ["Before training", "Now", "True mask"]


def test_the_newest_epoch_stands_beside_before_and_truth(page):
    tell(page, SAMPLE, made(0))
    assert sources(page) == [picture(1), picture(10), None, picture(3)]
    tell(page, SAMPLE, made(0), done(1), made(1), done(2), made(2))
    assert sources(page) == [picture(1), picture(10), picture(12), picture(3)]
    assert sources(page, 2)[2] == picture(22)
    assert (
        page.inner_text("#unet-pictures .sum")
        == "All 20 valid pictures after epoch 2: 50\u202f% of pixels right, mIoU 0.40."
    )
    assert page.get_attribute("#unet-pictures .row:nth-child(2) .cell:nth-child(3)", "aria-label") == (
        "Picture 1, now, after epoch 2: 40\u202f% right. Enlarge."
    )


def test_the_bar_calls_back_any_epoch_and_stays_there_while_more_come(page):
    tell(page, SAMPLE, made(0), done(1), made(1), done(2), made(2))
    page.focus("#unet-pictures .scrub input")
    page.keyboard.press("ArrowLeft")
    assert sources(page)[2] == picture(11) and page.inner_text("#unet-pictures .scrub output") == "after epoch 1 of 3"
    tell(page, SAMPLE, made(0), done(1), made(1), done(2), made(2), done(3), made(3))
    assert sources(page)[2] == picture(11)
    page.keyboard.press("End")
    assert sources(page)[2] == picture(13)


def test_each_class_has_its_colour_and_how_well_it_is_found(page):
    tell(page, SAMPLE, made(0), done(1), made(1), done(2), made(2))
    assert page.locator("#unet-pictures .classes .name").all_inner_texts() == ["sky", "tree top", "car"]
    assert page.locator("#unet-pictures .classes .value").all_inner_texts() == ["0.50", "0.50", "–"]
    assert "after epoch 1 0.250" in page.get_attribute("#unet-pictures .classes li", "title")
    assert "Void, 4\u202f% of the pixels, belongs to no class" in page.inner_text("#unet-pictures .classes .help")


def test_two_pictures_are_laid_over_each_other_and_the_divider_has_keys(page):
    tell(page, SAMPLE, made(0), done(1), made(1))
    page.click("#unet-pictures .row:nth-child(2) .cell:nth-child(3)")
    dialog = page.locator("#unet-pictures dialog")
    assert dialog.locator(".under").get_attribute("src") == picture(11)
    assert dialog.locator(".over").get_attribute("src") == picture(3)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('#unet-pictures .stage').style.getPropertyValue('--x')") == "51%"
    dialog.locator(".side.left .link:has-text('Photo')").click()
    dialog.locator("[aria-label='Next picture']").click()
    assert dialog.locator(".under").get_attribute("src") == picture(2)
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_a_run_that_breaks_off_keeps_what_it_made(page):
    tell(page, SAMPLE, made(0), done(1), made(1), Failed("No more memory.", 1))
    assert page.inner_text("#unet-pictures .say") == "The run failed after epoch 1: the masks that it had made stay."
    assert sources(page)[2] == picture(11)
    tell(page, Failed("No data.", 0), run="next")
    assert page.inner_text("#unet-pictures .say") == "This run ended before it had made a picture."


def test_what_one_has_without_a_network_stands_beside(page):
    sample = PictureSample(
        "super_resolution", (picture(1),), (picture(3),), baseline="bicubic", baselines=(picture(1),),
        baseline_each=(26.94,), baseline_scores=(("psnr", 27.25), ("ssim", 0.8)),
    )  # fmt: skip
    tell(page, sample, Outputs(0, (picture(9),), (8.0,)))
    assert (
        page.inner_text("#unet-pictures .pictures > .help")
        == "Without a network, bicubic: PSNR 27.3\u202fdB, SSIM 0.80."
    )
    assert page.inner_text("#unet-pictures .row .cell:first-child .cap span") == "26.9\u202fdB"
    assert not page.is_visible("#unet-pictures .classes")


def test_each_page_follows_its_own_run(page):
    tell(page, SAMPLE, made(0))
    assert page.locator("#pictures .row .ghost").count() == 8
    tell(page, Note("other"), run="c", where="pictures")
    assert sources(page)[1] == picture(10)


def test_a_reload_finds_the_run_of_each_page_by_its_own_name(page):
    page.evaluate("Explorer.memory('run').remember('a', 'k1'); Explorer.memory('unet-run').remember('b', 'k2')")
    assert page.evaluate("location.hash") == "#run=a&unet-run=b"
    assert page.evaluate("[Explorer.memory('run').recall(), Explorer.memory('unet-run').recall()]") == [
        {"run": "a", "token": "k1"},
        {"run": "b", "token": "k2"},
    ]
    page.evaluate("Explorer.memory('unet-run').forget('b')")
    assert page.evaluate("location.hash") == "#run=a" and page.evaluate("Explorer.memory('unet-run').recall()") is None
