"""Random search for the settings of a detector: halving, the table of trials, resuming, and trials that fail."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from distributed.scheduler import KilledWorker

from hrtem_dask.batch.training import search_detector as module
from hrtem_dask.batch.training.search_detector import TRIAL_COLUMNS, DetectorData, search_detector
from hrtem_dask.detection.model_file import load_detector
from hrtem_dask.errors import ModelError, NothingToAnalyseError, SettingsError
from hrtem_dask.storage.annotations.annotated_image import AnnotationError
from hrtem_dask.training.detection.random_search import draw_recipe
from hrtem_dask.training.detection.recipes import DetectionRecipe

RECIPE = DetectionRecipe(images=800, images_per_epoch=100)


class _Trainings:
    """In the place of a training: its score rises with the images, and falls with the trial's learning rate."""

    def __init__(self, broken: dict[int, BaseException] | None = None) -> None:
        self.calls: list[tuple[int, int]] = []
        self.broken = broken or {}

    def __call__(self, out: str, recipe: DetectionRecipe, *, until_images: int, workdir: Path, **_: Any) -> Any:
        trial = int(workdir.name.removeprefix("trial-"))
        self.calls.append((trial, until_images))
        if trial in self.broken:
            raise self.broken[trial]
        Path(out).write_text(f"trial {trial}")
        score = until_images / 1000 - 10 * recipe.learning_rate
        return SimpleNamespace(rows=[{"map50": score + 0.1, "map75": score - 0.1, "seconds": 1.0}])


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> _Trainings:
    made = _Trainings()
    monkeypatch.setattr(module, "train_detector", made)
    return made


def test_the_better_half_goes_on_and_the_best_is_kept(tmp_path: Path, trainings: _Trainings) -> None:
    table = search_detector(tmp_path / "best.safetensors", RECIPE, 6, seed=3, cluster="threads")
    assert table.groupby("images").size().to_dict() == {200: 6, 400: 3, 800: 2}
    first = table[table["images"] == 200].set_index("trial")["learning_rate"].sort_values()
    assert set(table.loc[table["images"] == 400, "trial"]) == set(first.index[:3])
    best = int(first.index[0])
    assert (tmp_path / "best.safetensors").read_text() == f"trial {best}"
    folder = tmp_path / "best.search"
    assert DetectionRecipe.from_toml((folder / "best.toml").read_text()) == draw_recipe(RECIPE, seed=3, trial=best)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "trials.csv"), table, check_dtype=False)
    assert tuple(table.columns[: len(TRIAL_COLUMNS)]) == TRIAL_COLUMNS


def test_a_search_goes_on_where_it_was(tmp_path: Path, trainings: _Trainings) -> None:
    whole = search_detector(tmp_path / "a.safetensors", RECIPE, 4, cluster="threads")
    n_calls, file = len(trainings.calls), tmp_path / "a.search" / "trials.csv"
    search_detector(tmp_path / "a.safetensors", RECIPE, 4, cluster="threads")
    assert len(trainings.calls) == n_calls
    whole.drop(index=[1, len(whole) - 1]).to_csv(file, index=False)
    again = search_detector(tmp_path / "a.safetensors", RECIPE, 4, cluster="threads")
    assert len(trainings.calls) == n_calls + 2
    pd.testing.assert_frame_equal(again, whole, check_dtype=False)
    with pytest.raises(SettingsError, match="another recipe, seed, number of trials or data"):
        search_detector(tmp_path / "a.safetensors", RECIPE, 5, cluster="threads")


def test_a_dead_worker_and_a_bad_trial_lose_one_trial_each(tmp_path: Path, trainings: _Trainings) -> None:
    died = KilledWorker("task", SimpleNamespace(address="tcp://gone"), 1)
    trainings.broken = {1: died, 2: ModelError("the loss is nan")}
    table = search_detector(tmp_path / "a.safetensors", RECIPE, 4, cluster="threads")
    failed = table[table["status"] == "failed"].set_index("trial")
    assert sorted(failed.index) == [1, 2]
    assert "worker died" in failed.loc[1, "reason"]
    assert "the loss is nan" in failed.loc[2, "reason"]
    assert trainings.calls.count((1, 200)) == 2  # once more, alone
    assert set(table.loc[table["images"] == 800, "trial"]) <= {0, 3}
    trainings.broken = dict.fromkeys(range(4), ModelError("nothing works"))
    with pytest.raises(NothingToAnalyseError, match="no trial has a score"):
        search_detector(tmp_path / "b.safetensors", RECIPE, 4, cluster="threads")


@pytest.mark.parametrize("part", ["annotated", "validation"])
def test_data_without_annotations_end_a_search_before_it_starts(
    part: str, tmp_path: Path, trainings: _Trainings
) -> None:
    data = DetectorData(**{part: (str(tmp_path),)})
    with pytest.raises(AnnotationError, match="no annotation file"):
        search_detector(tmp_path / "best.safetensors", RECIPE, 4, data=data, cluster="threads")
    assert not trainings.calls
    assert not list(tmp_path.iterdir())


def test_trials_are_trained_and_their_best_network_is_a_detector(tmp_path: Path) -> None:
    tiny = DetectionRecipe(
        channels=16, crop_px=64, batch=2, images=8, images_per_epoch=4, validation_scenes=3, validation_px=96
    )
    table = search_detector(tmp_path / "a.safetensors", tiny, 2, cluster="threads")
    assert table["images"].tolist() == [4, 4, 8]
    assert set(table["status"]) == {"done"}
    log = pd.read_csv(tmp_path / "a.search" / f"trial-{table['trial'].iloc[-1]:03d}" / "log.csv")
    assert log["images"].tolist() == [4, 8]
    assert load_detector(tmp_path / "a.safetensors")[1].kind == "rotated_rcnn"
