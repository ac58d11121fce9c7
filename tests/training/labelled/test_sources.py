"""Every kind of source against a truth made by hand; splits that never share a micrograph."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import tifffile

from hrtem_dask.errors import NothingToAnalyseError, SettingsError, UnreadableMicrographError
from hrtem_dask.simulation.contrast import ContrastRanges, simulate_contrast_micrograph
from hrtem_dask.storage import simulated_writing
from hrtem_dask.storage.exchange.coco import rasterize
from hrtem_dask.storage.ground_truth import open_truth
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.regimes import CONTRAST
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled
from hrtem_dask.training.labelled.sources import list_labelled
from hrtem_dask.training.labelled.split import split_by_group, split_folds


def write(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)
    return path


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)


MASK = np.zeros((40, 50), bool)
MASK[5:15, 10:30] = MASK[25:35, 2:9] = True


def only(paths: list[Path], **options: Any) -> tuple[Labelled, LabelledMicrograph]:
    (one,) = list_labelled(paths, **options)
    return one, one.read()


@pytest.mark.parametrize("values", [255 * MASK, 1 * MASK, MASK * (1 + (np.indices(MASK.shape)[0] > 20) * 6)])
@pytest.mark.parametrize(
    ("image_name", "mask_name"),
    [("images/a.png", "masks/a.png"), ("images/a.png", "masks/a_mask.tif"), ("a.png", "a_mask.png")],
)
def test_folders(tmp_path: Path, image: np.ndarray, values: np.ndarray, image_name: str, mask_name: str) -> None:
    write(tmp_path / image_name, image)
    write(tmp_path / mask_name, values.astype(np.uint8))
    one, labelled = only([tmp_path])
    assert one.micrograph_id == "a"
    np.testing.assert_array_equal(labelled.mask, MASK)
    assert labelled.image.dtype == np.float32
    assert (labelled.image.min(), labelled.image.max()) == (0, 1)
    assert labelled.pixel_size_nm is None
    assert only([tmp_path], pixel_size_nm=0.03)[1].pixel_size_nm == (0.03, 0.03)


def test_a_jpeg_mask_is_not_all_particle(tmp_path: Path, image: np.ndarray) -> None:
    write(tmp_path / "a.png", image)
    write(tmp_path / "a_mask.jpg", 255 * MASK.astype(np.uint8))
    assert (only([tmp_path])[1].mask == MASK).mean() > 0.99


def test_an_antialiased_mask_is_read_as_evaluation_reads_it(tmp_path: Path, image: np.ndarray) -> None:
    soft = cv2.GaussianBlur(255 * MASK.astype(np.uint8), (5, 5), 0)
    write(tmp_path / "images" / "a.png", image)
    write(tmp_path / "masks" / "a.png", soft)
    read = only([tmp_path])[1].mask
    np.testing.assert_array_equal(read, soft > 127)
    np.testing.assert_array_equal(read, next(iter(open_truth(tmp_path).micrographs.values())).read()[0] > 0)


UNKNOWN = np.zeros((40, 50), bool)
UNKNOWN[20:, :20] = True  # contains the second particle


@pytest.mark.parametrize(
    ("image_name", "mask_name", "unknown_name"),
    [
        ("images/a.png", "masks/a.png", "unknown/a.png"),
        ("images/a.png", "masks/a_mask.tif", "unknown/a_unknown.tif"),
        ("a.png", "a_mask.png", "a_unknown.png"),
    ],
)
def test_unknown_pixels(tmp_path: Path, image: np.ndarray, image_name: str, mask_name: str, unknown_name: str) -> None:
    write(tmp_path / image_name, image)
    write(tmp_path / image_name.replace("a.png", "b.png"), image)
    write(tmp_path / mask_name, 255 * MASK.astype(np.uint8))
    write(tmp_path / ("masks/b.png" if "/" in mask_name else "b_mask.png"), 255 * MASK.astype(np.uint8))
    write(tmp_path / unknown_name, 255 * UNKNOWN.astype(np.uint8))
    a, b = (one.read() for one in list_labelled([tmp_path]))
    assert a.valid is not None
    np.testing.assert_array_equal(a.valid, ~UNKNOWN)
    np.testing.assert_array_equal(a.mask, MASK)
    assert b.valid is None
    np.testing.assert_array_equal(b.mask, MASK)


def test_gray_pixels_of_a_mask_are_not_unknown(tmp_path: Path, image: np.ndarray) -> None:
    soft = cv2.GaussianBlur(255 * MASK.astype(np.uint8), (5, 5), 0)
    write(tmp_path / "a.png", image)
    write(tmp_path / "a_mask.png", soft)
    assert only([tmp_path])[1].valid is None


def test_unused_marks_of_unknown_pixels_are_reported(tmp_path: Path, image: np.ndarray) -> None:
    write(tmp_path / "a.png", image)
    write(tmp_path / "a_mask.png", 255 * MASK.astype(np.uint8))
    write(tmp_path / "b_unknown.png", image)
    with pytest.raises(NothingToAnalyseError, match=r"b_unknown\.png, which marks unknown pixels, belongs to no image"):
        list_labelled([tmp_path])
    (tmp_path / "b_unknown.png").rename(tmp_path / "a_unknown.png")
    write(tmp_path / "a_unknown.tif", image)
    with pytest.raises(NothingToAnalyseError, match="another such file"):
        list_labelled([tmp_path])
    (tmp_path / "a_unknown.tif").unlink()
    write(tmp_path / "a_unknown.png", image[:30])
    with pytest.raises(
        UnreadableMicrographError, match=r"a_unknown\.png: the map of known pixels has shape \(30, 50\)"
    ):
        only([tmp_path])


def test_unused_masks_are_reported(tmp_path: Path, image: np.ndarray) -> None:
    write(tmp_path / "images" / "a.png", image)
    write(tmp_path / "masks" / "a.png", 255 * MASK.astype(np.uint8))
    write(tmp_path / "masks" / "b.png", image)
    with pytest.raises(NothingToAnalyseError, match=r"the mask b\.png belongs to no image"):
        list_labelled([tmp_path])
    (tmp_path / "masks" / "b.png").unlink()
    write(tmp_path / "masks" / "a_mask.tif", 255 * MASK.astype(np.uint8))
    with pytest.raises(NothingToAnalyseError, match="another mask"):
        list_labelled([tmp_path])


def test_the_pixel_size_in_the_file_takes_precedence(tmp_path: Path, image: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(50, 50), metadata={"unit": "nm"})
    write(tmp_path / "a_mask.png", 255 * MASK.astype(np.uint8))
    size = only([tmp_path], pixel_size_nm=0.5)[1].pixel_size_nm
    assert size == pytest.approx((0.02, 0.02))


def test_missing_files_are_named(tmp_path: Path, image: np.ndarray) -> None:
    with pytest.raises(NothingToAnalyseError, match="does not exist"):
        list_labelled([tmp_path / "absent"])
    with pytest.raises(NothingToAnalyseError, match=r"need images/NAME\.ext with masks/NAME\.ext"):
        list_labelled([tmp_path])
    write(tmp_path / "a.png", image)
    write(tmp_path / "b.png", image)
    write(tmp_path / "b_mask.png", image[:30])
    with pytest.raises(NothingToAnalyseError, match=r"a\.png has no mask \(1 of 2 images\); name it a\.png or a_mask"):
        list_labelled([tmp_path])
    write(tmp_path / "a_mask.png", image)
    with pytest.raises(UnreadableMicrographError, match=r"b_mask\.png: the mask has shape \(30, 50\), the image \(40"):
        list_labelled([tmp_path])[1].read()
    text = tmp_path / "a.doc"
    text.write_text("no labels")
    with pytest.raises(NothingToAnalyseError, match=r"\.json \(COCO\), \.h5"):
        list_labelled([text])


SQUARE = [10, 5, 30, 5, 30, 15, 10, 15]  # corners of pixels: exactly columns 10–29 of rows 5–14
OTHER = [2, 25, 9, 25, 9, 35, 2, 35]
RUNS = {"size": [40, 50], "counts": [int(n) for n in np.diff(np.flatnonzero(
    np.diff(MASK.ravel(order="F").astype(int), prepend=1 - MASK[0, 0], append=2)))]}  # fmt: skip


def coco(folder: Path, annotations: list[dict[str, Any]]) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 40, "width": 50}],
        "annotations": [{"id": i, "image_id": 7, "category_id": 1, **a} for i, a in enumerate(annotations)],
        "categories": [{"id": 1, "name": "particle"}],
    }
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "annotations",
    [
        [{"segmentation": [SQUARE]}, {"segmentation": [OTHER]}],
        [{"segmentation": [SQUARE, OTHER]}],
        [{"segmentation": RUNS}],
    ],
    ids=["polygons", "one of two", "run lengths"],
)
@pytest.mark.parametrize("folder", ["", "images"])
def test_coco(tmp_path: Path, image: np.ndarray, annotations: list[dict[str, Any]], folder: str) -> None:
    write(tmp_path / folder / "a.png", image)
    path = coco(tmp_path, annotations)
    for source in (path, tmp_path):
        _, labelled = only([source])
        np.testing.assert_array_equal(labelled.mask, MASK)
        assert labelled.valid is None


def test_coco_crowds_are_unknown_and_errors_name_the_annotation(tmp_path: Path, image: np.ndarray) -> None:
    write(tmp_path / "a.png", image)
    crowd = {"segmentation": [OTHER], "iscrowd": 1}
    _, labelled = only([coco(tmp_path, [{"segmentation": [SQUARE]}, crowd])])
    assert labelled.valid is not None
    np.testing.assert_array_equal(labelled.valid, ~rasterize([OTHER], (40, 50)))
    assert not labelled.mask[25:35, 2:9].any()
    assert not only([coco(tmp_path, [])])[1].mask.any()
    for wrong, message in [([[1, 2, 3, 4]], "at least 3 points"), ({"size": [4, 5], "counts": [20]}, "of shape"),
                        ({"size": [40, 50], "counts": [20]}, "cover 20 pixels")]:  # fmt: skip
        (one,) = list_labelled([coco(tmp_path, [{"segmentation": wrong}])])
        with pytest.raises(UnreadableMicrographError, match=f"annotation 0 of a.png: .*{message}"):
            one.read()
    path = coco(tmp_path, [])
    path.write_text(path.read_text().replace("a.png", "lost.png"))
    with pytest.raises(NothingToAnalyseError, match=r"its image 'lost\.png'"):
        list_labelled([path])
    for text in ('{}', '{"images": [{"file_name": "a.png"}], "annotations": []}',
                 '{"images": [], "annotations": [{"segmentation": []}]}'):  # fmt: skip
        path.write_text(text)
        with pytest.raises(NothingToAnalyseError, match="not a COCO file"):
            list_labelled([path])
    path.write_text('{"images": [], "annotations": [{"image_id": 3, "segmentation": []}]}')
    with pytest.raises(NothingToAnalyseError, match="annotations of image 3, which is not in its list"):
        list_labelled([path])


def test_an_image_without_a_finite_pixel_is_named(tmp_path: Path) -> None:
    lost = np.full((4, 64, 64, 1), np.nan, np.float32)
    one = list_labelled([stack(tmp_path / "lost.h5", images=lost)])[2]
    with pytest.raises(UnreadableMicrographError, match=r"lost\.h5, image 2: "):
        one.read()
    tifffile.imwrite(tmp_path / "lost.tif", lost[0, :40, :50, 0])
    path = coco(tmp_path, [])
    path.write_text(path.read_text().replace("a.png", "lost.tif"))
    with pytest.raises(UnreadableMicrographError, match=r"lost\.tif: "):
        only([path])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_compressed_run_lengths_are_those_of_pycocotools() -> None:
    mask_tools = pytest.importorskip("pycocotools.mask")
    noisy = np.random.default_rng(0).random((40, 50)) > 0.7
    for mask in (MASK, ~MASK, noisy):
        encoded = mask_tools.encode(np.asfortranarray(mask.astype(np.uint8)))
        runs = {"size": [40, 50], "counts": encoded["counts"].decode()}
        np.testing.assert_array_equal(rasterize(runs, (40, 50)), mask)
    # for a polygon, the two rasterizations differ along the outline only
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    disk = np.stack([25 + 15.3 * np.cos(angles), 20 + 12.1 * np.sin(angles)], axis=1).ravel().tolist()
    reference = mask_tools.decode(mask_tools.frPyObjects([disk], 40, 50))[..., 0] > 0
    drawn = rasterize([disk], (40, 50))
    assert 2 * (drawn & reference).sum() / (drawn.sum() + reference.sum()) > 0.97
    assert drawn.sum() == pytest.approx(np.pi * 15.3 * 12.1, rel=0.01)


def stack(path: Path, **others: Any) -> Path:
    images = np.random.default_rng(1).random((4, 64, 64, 1))
    maps = np.zeros((4, 64, 64, 2))
    maps[..., 1] = np.random.default_rng(2).random((4, 64, 64)) > 0.5
    maps[..., 0] = 1 - maps[..., 1]
    with h5py.File(path, "w") as file:
        for name, values in ({"images": images, "maps": maps} | others).items():
            file[name] = values
    return path


def test_the_papers_stacks(tmp_path: Path) -> None:
    path = stack(tmp_path / "au.h5")
    with h5py.File(path) as file:
        truth = file["maps"][2, :, :, 1] > 0
    listed = list_labelled([path])
    assert [one.micrograph_id for one in listed] == [f"au-0000{i}" for i in range(4)]
    assert len({one.group for one in listed}) == 4
    np.testing.assert_array_equal(listed[2].read().mask, truth)
    assert listed[2].read().image.shape == (64, 64)
    stack(tmp_path / "cdse.h5", micrograph=[b"m1", b"m1", b"m2", b"m1"])
    both = list_labelled([tmp_path], pixel_size_nm=0.02)
    assert len(both) == 8
    assert both[7].read().pixel_size_nm == (0.02, 0.02)
    assert len({one.group for one in both[4:]}) == 2


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"maps": np.zeros((4, 64, 64, 3))}, r"do not match"),
        ({"images": np.zeros((3, 64, 64, 1))}, r"do not match"),
        ({"micrograph": [1, 2]}, r"lists 2 micrographs for 4"),
    ],
)
def test_other_stacks_are_refused(tmp_path: Path, others: dict[str, Any], message: str) -> None:
    with pytest.raises(UnreadableMicrographError, match=message):
        list_labelled([stack(tmp_path / "a.h5", **others)])
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["images"] = np.zeros((1, 8, 8))
    with pytest.raises(UnreadableMicrographError, match="need datasets images"):
        list_labelled([tmp_path / "b.h5"])


def test_simulated_stores(tmp_path: Path, make_toy: Any, toy_ranges: Any) -> None:
    ranges = toy_ranges()
    for name in ("one", "two"):
        folder = Location.of(tmp_path / name)
        simulated_writing.create_simulated(folder, ranges={}, seed=0, code_version="0")
        for index in range(3):
            simulated_writing.write_simulated(folder, make_toy(ranges, 0, index))
        simulated_writing.gather_truth(folder)
    listed = list_labelled([tmp_path / "one", tmp_path / "two"])
    assert [one.micrograph_id for one in listed[2:4]] == ["sim-0-000002", "sim-0-000000#2"]
    assert len({one.group for one in listed}) == 6
    toy = make_toy(ranges, 0, 1)
    labelled = listed[1].read()
    np.testing.assert_array_equal(labelled.mask, toy.labels > 0)
    assert labelled.pixel_size_nm == (0.05, 0.05)
    assert not listed[2].read().mask.any()
    unfinished = Location.of(tmp_path / "three")
    simulated_writing.create_simulated(unfinished, ranges={}, seed=0, code_version="0")
    with pytest.raises(FileNotFoundError, match="cut off"):
        list_labelled([tmp_path / "three"])


def test_faint_particles_of_a_contrast_store_are_not_learned(tmp_path: Path) -> None:
    folder = Location.of(tmp_path / "con")
    simulated_writing.create_simulated(folder, ranges={}, seed=0, code_version="0", regime=CONTRAST)
    ranges = ContrastRanges(size_px=96, empty_fraction=0, annotated_fraction=0, median_diameter_px=(10, 20))
    ratios = {0: [-5.0, 0.69, np.nan, -0.69], 1: [0.7, -0.7]}
    made = {index: simulate_contrast_micrograph(ranges, seed=0, index=index) for index in ratios}
    for index, one in made.items():
        rows = one.particles.iloc[: len(ratios[index])].assign(contrast_to_noise=ratios[index])
        labels = np.zeros((96, 96), np.int32)
        for number in rows["particle_id"]:
            labels[20 * number : 20 * number + 10, 5:30] = number
        made[index] = dataclasses.replace(one, particles=rows, labels=labels)
        simulated_writing.write_simulated(folder, made[index], CONTRAST)
    simulated_writing.gather_truth(folder, CONTRAST)
    faint, clear = (one.read() for one in list_labelled([tmp_path / "con"]))
    np.testing.assert_array_equal(faint.mask, made[0].labels > 0)
    assert faint.valid is not None
    np.testing.assert_array_equal(faint.valid, ~np.isin(made[0].labels, [2, 3, 4]))
    assert clear.valid is None
    assert faint.pixel_size_nm is None
    np.testing.assert_array_equal(clear.image, make_labelled(made[1].image, MASK_96, pixel_size_nm=None).image)


MASK_96 = np.zeros((96, 96), bool)


def fake(n: int, per_group: int = 1) -> list[Labelled]:
    def read() -> LabelledMicrograph:
        raise AssertionError("a split reads nothing")

    return [Labelled(micrograph_id=f"m{i}", group=f"g{i // per_group}", read=read) for i in range(n)]


@pytest.mark.parametrize("per_group", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_splits_share_no_micrograph(per_group: int, seed: int) -> None:
    labelled = fake(60, per_group)
    split = split_by_group(labelled, validation_share=0.2, test_share=0.25, seed=seed)
    parts = [split.training, split.validation, split.test]
    groups = [{one.group for one in part} for part in parts]
    assert len(set.union(*groups)) == sum(len(group) for group in groups)
    assert sum(len(part) for part in parts) == 60
    assert [len(part) for part in parts] == [36, 9, 15]
    # whatever the order of the listing
    again = split_by_group(labelled[::-1], validation_share=0.2, test_share=0.25, seed=seed)
    assert {one.micrograph_id for one in again.validation} == {one.micrograph_id for one in split.validation}


def test_splits_differ_by_seed_and_have_limits() -> None:
    chosen = {tuple(one.micrograph_id for one in split_by_group(fake(40), validation_share=0.1, seed=s).validation)
              for s in range(5)}  # fmt: skip
    assert len(chosen) == 5
    assert len(split_by_group(fake(40), validation_share=0.5, validation_most=6).validation) == 6
    assert split_by_group(fake(1), validation_share=0).training
    with pytest.raises(SettingsError, match="separate --validation"):
        split_by_group(fake(1), validation_share=0.1)


def test_patches_of_one_micrograph_are_a_group(tmp_path: Path, image: np.ndarray) -> None:
    for name in ("a_patch1", "a_patch12", "a_tile_0_512", "b_patch1", "c"):
        write(tmp_path / "images" / f"{name}.png", image)
        write(tmp_path / "masks" / f"{name}.png", image)
    groups = {one.micrograph_id: Path(one.group).name for one in list_labelled([tmp_path])}
    assert groups == {"a_patch1": "a", "a_patch12": "a", "a_tile_0_512": "a", "b_patch1": "b", "c": "c"}


def test_real_layouts(data: Path) -> None:
    loops = data / "dislocation_loops"
    drawn = {one.micrograph_id: one.read() for one in list_labelled([loops])}
    polygons = {one.micrograph_id: one.read() for one in list_labelled([loops / "coco.json"])}
    assert sorted(drawn) == sorted(polygons) == [str(i) for i in range(1, 9)]
    for name, one in drawn.items():
        rasterized, mask = polygons[name].mask, one.mask
        # the masks of the data set include the pixels of the outline
        assert 2 * (rasterized & mask).sum() / (rasterized.sum() + mask.sum()) > 0.94
        np.testing.assert_array_equal(polygons[name].image, one.image)
    assert len(list_labelled([data / "tem_sintering"])) == 20


@pytest.mark.parametrize(("n_folds", "seed"), [(2, 0), (3, 1), (6, 2)])
def test_folds_hold_out_every_micrograph_once_and_whole_groups(n_folds: int, seed: int) -> None:
    labelled = [
        Labelled(micrograph_id=f"m{i}", group=f"g{i % 6}", read=lambda: make_labelled(MASK, MASK, pixel_size_nm=None))
        for i in range(14)
    ]
    folds = split_folds(labelled, n_folds, seed=seed)
    assert sorted(one.micrograph_id for fold in folds for one in fold) == sorted(one.micrograph_id for one in labelled)
    groups = [{one.group for one in fold} for fold in folds]
    assert sum(map(len, groups)) == 6  # no group is in two folds
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert folds == split_folds(list(labelled), n_folds, seed=seed)


@pytest.mark.parametrize("n_folds", [1, 3])
def test_folds_need_enough_groups(n_folds: int) -> None:
    labelled = [
        Labelled(micrograph_id=f"m{i}", group=f"g{i % 2}", read=lambda: make_labelled(MASK, MASK, pixel_size_nm=None))
        for i in range(8)
    ]
    with pytest.raises(SettingsError, match=rf"{n_folds} folds need"):
        split_folds(labelled, n_folds)
