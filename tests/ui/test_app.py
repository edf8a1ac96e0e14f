"""The whole page as Gradio is told it."""

import pytest

from explorer.ui import app


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPLORER_HOME", str(tmp_path_factory.mktemp("home")))
        return app.build().get_config_file()


def test_every_event_tells_its_progress_to_one_component(config):
    """An event without one makes Gradio update all of its outputs at the progress of every later event."""
    assert config["dependencies"]
    for event in config["dependencies"]:
        assert len(event["outputs"]) <= 1 or len(event["show_progress_on"] or ()) == 1, event["targets"]


def test_no_two_components_of_the_pages_share_an_id(config):
    ids = [c["props"]["elem_id"] for c in config["components"] if c["props"].get("elem_id")]
    assert len(ids) == len(set(ids)) > 100
    assert {f"page-{name}" for name in app.PAGES} < set(ids)
