"""The paper's tables from small files of the published layout, against an independent computation."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from distributed import Client
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from sklearn.utils import shuffle

from hrtem_dask.batch.reproduction.forest_scores import _patch_features
from hrtem_dask.batch.reproduction.reproduce import Reproduction, reproduce_groschner2021
from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.fourier.groschner2021 import groschner2021_features
from hrtem_dask.reproduction.published_files import find_published
from hrtem_dask.reproduction.segmentation_comparison import SegmentationRow
from hrtem_dask.segmentation.networks.config import groschner2021_config
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.segmentation.weights import load_model, save_model
from hrtem_dask.tables import REGION_CLASSES

NAMES = {
    "all": ("Bal_MedFilt_AuCdSeDots_20190726_v2.h5", "Bal_MedFilt_AuCdSeDots_20190726_maps_v2.h5"),
    "CdSe": ("Bal_MedFilt_CdSeRelabel512Images_20190726.h5", "Bal_unFilt_CdSeRelabel512Images_20190724_maps.h5"),
    "Au": ("Bal_MedFilt_cutimages_20190726.h5", "Bal_unFilt_cutimages_20190423_maps.h5"),
}
JOINT = "the paper's network"


def write_stack(folder: Path, group: str, n: int, rng: np.random.Generator, size: int = 64) -> None:
    """Darker disks on noise, filtered and scaled as the published stacks are; one-hot maps."""
    y, x = np.indices((size, size))
    images = rng.random((n, size, size))
    particle = np.zeros((n, size, size), bool)
    for i in range(n):
        cy, cx = rng.integers(size // 4, 3 * size // 4, 2)
        particle[i] = (y - cy) ** 2 + (x - cx) ** 2 <= (size // 6) ** 2
        images[i][particle[i]] *= 0.9
    images -= images.min(axis=(1, 2), keepdims=True)
    images /= images.max(axis=(1, 2), keepdims=True)
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / NAMES[group][0], "w") as file:
        file["images"] = images[..., None]
    with h5py.File(folder / NAMES[group][1], "w") as file:
        file["maps"] = np.stack([~particle, particle], axis=-1).astype(float)


def write_network(path: Path, seed: int) -> Path:
    """A network of the paper's kind that nobody trained; half of its pixels are particle."""
    torch.manual_seed(seed)
    network = UNet(groschner2021_config())
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # statistics are learned in one pass
    noise = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        network(noise)
        network.eval()
        background, particle = network(noise).unbind(dim=1)
        network.final.bias[1] -= torch.median(particle - background)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(network, path)
    return path


def write_crops(folder: Path, rng: np.random.Generator, n: int = 24) -> None:
    """Grey 8-bit pictures that differ in brightness and graininess, not so far that a forest makes no mistake."""
    for k, name in enumerate(("agglomeration", "empty", "no", "no_fringe", "yes")):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            shape = tuple(rng.integers(40, 60, 2))
            picture = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), 0.6 + 0.25 * k)
            picture = (90 + 6 * k + 25 * picture + rng.normal(0, 6)).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"particle_{i:03d}.png"), picture)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("published"), np.random.default_rng(2021)
    for group in NAMES:
        write_stack(root / "zenodo", group, 6, rng)
    for seed, name in enumerate(("unet32_AuCdSeDots_09_final", "unet481632_AuDots_07b_final")):
        write_network(root / "trained_models" / f"{name}.safetensors", seed)
    write_network(root / "trained_models" / "unet48163232_AuCdSeDots.safetensors", 7)  # an older one, not final
    write_crops(root / "RandomForest_labeling" / "relabeling", rng)
    return root


@pytest.fixture(scope="module")
def reproduction(published: Path, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    return reproduce_groschner2021(
        published, out=tmp_path_factory.mktemp("out"), n_training=2, n_orders=1, device="cpu", cluster=client
    )


def row(reproduction: Reproduction, network: str, group: str) -> SegmentationRow:
    return next(r for r in reproduction.segmentation if (r.network, r.group) == (network, group))


@pytest.mark.parametrize(("network", "group", "file"), [
    (JOINT, "all", "unet32_AuCdSeDots_09_final"),
    (JOINT, "CdSe", "unet32_AuCdSeDots_09_final"),
    (f"{JOINT} of Au alone", "Au", "unet481632_AuDots_07b_final"),
])  # fmt: skip
def test_table_1_by_torch_and_scikit_learn(
    published: Path, reproduction: Reproduction, network: str, group: str, file: str
) -> None:
    with (
        h5py.File(published / "zenodo" / NAMES[group][0]) as images,
        h5py.File(published / "zenodo" / NAMES[group][1]) as maps,
    ):
        x, truth = images["images"][2:, ..., 0].astype(np.float32), maps["maps"][2:, ..., 1] > 0.5
    unet = load_model(published / "trained_models" / f"{file}.safetensors")
    with torch.no_grad():
        predicted = torch.softmax(unet(torch.from_numpy(x)[:, None]), dim=1)[:, 1].numpy() >= 0.5
    precision, recall, f1, _ = precision_recall_fscore_support(truth.ravel(), predicted.ravel(), average="binary")
    ours = row(reproduction, network, group)
    assert len(ours.images) == 4
    c = ours.confusion
    # engines round differently: a pixel in some thousand lies on the threshold
    assert [[c.true_negative, c.false_positive], [c.false_negative, c.true_positive]] == pytest.approx(
        confusion_matrix(truth.ravel(), predicted.ravel()), abs=3
    )
    assert (c.precision, c.recall, c.dice) == pytest.approx((precision, recall, f1), abs=2e-3)
    each = [f1_score(t.ravel(), s.ravel()) for t, s in zip(truth, predicted, strict=True)]
    assert ours.dice_mean == pytest.approx(np.mean(each), abs=2e-3)


def test_every_network_judges_what_it_should(reproduction: Reproduction) -> None:
    assert [(r.network, r.group) for r in reproduction.segmentation] == [
        *((JOINT, g) for g in NAMES), (f"{JOINT} of Au alone", "Au"), *(("the bundled network", g) for g in NAMES),
    ]  # fmt: skip


def test_figure_5f_by_scikit_learn(published: Path, reproduction: Reproduction) -> None:
    folders = {"agglomeration": "agglomeration", "no_stacking_fault": "no", "misoriented": "no_fringe",
               "stacking_fault": "yes", "no_particle": "empty"}  # fmt: skip
    root = published / "RandomForest_labeling" / "relabeling"
    pictures = [(k, cv2.imread(str(p), 0)) for k, f in folders.items() for p in sorted((root / f).glob("*.png"))]
    x = np.array([list(groschner2021_features(picture).values()) for _, picture in pictures])
    x, y = shuffle(x, np.array([kind for kind, _ in pictures]), random_state=0)
    forest = RandomForestClassifier(500, oob_score=True, random_state=0).fit(x[:60], y[:60])
    truth, predicted = y[90:], forest.predict(x[90:])
    weights = np.array([(truth == kind).mean() for kind in truth])  # the notebook's class_weights
    assert 0.3 < forest.score(x[90:], truth) < 0.99  # else the matrix below would say little
    ours = next(f for f in reproduction.forests if f.name == "pictures alone")
    assert ours.n_training == 60
    assert ours.out_of_bag == forest.oob_score_
    np.testing.assert_array_equal(ours.confusion.counts, confusion_matrix(truth, predicted, labels=REGION_CLASSES))
    assert ours.confusion.frequency_weighted_accuracy == pytest.approx(forest.score(x[90:], truth, weights))
    assert ours.confusion.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert (
        ours.confusion.oriented_share(predicted=True)
        == np.isin(predicted, ["stacking_fault", "no_stacking_fault"]).mean()
    )


def test_carbon_fills_up_the_empty_regions(published: Path, reproduction: Reproduction) -> None:
    """Patches of background alone, of the CdSe stack; in [0, 1] they differ from the pictures by scale."""
    assert [f.name for f in reproduction.forests] == [
        "with carbon, as the notebook", "with carbon in 8 bits", "pictures alone",
    ]  # fmt: skip
    (note,) = [note for note in reproduction.notes if "patches of carbon" in note]
    n_patches = int(note.split(": ")[1].split()[0])
    assert 0 < n_patches <= 6
    for forest in reproduction.forests[:2]:
        assert forest.n_training + 2 * forest.confusion.counts.sum() == 120 + n_patches
    stack = find_published(published).stacks["CdSe"]
    for index in range(stack.n):
        measured = _patch_features(index, stack)
        if measured is not None:
            unscaled, scaled = measured
            # but for the centre of mass, features are proportional to the intensity; 8 bits round
            ratio = np.array(scaled) / unscaled
            np.testing.assert_allclose(ratio[[0, 1, 3, 4]], 255, rtol=0.01)
            assert ratio[2] == pytest.approx(1, abs=0.01)


def test_what_is_written(reproduction: Reproduction) -> None:
    folder = Path(reproduction.folder.url)
    numbers = json.loads((folder / "reproduction.json").read_text())
    assert numbers["segmentation"][0]["paper"] == {"dice": "0.8", "precision": "0.82", "recall": "0.78"}
    assert numbers["segmentation"][0]["dice"] == row(reproduction, JOINT, "all").confusion.dice
    text = (folder / "reproduction.md").read_text()
    for line in (
        "| combined | the paper, as printed | 43 in all | 0.8 | 0.82 | 0.78 | – |",
        "0.864",
        "52% / 49%",
        "Figure 5f",
    ):
        assert line in text
    for figure in ("figure2.svg", "figure5f.svg"):
        assert (folder / figure).read_text().startswith("<svg")


def test_missing_parts_are_named_and_the_others_are_used(
    tmp_path: Path, client: Client, rng: np.random.Generator, messages: Callable[[], list[str]]
) -> None:
    for group in ("CdSe", "Au"):
        write_stack(tmp_path / "in", group, 3, rng)
    weights = write_network(tmp_path / "elsewhere" / "unet32_AuCdSeDots_09_final.safetensors", 0)
    r = reproduce_groschner2021(
        tmp_path / "in",
        out=tmp_path / "out",
        weights=[weights.parent],
        bundled=False,
        device="cpu",
        cluster=client,
    )
    assert [x.split(":")[0] for x in r.missing] == [
        "Bal_MedFilt_AuCdSeDots_*.h5 with its maps",
        "labeled regions in agglomeration/, empty/, no/, no_fringe/, yes/",
    ]  # fmt: skip
    assert {line.removeprefix("missing: ") for line in messages()} >= set(r.missing)
    both = row(r, JOINT, "CdSe").confusion + row(r, JOINT, "Au").confusion
    assert row(r, JOINT, "all").confusion == both
    assert any("no more than the 129 of the training set" in note for note in r.notes)
    assert [table.title.split(":")[0] for table in r.tables()] == ["Table 1", "Figure 2"]


def test_bad_files_are_lines(published: Path, tmp_path: Path, client: Client, rng: np.random.Generator) -> None:
    write_crops(tmp_path / "in" / "crops", rng, n=4)
    broken = tmp_path / "in" / "crops" / "yes" / "particle_000.png"
    broken.write_bytes(broken.read_bytes()[:60])
    cv2.imwrite(str(tmp_path / "in" / "crops" / "no" / "particle_001.png"), np.full((40, 40), 7, np.uint8))
    colours = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "in" / "crops" / "no" / "particle_002.png"), colours)
    (tmp_path / "in" / "CdSe_images.h5").write_bytes(b"no HDF5")
    r = reproduce_groschner2021(tmp_path / "in", out=tmp_path / "out", n_orders=1, bundled=False, cluster=client)
    (forest,) = r.forests
    assert forest.n_training + 2 * forest.confusion.counts.sum() == 17
    for name, reason in (
        ("yes/particle_000.png", ""), ("no/particle_001.png", "same value, 7"), ("no/particle_002.png", "color"),
        ("CdSe_images.h5", "cannot be read as HDF5"),
    ):  # fmt: skip
        (line,) = [note for note in r.notes if name in note]
        assert reason in line
    with pytest.raises(NothingToAnalyseError, match="contains neither stacks"):
        reproduce_groschner2021(published / "trained_models", out=tmp_path / "out", cluster=client)


def test_the_authors_networks(data: Path, tmp_path: Path, client: Client, rng: np.random.Generator) -> None:
    """Their weights on small stacks of the published layout, against the outputs of their own code."""
    reference = np.load(data / "pynanofind" / "reference" / "inputs.npz")
    softmax = np.load(data / "pynanofind" / "reference" / "keras_softmax_f32.npz")
    names = ["overlay_cell24", "rand_normal_minmax"]  # which reach from 0 to 1
    images = np.stack([reference[n] / (65535 if reference[n].dtype == np.uint16 else 1) for n in names])
    truth = rng.random(images.shape) < 0.3
    with h5py.File(tmp_path / NAMES["CdSe"][0], "w") as file:
        file["images"] = images[..., None]
    with h5py.File(tmp_path / NAMES["CdSe"][1], "w") as file:
        file["maps"] = np.stack([~truth, truth], axis=-1)
    r = reproduce_groschner2021(
        tmp_path, out=tmp_path / "out", weights=[data / "pynanofind" / "weights"], n_training=0, bundled=False,
        device="cpu", cluster=client,
    )  # fmt: skip
    for network, model in ((JOINT, "AuCdSe"), (f"{JOINT} of CdSe alone", "CdSe")):
        predicted = np.stack([softmax[f"{model}/{n}"] for n in names]) >= 0.5
        expected = confusion_matrix(truth.ravel(), predicted.ravel())
        c = row(r, network, "CdSe").confusion
        assert [[c.true_negative, c.false_positive], [c.false_negative, c.true_positive]] == pytest.approx(
            expected, abs=5
        )
