"""The classifier page without a page: each handler takes what is held and gives what changes."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
import torch
from torchvision.models import get_model

from explorer import link
from explorer.models.bodies import list_archs
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec
from explorer.trace.memory import step_memory
from explorer.train.schedule import phases
from explorer.ui import describe
from explorer.ui.describe import question
from explorer.ui.held import Held
from explorer.views.numbers import rate as words


def test_every_knob_changes_what_is_drawn(handlers, held):
    first = handlers.refresh(held())
    for change in (
        {"size": 128},
        {"pool": "Avg"},
        {"chips": {"widths": [256], "outputs": 37}},
        {"chips": {"widths": [512], "outputs": 5}},
        {"ps": 0.2},
        {"first_bn": False},
        {"bn_final": True},
        {"lin_first": True},
        {"n_in": 1},
        {"y_range": "0, 1"},
        {"cut": {"value": "layer2"}},
        {"arch": "resnet18"},
        {"weights": "Random"},
    ):
        assert handlers.refresh(held(**change))["ribbon"] != first["ribbon"] or change == {"ps": 0.2}
        assert handlers.refresh(held(**change))["topbar"]["link"] != ""


@pytest.mark.parametrize("arch", list_archs())
def test_every_body_is_drawn_and_its_payload_stays_small(handlers, held, arch):
    payloads = handlers.refresh(held(arch=arch))
    assert payloads["notices"] == {"problems": {}}
    assert len(json.dumps(payloads["ribbon"])) < 12_000
    assert len(json.dumps(payloads["tree"])) < 80_000


def test_a_value_in_doubt_leaves_the_picture_and_says_why(handlers, held):
    payloads = handlers.refresh(held(ps_each="1, 2"))
    assert list(payloads) == ["notices"] and "ps_each" in payloads["notices"]["problems"]


def test_a_value_in_doubt_of_the_training_lets_the_picture_follow(handlers, held):
    payloads = handlers.refresh(held(epochs=0, size=64))
    assert "ribbon" in payloads and "epochs" in payloads["notices"]["problems"]


def test_the_cut_moves_picture_and_link(handlers, held):
    payloads = handlers.refresh(held(cut={"value": "layer3"}))
    assert payloads["cut"]["value"] == "layer3"
    assert "cut=layer3" in payloads["topbar"]["link"]


@pytest.mark.parametrize("cut", [None, {}, {"value": None}, {"value": ["x"]}, {"value": "nowhere"}])
def test_a_cut_that_cannot_be_falls_back(handlers, held, cut):
    assert handlers.refresh(held(cut=cut))["cut"]["value"] == "layer4"


def test_an_answer_says_to_which_turn_of_a_widget_it_belongs(handlers, held):
    first = handlers.refresh(held())
    assert "turn" not in first["cut"] and "turn" not in first["groups"]
    payloads = handlers.refresh(held(cut={"value": "layer3", "turn": 4}, groups={**first["groups"], "turn": 2}))
    assert payloads["cut"]["turn"] == 4 and payloads["groups"]["turn"] == 2


def test_the_rate_field_and_the_heads_row_are_one(handlers, held):
    rows = handlers.rate_typed(held(rate="2e-3"))["groups"]["rows"]
    assert [row["rate"] for row in rows] == ["2e-5", "2e-4", "2e-3"]
    moved = [{**row, "rate": rate} for row, rate in zip(rows, ["1e-6", "1e-5", "5e-4"], strict=True)]
    assert handlers.groups_moved(held(groups={"rows": moved}))["rate"] == "5e-4"


@pytest.mark.parametrize(
    ("schedule", "rates", "frozen"),
    [
        ("Flat", ["1e-3", "1e-3", "1e-3"], [True, True, False]),
        ("Fine-tune", ["1e-5", "1e-4", "1e-3"], [False, False, False]),
        ("One-cycle", ["1e-5", "1e-4", "1e-3"], [True, True, False]),
    ],
)
def test_rates_and_locks_shown_are_those_the_schedule_trains_with(handlers, held, queue, schedule, rates, frozen):
    rows = handlers.schedule_chosen(held(schedule=schedule))["groups"]["rows"]
    assert [row["rate"] for row in rows] == rates and [row["frozen"] for row in rows] == frozen
    handlers.train(held(schedule=schedule, groups={"rows": rows}))
    ((_, train),) = queue.submitted
    plan = phases(train, 3)[-1]
    factor = 2 if schedule == "Fine-tune" else 1
    assert [words(factor * lr) for lr in plan.lrs] == rates
    assert [i < plan.frozen for i in range(3)] == frozen


def test_frozen_groups_do_not_learn_in_the_numbers(handlers, held):
    rows = handlers.refresh(held())["groups"]["rows"]
    assert [row["frozen"] for row in rows] == [True, True, False]
    learning = handlers.refresh(held(groups={"rows": [{**row, "frozen": False} for row in rows]}))
    assert all(row["trainable"] == row["params"] for row in learning["groups"]["rows"])


def test_without_weights_the_banner_names_what_failed_and_offers_three_ways(handlers, held):
    handlers.services.weights.ask("resnet34", wait=5)
    notice = handlers.refresh(held())["ribbon"]["notice"]
    assert "resnet34" in notice["text"]
    assert [action["id"] for action in notice["actions"]] == ["retry", "file", "scratch"]


def test_from_scratch_means_random_weights_and_nothing_frozen(handlers, held):
    payloads = handlers.acted(held(event={"id": "scratch"}))
    assert payloads["weights"] == "Random"
    assert not any(row["frozen"] for row in payloads["groups"]["rows"])


def test_choosing_a_file_shows_its_field(handlers, held):
    assert handlers.weights_chosen(held(weights="File"))["file"] == {"visible": True}
    assert handlers.acted(held(event={"id": "file"}))["file"] == {"visible": True}


def test_the_mend_of_a_failed_trace_is_one_click(handlers, held):
    broken = handlers.refresh(held(pool="None"))
    assert broken["ribbon"]["failure"]["fix"]
    mended = handlers.mended(held(pool="None"))
    assert mended["pool"] != "None" and mended["ribbon"]["failure"] is None
    small = handlers.mended(held(arch="alexnet", size=32))
    assert small["size"] > 32 and small["ribbon"]["failure"] is None


@pytest.mark.parametrize("tab", ["tree", "layers", "code", "summary", "data"])
def test_each_tab_is_described_when_it_is_chosen(handlers, held, tab):
    payloads = handlers.tab_chosen(held(size=64, event={"value": tab.title()}))
    assert payloads["view"].tab == tab
    assert payloads["sheet" if tab == "data" else tab]


def test_the_data_tab_shows_a_labelled_batch(handlers, held):
    shown = handlers.tab_chosen(held(size=64, event={"value": "Data"}))["sheet"]
    assert len(shown["items"]) == 24 and len(shown["classes"]) == 10
    other = handlers.another_batch(held(size=64, event={"seed": 1}))["sheet"]
    assert other["items"] != shown["items"]


def test_another_set_brings_its_number_of_classes(handlers, held):
    assert handlers.data_chosen(held(data="shapes"))["chips"]["outputs"] == 10
    assert handlers.data_chosen(held(data="cifar10"))["chips"]["outputs"] == 10
    assert handlers.data_chosen(held(data="folder:"))["path"] == {"visible": True}


def test_a_folder_that_is_none_says_so_at_its_field(handlers, held, tmp_path):
    payloads = handlers.data_chosen(held(data="folder:", path=str(tmp_path / "nowhere")))
    assert "nowhere" in payloads["notices"]["problems"]["path"]


def test_a_set_that_must_be_fetched_is_not_fetched_by_looking(handlers, held, monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_HOME", str(tmp_path))
    payloads = handlers.tab_chosen(held(data="flowers102", event={"value": "Data"}))
    assert payloads["sheet"]["items"] == [] and "MB" in payloads["sheet"]["notes"][0]


def test_train_puts_one_run_in_line_with_outputs_that_fit(handlers, held, queue):
    payloads = handlers.train(held(size=64))
    ((spec, train),) = queue.submitted
    assert spec.n_out == 10 and train == TrainSpec() and spec.body.size == 64
    assert payloads["run"]["run"] == "run1" and payloads["run"]["token"] == "token"
    assert payloads["go"]["interactive"] is False and payloads["halt"]["interactive"] is True


def test_a_second_click_on_train_starts_nothing(handlers, held, queue):
    queue.state = "running"
    handlers.train(held(run={"run": "run1", "token": "token"}))
    assert queue.submitted == []


def test_a_run_is_put_in_line_behind_one_of_the_same_page(handlers, held, queue):
    queue.state = "running"
    answer = handlers.another(held(run={"run": "old", "token": "t"}))
    assert len(queue.submitted) == 1 and answer["run"]["run"] == "run1"
    assert answer["go"]["interactive"] is False and answer["halt"]["interactive"] is True


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"epochs": 0}, "epochs"), ({"rate": "1e9"}, "lr"), ({"ps_each": "2"}, "ps_each"), ({"pool": "None"}, "run"),
     ({"data": "folder:", "path": ""}, "data"), ({"arch": "vgg11_bn", "size": 16}, "run")],
)  # fmt: skip
def test_train_refuses_what_is_in_doubt_and_says_where(handlers, held, queue, wrong, field):
    payloads = handlers.train(held(**wrong))
    assert queue.submitted == [] and field in payloads["notices"]["problems"]
    assert payloads["question"]["text"] == f"Not started. {payloads['notices']['problems'][field]}"
    assert "train" not in payloads["question"]


@pytest.mark.parametrize(("beyond", "field"), [({"n_in": 99}, "body.n_in"), ({"size": 2000}, "body.size")])
def test_a_number_typed_beyond_a_sliders_end_is_told_at_it(handlers, held, beyond, field):
    problems = handlers.refresh(held(**beyond))["notices"]["problems"]
    assert list(problems) == [field] and "must lie between 1 and" in problems[field]


def test_a_refused_run_leaves_the_head_as_it_was(handlers, held):
    assert "chips" not in handlers.train(held(epochs=0))


def test_a_link_may_ask_for_a_size_that_is_too_small_for_the_slider(handlers):
    payloads = handlers.opened({"size": "16"})
    assert not payloads["notices"]["problems"] and (payloads["size"], payloads["width"]) == (32, "16×16")
    assert payloads["topbar"]["link"] == "size=16"


@pytest.mark.parametrize("query", [{"size": "1024"}, {"n_in": "64"}, {"ps": "0.99"}, {"valid_pct": "0.9"}])
def test_a_link_beyond_the_reach_of_a_slider_is_brought_nearer_and_told(handlers, query):
    payloads = handlers.opened(query)
    assert "beyond this page's reach" in payloads["notices"]["problems"]["link"]
    assert 32 <= payloads["size"] <= 512 and 1 <= payloads["n_in"] <= 12 and payloads["ps"] <= 0.95


@pytest.mark.parametrize(
    ("size", "slider", "width"), [("97x131", 97, "131"), ("17x301", 32, "17×301"), ("64x2048", 64, "2048")]
)
def test_a_link_to_a_rectangle_is_kept_whatever_the_slider_reaches(handlers, size, slider, width):
    payloads = handlers.opened({"size": size})
    assert (payloads["size"], payloads["width"], payloads["notices"]["problems"]) == (slider, width, {})
    assert payloads["ribbon"]["input"]["shape"] == [3, *map(int, size.split("x"))]


def test_the_sizes_slider_takes_the_height_back_from_the_field(handlers, held):
    moved = handlers.size_moved(held(size=64, width="17×301"))
    assert moved["width"] == "301" and moved["ribbon"]["input"]["shape"] == [3, 64, 301]
    assert "width" not in handlers.size_moved(held(size=64, width="301"))


def test_a_size_below_the_sliders_reach_stands_beside_it(handlers, held):
    small = handlers.size_moved(held(size=16))
    assert small["width"] == "16×16" and small["ribbon"]["input"]["shape"] == [3, 16, 16]
    after = handlers.size_moved(held(size=64, width="16×16"))
    assert after["width"] == "" and after["ribbon"]["input"]["shape"] == [3, 64, 64]
    assert "width" not in handlers.size_moved(held(size=64))


def test_a_mend_of_a_rectangle_empties_the_width(handlers, held):
    mended = handlers.mended(held(arch="alexnet", size=32, width="17×301"))
    assert (mended["size"], mended["width"], mended["ribbon"]["failure"]) == (63, "", None)


@pytest.mark.parametrize("rate", ["nan", "inf", "1e999", "1e308", "", None, [], -1])
def test_rates_that_are_none_never_break_the_page(handlers, held, rate):
    rows = [{"id": name, "rate": rate, "frozen": False} for name in ("body-early", "body-late", "head")]
    for handler in (handlers.groups_moved, handlers.rate_typed, handlers.schedule_chosen, handlers.refresh):
        assert isinstance(handler(held(groups={"rows": rows})), dict)


@pytest.mark.parametrize("seed", [10**30, -(2**63) - 1, True, 1.5, "x", None])
def test_another_batch_with_a_seed_that_is_none_is_the_first_one(handlers, held, seed):
    assert handlers.another_batch(held(size=32, event={"seed": seed}))["sheet"]["seed"] == 0


def test_channels_that_pictures_do_not_have_are_told_before_the_run(handlers, held, queue):
    assert "body.n_in" in handlers.train(held(n_in=4))["notices"]["problems"]
    assert queue.submitted == []


def test_a_model_larger_than_the_machine_is_refused_with_the_reason(handlers, held, queue):
    wide = {"widths": [65536] * 8, "outputs": 10}
    assert "GB" in handlers.train(held(chips=wide))["notices"]["problems"]["run"]
    assert queue.submitted == []


def test_a_batch_whose_step_does_not_fit_is_refused_with_the_reason(handlers, held, queue, monkeypatch):
    handlers.train(held())
    spec, train = queue.submitted[0]
    needed = step_memory(spec, train.batch_size, frozen=train.frozen).total
    for there, started in ((needed - 1, 1), (needed, 2)):
        monkeypatch.setattr(describe, "memory_here", lambda there=there: ("this machine", there))
        refused = handlers.train(held())["notices"]["problems"]
        assert len(queue.submitted) == started and ("smaller batch" in refused.get("run", "")) == (started == 1)


def test_a_batch_of_one_with_batch_norm_is_told_at_its_control(handlers, held):
    assert "batchnorm" in handlers.refresh(held(batch_size=1))["notices"]["problems"]["batch_size"].lower()
    plain = {"arch": "alexnet", "first_bn": False, "chips": {"widths": [], "outputs": 10}}
    assert handlers.refresh(held(batch_size=1, **plain))["notices"]["problems"] == {}


def test_the_hint_says_what_train_will_do(handlers, held, monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_HOME", str(tmp_path))
    assert "10 outputs" in handlers.refresh(held())["datahint"]["text"]
    assert "fetches" in handlers.refresh(held(data="cifar10"))["datahint"]["text"]


@pytest.fixture
def weights_file(tmp_path):
    def write(arch: str, keep: int | None = None):
        path = tmp_path / f"{arch}.pth"
        torch.save(get_model(arch, weights=None).state_dict(), path)
        if keep:
            path.write_bytes(path.read_bytes()[:keep])
        return {"weights": "File", "file": str(path), "arch": "squeezenet1_1"}

    return write


def test_a_weights_file_says_how_it_fits(handlers, held, weights_file):
    line = handlers.refresh(held(**weights_file("squeezenet1_1")))["weightsline"]["text"]
    assert "50 tensors loaded" in line and "2 behind the cut" in line


def test_a_weights_file_that_does_not_fit_says_so_at_its_control_and_train_refuses(handlers, held, queue, weights_file):
    for values in (weights_file("alexnet"), weights_file("squeezenet1_1", keep=10_000)):
        assert handlers.refresh(held(**values))["notices"]["problems"]["body.weights"].endswith(".")
        assert "body.weights" in handlers.train(held(**values))["notices"]["problems"]
    assert queue.submitted == []


def test_a_cut_that_nobody_chose_does_not_go_on_to_a_body_that_has_a_layer_of_its_name(handlers, held):
    own, chosen = held(arch="densenet121"), held(arch="densenet121", cut={"value": "features.pool0"})
    assert handlers.refresh(own)["cut"]["value"] == "relu"
    after = handlers.refresh(held(arch="resnet34", cut=handlers.refresh(own)["cut"]))
    assert after["cut"]["value"] == "layer4"
    after = handlers.refresh(held(arch="densenet169", cut=handlers.refresh(chosen)["cut"]))
    assert after["cut"]["value"] == "features.pool0"


def test_a_chosen_cut_that_the_next_body_has_not_is_told_until_the_next_change(handlers, held):
    chosen = handlers.refresh(held(arch="resnet34", cut={"value": "layer3", "own": "layer4"}))["cut"]
    other = handlers.refresh(held(arch="vgg11", cut=chosen))["cut"]
    assert other["help"] == "“layer3” is not a cut of vgg11: its own default stands."
    loaded = handlers.acted(held(arch="vgg11", cut=other, event={"id": "loaded"}))["cut"]
    assert loaded["help"] == other["help"]  # only weights came meanwhile
    assert "help" not in handlers.refresh(held(arch="vgg11", cut=loaded, size=96))["cut"]
    assert "help" not in handlers.refresh(held(arch="resnet50", cut=chosen))["cut"]


@pytest.mark.parametrize("cut", [None, "layer4", {"value": 7}, {"value": ["x"], "own": "y"}, {"value": ""}])
def test_a_strange_cut_is_not_told(handlers, held, cut):
    assert "help" not in handlers.refresh(held(arch="vgg11", cut=cut))["cut"]


EARLY = {"cut": {"value": "layer1.1"}}


def test_a_cut_that_leaves_next_to_nothing_is_asked_about_before_it_is_trained(handlers, held, queue):
    payloads = handlers.train(held(**EARLY))
    assert set(payloads) == {"notices", "question"} and queue.submitted == []
    assert payloads["question"].pop("at") != handlers.train(held(**EARLY))["question"]["at"]
    assert payloads["question"] == {
        "about": "resnet34 layer1.1",
        "text": "The cut layer1.1 keeps 0.72 % of resnet34's parameters: train on what is left, or cut after layer1?",
        "train": "Train anyway",
        "later": "Cut after layer1",
    }
    assert payloads["notices"]["hints"]["body.cut"]["label"] == payloads["question"]["later"]


def test_who_wants_to_train_on_what_is_left_is_not_asked_again(handlers, held, queue):
    first = handlers.answered(held(**EARLY, event={"id": "train", "about": "resnet34 layer1.1"}))
    assert first["run"]["run"] == "run1" and first["question"] == {}
    again = handlers.train(replace(held(**EARLY), agreed=first["agreed"]))
    assert again["run"]["run"] == "run2" and [spec.body.cut for spec, _ in queue.submitted] == ["layer1.1"] * 2
    other = replace(held(cut={"value": "layer1.0"}), agreed=first["agreed"])
    assert handlers.train(other)["question"]["text"].startswith("The cut layer1.0 keeps 0.38 %")


@pytest.mark.parametrize(
    "event", [None, {}, {"id": "train"}, {"id": "train", "about": "resnet34 layer1.0"}, {"id": []}]
)
def test_an_answer_to_another_question_starts_nothing(handlers, held, queue, event):
    payloads = handlers.answered(held(**EARLY, event=event))
    assert queue.submitted == [] and "agreed" not in payloads
    assert payloads["question"] == {"about": "resnet34 layer1.1"}


def test_who_cuts_later_gets_the_cut_of_the_hint_and_keeps_all_else(handlers, held, queue):
    payloads = handlers.answered(held(**EARLY, epochs=7, event={"id": "later", "about": "resnet34 layer1.1"}))
    assert payloads["cut"]["value"] == "layer1" and payloads["question"] == {"about": "resnet34 layer1"}
    assert "epochs=7" in payloads["topbar"]["link"] and queue.submitted == []


def test_agreeing_does_not_pass_over_what_is_wrong(handlers, held, queue):
    payloads = handlers.answered(held(**EARLY, epochs=0, event={"id": "train", "about": "resnet34 layer1.1"}))
    assert queue.submitted == [] and "epochs" in payloads["notices"]["problems"]


@pytest.mark.parametrize("arch", list_archs())
def test_no_body_is_asked_about_at_its_own_cut(arch):
    assert question(ClassifierSpec(BodySpec(arch))) == {}


def test_stop_passes_on_the_token(handlers, held, queue):
    handlers.stop(held(run={"run": "r", "token": "t"}))
    handlers.stop(held(run="rubbish"))
    assert queue.stopped == [("r", "t")]


def test_a_link_is_opened_and_says_what_it_dropped(handlers):
    payloads = handlers.opened({"arch": "resnet18", "cut": "layer3", "size": "64", "epochs": "2", "ps": "7", "x": "y"})
    assert (payloads["arch"], payloads["size"], payloads["epochs"]) == ("resnet18", 64, 2)
    assert payloads["cut"]["value"] == "layer3"
    assert "everything" in payloads["notices"]["problems"]["link"]


@pytest.mark.parametrize(
    "query", [{"arch": "resnet99"}, {"cut": "layer9"}, {"cut": "-40"}, {"data": "folder:"}, {"weights": "file"}]
)
def test_an_unknown_name_in_a_link_falls_back_with_a_sentence(handlers, query):
    payloads = handlers.opened(query)
    assert payloads["arch"] == "resnet34" and payloads["cut"]["value"] == "layer4"
    assert payloads["notices"]["problems"]["link"]


@pytest.mark.parametrize("query", [{"frozen": "3"}, {"lrs": "0.001,0.002"}])
def test_rates_and_locks_of_a_link_that_do_not_fit_the_groups_are_told(handlers, query):
    payloads = handlers.opened(query)
    assert "groups" in payloads["notices"]["problems"]["link"]
    assert [row["frozen"] for row in payloads["groups"]["rows"]] == [True, True, False]


LINKED = (
    "arch=resnet18&weights=random&cut=layer3&size=96&n_in=1&pool=avg&widths=256,64&ps=0.1,0.2,0.3&first_bn=0&bn_final=1"
    "&lin_first=1&y_range=0.0,5.5&n_out=10&data=cifar10&data_size=large&difficulty=0.7&valid_pct=0.4&epochs=3&lr=0.002"
    "&lrs=1e-06,1e-05,0.002&batch_size=8&frozen=1&train_bn=0&schedule=one_cycle&freeze_epochs=4&wd=0.1&augment=none&seed=9"
)


def test_every_field_of_a_link_reaches_the_page_and_its_own_link():
    """All but the schedule differ from the defaults here, so each must come back."""
    assert {pair.split("=")[0] for pair in LINKED.split("&")} == {field.key for field in link.FIELDS[ClassifierSpec]}


def test_a_link_that_says_everything_comes_back_whole(handlers):
    payloads = handlers.opened(dict(parse_qsl(LINKED)))
    assert payloads["notices"]["problems"] == {}
    again = link.decode(payloads["topbar"]["link"])
    assert (again.spec, again.train) == (link.decode(LINKED).spec, link.decode(LINKED).train)


def test_opening_a_link_starts_no_run(handlers, queue):
    handlers.opened({"arch": "resnet18", "epochs": "3"})
    assert queue.submitted == []


def test_defaults_bring_back_the_chapters_model(handlers, held):
    payloads = handlers.defaults(held(arch="alexnet"))
    assert payloads["arch"] == "resnet34" and payloads["topbar"]["link"] == ""
    assert payloads["chips"]["widths"] == list(ClassifierSpec().head.widths)


def test_buttons_follow_a_run_that_is_found_again(handlers, held):
    assert handlers.attached(held(event={"state": "running"}))["halt"]["interactive"] is True
    assert handlers.attached(held(event={"state": "failed"}))["go"]["interactive"] is True
    assert handlers.ended(held())["go"]["interactive"] is True


# ---- two designs side by side ----


def pinned_on(handlers, held, tab="compare", **values):
    """What the page holds after a design was pinned."""
    view = handlers.acted(replace(held(**values), event={"id": "pin"}))["view"]
    return replace(view, tab=tab)


def test_the_present_design_is_pinned_and_the_knobs_go_on(handlers, held):
    pinned = handlers.acted(replace(held(), event={"id": "pin"}))
    assert (pinned["ribbon_a"]["mark"], pinned["ribbon"]["mark"]) == ("A", "B")
    view = replace(pinned["view"], tab="compare")
    after = handlers.refresh(replace(held(arch="resnet50"), view=view))
    assert "ribbon_a" not in after and after["ribbon"]["mark"] == "B"
    assert after["compare"]["fields"] == [["Body", "resnet34", "resnet50"]]
    assert after["topbar"]["link"] == "arch=resnet50&a="


def test_nothing_is_pinned_that_cannot_be_built(handlers, held):
    assert "view" not in handlers.pin(held(ps_each="1, 2"))


def test_the_two_designs_change_places(handlers, held):
    view = pinned_on(handlers, held, size=128)
    page = handlers.compared(replace(held(arch="resnet50"), view=view, event={"id": "swap"}))
    assert (page["arch"], page["size"], page["ribbon_a"]["arch"]) == ("resnet34", 128, "resnet50")
    assert page["view"].pinned.spec.body.arch == "resnet50" and page["view"].tab == "compare"
    assert [row[1:] for row in page["compare"]["fields"]] == [["resnet50", "resnet34"], ["224 px", "128 px"]]


def test_the_pinned_design_goes(handlers, held):
    page = handlers.compared(replace(held(), view=pinned_on(handlers, held), event={"id": "unpin"}))
    assert page["view"].pinned is None and page["ribbon_a"] == {"hidden": True}
    assert page["ribbon"]["mark"] == "" and page["compare"] == {}


def test_a_link_opens_both_designs(handlers):
    page = handlers.opened({"arch": "resnet50", "a": "cut=layer3&epochs=7&arch=nonsense"})
    assert page["ribbon"]["arch"] == "resnet50" and page["ribbon_a"]["behind"] == "layer3"
    assert page["view"].pinned.train.epochs == 7
    assert "nonsense" in page["notices"]["problems"]["link"]
    assert handlers.opened({})["ribbon_a"] == {"hidden": True}


def test_a_cost_is_laid_over_ribbon_and_tree_and_taken_off_again(handlers, held):
    page = held(size=64, event={"key": "macs"})
    answer = handlers.measured(page)
    assert answer["view"].measure == "macs"
    assert answer["ribbon"]["measure"] == "MACs" and answer["tree"]["measure"] == ["macs", "MACs"]
    parts = [part["share"] for part in (*answer["ribbon"]["stages"], *answer["ribbon"]["head"])]
    assert sum(parts) == pytest.approx(1, abs=0.002)
    again = handlers.measured(Held(page.values, answer["view"], event={"key": "macs"}))
    assert again["view"].measure == "" and "share" not in again["ribbon"]["stages"][0]


def test_the_bytes_that_autograd_keeps_are_a_cost_too(handlers, held):
    plain = handlers.measured(held(size=64, event={"key": "memory"}))
    kept = handlers.measured(held(size=64, event={"key": "kept"}))
    assert kept["tree"]["measure"] == ["bytes", "kept"]
    assert 0 < kept["tree"]["total"] != plain["tree"]["total"]


@pytest.mark.parametrize("event", [None, {}, {"key": "weight"}, {"key": ["macs"]}])
def test_an_unknown_cost_lays_nothing_over(handlers, held, event):
    assert handlers.measured(held(size=64, event=event))["view"].measure == ""


def test_a_body_is_chosen_from_the_gallery(handlers, held):
    answer = handlers.body_chosen(held(event={"arch": "mobilenet_v2"}))
    assert answer["arch"] == "mobilenet_v2" and answer["gallery"] == {"chosen": "mobilenet_v2"}
    assert "arch" not in handlers.body_chosen(held(event={"arch": "nothing"}))


def test_a_suggestion_is_told_and_followed(handlers, held):
    hint = handlers.refresh(held(cut={"value": "conv1"}))["notices"]["hints"]["body.cut"]
    assert "0.0" in hint["text"] and hint["label"].startswith("Cut after")
    answer = handlers.followed(held(cut={"value": "conv1"}, event={"field": "body.cut"}))
    assert answer["cut"]["value"] == hint["label"].removeprefix("Cut after ")
    assert "body.cut" not in answer["notices"].get("hints", {})


def test_a_cost_is_laid_over_both_ribbons_of_a_comparison(handlers, held):
    answer = handlers.measured(replace(held(event={"key": "macs"}), view=pinned_on(handlers, held)))
    assert all(0 < answer[name]["stages"][1]["share"] < 1 for name in ("ribbon", "ribbon_a"))
    again = handlers.measured(replace(held(), view=answer["view"], event={"key": "macs"}))
    assert all("share" not in again[name]["stages"][1] for name in ("ribbon", "ribbon_a"))


def test_a_model_that_breaks_off_has_shares_of_its_parameters_alone(handlers, held):
    for key, known in (("params", True), ("macs", False), ("memory", False)):
        drawn = handlers.measured(held(arch="alexnet", size=32, event={"key": key}))["ribbon"]
        assert drawn["failure"] and all(("share" in stage) == known for stage in drawn["stages"])
