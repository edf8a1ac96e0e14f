"""What a picture becomes inside, in a real Chromium: maps, histogram, own photos, what a cell sees, ImageNet labels."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

from explorer import link
from explorer.trace.tracer import trace
from explorer.ui.activations_desk import as_input, network_of, read_photo

pytestmark = pytest.mark.browser
LINK = "?weights=random&arch=resnet18&size=64"
TILES = "#activations .strip .tile"
LARGE = "#activations .large:not([hidden])"


def opened(open_page, query=LINK, **options):
    page = open_page(query, **options)
    page.click("#tab-activations-button")
    page.wait_for_selector(TILES)
    page.wait_for_selector("#activations .lead .frame:visible")
    page.wait_for_function("atRest()")
    return page


def wait_for(page, selector: str, words: str) -> None:
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)", arg=[selector, words]
    )


def pick(page, name: str) -> None:
    """A stage, by its part of the ribbon."""
    page.click(f"#ribbon .spot:has-text('{name}')")
    page.wait_for_function("atRest()")


def figures(page) -> dict[str, str]:
    pairs = page.locator("#activations .beside .figures > div")
    return {pair.locator("dt").inner_text(): pair.locator("dd").inner_text() for pair in pairs.all()}


def picture(colour: str) -> dict:
    file = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(file, "PNG")
    return {"name": f"{colour}.png", "mimeType": "image/png", "buffer": file.getvalue()}


@torch.no_grad()
def stem_output() -> torch.Tensor:
    """Of the cat, behind the first ReLU: (64, 32, 32)."""
    spec = link.decode(LINK).spec
    model, _ = network_of(spec, trace(spec))
    return model[0][:3](as_input(spec, read_photo({"sample": "cat"})))[0]


# ---- a layer ----


def test_the_layer_to_begin_with_has_its_maps_and_figures(open_page):
    page, out = opened(open_page), stem_output()
    dead = int((out.flatten(1).amax(1) == out.flatten(1).amin(1)).sum())
    said = figures(page)
    assert page.inner_text("#activations .beside h2 span") == "ReLU"
    assert said["shape"] == "64×32×32" and said["dead"] == f"{100 * dead / 64:.0f}\u202f%"
    assert float(said["mean"]) == pytest.approx(out.mean().item(), rel=0.01)
    assert float(said["std"]) == pytest.approx(out.std().item(), rel=0.01)
    assert float(said["range"].split(" to ")[1]) == pytest.approx(out.max().item(), rel=0.01)
    first = page.locator(TILES).first.get_attribute("aria-label")
    assert int(re.search(r"channel (\d+)", first)[1]) == int(out.square().mean((1, 2)).argmax())
    assert page.locator(TILES).count() == 48
    assert page.inner_text("#activations .main > .hint").startswith("48 of 64 channels, the most energetic first")


def test_the_histogram_says_how_many_values_are_zero(open_page):
    page, out = opened(open_page), stem_output()
    label = page.get_attribute("#activations .values .canvas", "aria-label")
    assert label.startswith(f"Histogram of relu: values from 0 to {out.max().item():.3g}")
    bars, cut = page.locator("#activations .values rect.count"), out.max().item() / 40
    assert bars.count() > 10
    share = int(page.text_content("#activations .values svg text >> nth=0").split("\u202f")[0])
    assert 100 * (out == 0).float().mean().item() <= share <= 100 * (out <= 2 * cut).float().mean().item()


def test_a_layer_picked_in_the_ribbon_is_the_one_that_is_shown(open_page):
    page = opened(open_page)
    pick(page, "layer3")
    wait_for(page, "#activations .beside h2", "layer3")
    assert figures(page)["shape"] == "256×4×4"
    assert page.locator(f"{TILES}").count() == 48
    page.click("#ribbon .spot:has-text('flatten')")
    page.wait_for_selector("#activations .strip .bars i")
    assert figures(page)["numbers"] == "1024"


def test_the_line_across_the_network_picks_a_layer(open_page):
    page = opened(open_page)
    page.focus("#activations .main .network .canvas")
    page.keyboard.press("End")
    last = page.inner_text("#activations .main .network .help")
    assert "(Linear): mean" in last
    page.keyboard.press("Enter")
    wait_for(page, "#activations .beside h2", last.split(" (")[0])
    assert figures(page)["numbers"] == "37"


# ---- a channel ----


def test_a_channel_is_enlarged_below_the_strip_and_closed_by_key(open_page):
    page = opened(open_page)
    page.locator(TILES).nth(2).click()
    page.wait_for_selector(LARGE)
    channel = page.locator(TILES).nth(2).get_attribute("aria-label").split(",")[0]
    assert page.inner_text(f"{LARGE} .words b").lower() == channel
    page.click(f"{LARGE} button[aria-label='The next one']")
    assert page.locator(TILES).nth(3).get_attribute("aria-pressed") == "true"
    assert page.locator(f"{TILES}[aria-pressed=true]").count() == 1
    page.click(f"{LARGE} .map", position={"x": 3, "y": 3})
    wait_for(page, f"{LARGE} .sees", "The cell in row 0, column 0 sees rows 0 to 3 and columns 0 to 3.")
    page.keyboard.press("Escape")
    page.wait_for_selector(LARGE, state="detached")
    assert page.evaluate("document.activeElement.className").startswith("tile")


def test_another_layer_closes_the_enlarged_channel(open_page):
    page = opened(open_page)
    page.locator(TILES).first.click()
    page.wait_for_selector(LARGE)
    pick(page, "layer3")
    wait_for(page, "#activations .beside h2", "layer3")
    assert page.locator(LARGE).count() == 0


def test_a_run_is_stopped_while_a_channel_is_enlarged(open_page):
    page = opened(open_page, f"{LINK}&epochs=50")
    page.locator(TILES).first.click()
    page.wait_for_selector(LARGE)
    page.click("#go")
    page.wait_for_selector("#activations .during .maps .row.soon .ghost")
    assert page.locator("#activations .during .maps .name:visible").all_inner_texts() == ["before", "epoch 1"]
    assert page.is_visible(LARGE)
    page.click("#halt")
    page.wait_for_selector("#go:not([disabled])")


# ---- pictures ----


def test_ones_own_photo_goes_through_the_network(open_page):
    page = opened(open_page)
    before = figures(page)
    page.set_input_files("#activations .own input", picture("red"))
    page.wait_for_selector("#activations .thumb[aria-label='your photo'][aria-pressed=true]")
    page.wait_for_function(
        "std => [...document.querySelectorAll('#activations .beside dd')].every(dd => dd.innerText !== std)",
        arg=before["std"],
    )
    page.wait_for_function("atRest()")
    middle = page.evaluate(
        """() => {
          const photo = document.querySelector('#activations .lead .frame img');
          const pen = document.createElement('canvas').getContext('2d');
          pen.drawImage(photo, 0, 0, 9, 9);
          return [...pen.getImageData(4, 4, 1, 1).data];
        }"""
    )
    assert middle[0] > 240 and max(middle[1:3]) < 20
    page.click("#activations .thumb[aria-label='Sample: cat']")
    page.wait_for_function(
        "std => [...document.querySelectorAll('#activations .beside dd')].some(dd => dd.innerText === std)",
        arg=before["std"],
    )


def test_a_file_that_is_no_picture_is_refused_and_the_former_stays(open_page):
    page = opened(open_page)
    before = figures(page)
    page.set_input_files(
        "#activations .own input", {"name": "cat.png", "mimeType": "image/png", "buffer": b"not a picture"}
    )
    wait_for(page, "#activations .photos .problem", "This browser cannot read that file as a picture")
    assert "choose a PNG, JPEG or WebP" in page.inner_text("#activations .photos .problem")
    assert figures(page) == before
    page.set_input_files("#activations .own input", picture("blue"))
    page.wait_for_selector("#activations .photos .problem", state="hidden")


# ---- what a cell sees ----


@pytest.mark.parametrize(("part", "side"), [("stem", 7), ("layer1", 43)])
def test_what_a_cell_sees_is_boxed_on_the_ribbons_photo(open_page, part, side):
    page = open_page(LINK)
    page.wait_for_function("atRest()")
    page.hover(f"#ribbon .spot:has-text('{part}')")
    page.wait_for_selector("#ribbon rect.sight[visibility=visible]", state="attached")
    page.wait_for_function(
        "side => Math.abs(64 * document.querySelector('#ribbon rect.sight').getAttribute('width') - side) < .01",
        arg=side,
    )
    wait_for(page, "#ribbon .tip", f"{side}×{side} px")
    box = [float(page.get_attribute("#ribbon rect.sight", name)) * 64 for name in ("width", "height", "x", "y")]
    assert box[:2] == pytest.approx([side, side])
    assert box[2] == box[3] and abs(box[2] + side / 2 - 32) <= 8
    page.mouse.move(5, 5)
    page.wait_for_selector("#ribbon rect.sight[visibility=hidden]", state="attached")


def test_the_effective_field_is_computed_on_request(open_page):
    page = opened(open_page)
    assert page.inner_text("#activations .beside .sees").startswith("A cell sees 7×7 px, a step of 2 px between cells")
    page.click("#activations .beside .field .btn")
    page.wait_for_selector("#activations .lead .frame.hot")
    effect = page.inner_text("#activations .beside .effect")
    share = int(re.fullmatch(r"90\s% of the effect comes from (\d+)\s% of the box\.", effect)[1])
    assert 30 <= share <= 90
    assert "data:image" in page.eval_on_selector("#activations .lead .frame > .heat", "heat => heat.style.maskImage")
    page.click("#activations .beside .field .btn")
    page.wait_for_selector("#activations .lead .frame:not(.hot)")


# ---- labels ----


@torch.no_grad()
def labels_of_the_cat(folder: Path) -> list[str]:
    """The five likeliest, by torchvision's own network."""
    network = squeezenet1_1()
    network.load_state_dict(torch.load(next(folder.glob("squeezenet1_1-*"))))
    x = as_input(link.decode("?arch=squeezenet1_1&size=224").spec, read_photo({"sample": "cat"}))
    names = SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"]
    return [names[place] for place in network.eval()(x)[0].topk(5).indices]


def test_an_uncut_network_says_what_it_sees(open_page, app_with_weights, shared_weights):
    page = opened(open_page, "?arch=squeezenet1_1&size=224", url=app_with_weights.url)
    page.wait_for_selector("#activations .said li:nth-child(5)")
    assert page.inner_text("#activations .said .help") == "The uncut squeezenet1_1 says"
    shares = [text.rstrip("\u202f%") for text in page.locator("#activations .said b").all_inner_texts()]
    numbers = [0.5 if text.startswith("<") else float(text) for text in shares]
    assert numbers == sorted(numbers, reverse=True) and 0 < sum(numbers) <= 101
    assert page.locator("#activations .said li span").all_inner_texts() == labels_of_the_cat(shared_weights)


def test_without_imagenet_weights_the_page_says_why_there_are_no_labels(open_page):
    page = opened(open_page)
    wait_for(page, "#activations .said", "ImageNet labels need ImageNet weights.")


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page):
    page = opened(open_page, width=400, height=860, color_scheme="dark")
    page.locator(TILES).first.click()
    page.wait_for_selector(LARGE)
    right = "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
    assert page.eval_on_selector_all(f"#activations .top, #activations .top *, {LARGE}, {LARGE} > *", right) <= 400
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
