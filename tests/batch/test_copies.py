"""Copies of one field: counted once in a run, and named by `inspect` with the same reasons."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from distributed import Client

import hrtem_dask as hd
from hrtem_dask.batch.inspection import inspect_files
from hrtem_dask.population.same_fields import same_field_lines
from hrtem_dask.settings import Settings

MakeTiff = Callable[..., Path]


def field(seed: int, noise: int = 20, exposure: int = 0) -> np.ndarray:
    """Six disks at places of their own, 40 px across; the exposure changes only the noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    image = np.full((256, 256), 2000.0)
    for place in rng.permutation(9)[:6]:
        cy, cx = 45 + 80 * (place // 3) + rng.integers(-8, 8), 45 + 80 * (place % 3) + rng.integers(-8, 8)
        image[(y - cy) ** 2 + (x - cx) ** 2 <= 20**2] = 1200
    image = cv2.GaussianBlur(image, (0, 0), 1)
    return (image + np.random.default_rng([seed, exposure]).normal(0, noise, image.shape)).astype(np.uint16)


def bits_8(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, [0.5, 99.5])
    return ((image - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def statuses(folder: Path, out: Path, settings: Settings, client: Client) -> pd.Series:
    """Status by name of the file after a run; `inspect` must say the same."""
    hd.run(folder, out, settings=settings, cluster=client)
    ran, listed = hd.open_results(out).micrographs, inspect_files(folder, settings=settings)
    assert list(listed["status"].replace("ok", "done")) == list(ran["status"].replace("empty", "done"))
    aside = (ran["status"] == "set_aside").to_numpy()
    assert list(listed["reason"][aside]) == list(ran["reason"][aside])
    names = [
        Path(source).name + (f" {frame}" if frame else "")
        for source, frame in zip(ran["source"], ran["frame"], strict=True)
    ]
    return pd.Series(list(ran["status"]), index=names)


def test_one_of_several_copies_is_counted(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    given = tmp_path / "in"
    image = field(1)
    make_tiff(given / "img.tif", image)
    (given / "img - Copy.tif").write_bytes((given / "img.tif").read_bytes())
    (given / "img (1).tif").write_bytes((given / "img.tif").read_bytes())
    os.link(given / "img.tif", given / "linked.tif")
    (given / "symbolic.tif").symlink_to(given / "img.tif")
    make_tiff(given / "img_8bit.tif", bits_8(image))
    make_tiff(given / "img_float.tif", image.astype(np.float32))
    make_tiff(given / "zz small.tif", cv2.resize(bits_8(field(2)), (128, 128), interpolation=cv2.INTER_AREA), 0.1)
    make_tiff(given / "other.tif", field(2))
    found = statuses(given, tmp_path / "out", settings, client)
    assert set(found.index[found == "done"]) == {"img.tif", "other.tif", "zz small.tif"}
    results = hd.open_results(tmp_path / "out")
    assert len(results.particles) == 6 + 6 + 6
    rows = results.micrographs
    kept = rows.loc[rows["source"].str.endswith("/img.tif"), "micrograph_id"].item()
    copies = rows[rows["status"] == "set_aside"]
    assert set(copies["duplicate_of"]) == {kept}
    assert copies["reason"].str.startswith("the same image as img.tif").all()


def test_smaller_and_compressed_exports_with_marks_are_no_second_field(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    given = tmp_path / "in"
    image = cv2.resize(field(1).astype(np.float32), (1024, 1024), interpolation=cv2.INTER_CUBIC)
    image = (image + np.random.default_rng(3).normal(0, 60, image.shape)).astype(np.uint16)
    make_tiff(given / "img.tif", image)
    make_tiff(given / "half.tif", cv2.resize(bits_8(image), (512, 512), interpolation=cv2.INTER_AREA), 0.1)
    with_bar = bits_8(image)
    with_bar[960:1000, 30:300] = 255
    cv2.imwrite(str(given / "bar.jpg"), with_bar, [cv2.IMWRITE_JPEG_QUALITY, 90])
    in_pixels = settings.updated({"loading": {"pixels": True}})
    found = statuses(given, tmp_path / "out", in_pixels, client)
    assert list(found.index[found == "done"]) == ["img.tif"]


def test_exposures_frames_and_empty_fields_are_kept(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    given = tmp_path / "in"
    for exposure in range(3):
        make_tiff(given / f"t{exposure}.tif", field(1, exposure=exposure))
    make_tiff(given / "once more.tif", bits_8(field(1, exposure=9)))
    noise = np.random.default_rng(0)
    for k in range(2):
        make_tiff(given / f"empty {'ab'[k]}.tif", noise.normal(2000, 20, (256, 256)).astype(np.uint16))
        make_tiff(given / f"constant {'ab'[k]}.tif", np.full((256, 256), 9, np.uint16))
    movie = np.stack([field(4, exposure=t) for t in range(3)])
    tifffile.imwrite(given / "movie.tif", movie, imagej=True, resolution=(20, 20), metadata={"unit": "nm"})
    found = statuses(given, tmp_path / "out", settings, client)
    assert set(found) <= {"done", "empty"}
    assert len(found) == 4 + 4 + 3


def test_frames_that_were_exported_are_copies_of_their_own_frame(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    given = tmp_path / "in"
    given.mkdir()
    movie = np.stack([field(4, exposure=t) for t in range(3)])
    tifffile.imwrite(given / "movie.tif", movie, imagej=True, resolution=(20, 20), metadata={"unit": "nm"})
    for t in (0, 2):
        make_tiff(given / f"frame {t} export.tif", bits_8(movie[t]))
    hd.run(given, tmp_path / "out", settings=settings, cluster=client)
    rows = hd.open_results(tmp_path / "out").micrographs.set_index("micrograph_id")
    copies = rows[rows["status"] == "set_aside"]
    assert {(Path(r.source).name, int(rows.loc[r.duplicate_of, "frame"])) for r in copies.itertuples()} == {
        ("frame 0 export.tif", 0), ("frame 2 export.tif", 2),
    }  # fmt: skip


def test_detectors_in_files_beside_each_other(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    given = tmp_path / "in"
    make_tiff(given / "gold_BF.tif", field(1, exposure=1))
    make_tiff(given / "gold_HAADF.tif", (4000 - field(1, exposure=2)).astype(np.uint16))
    make_tiff(given / "silver_BF.tif", field(2))
    make_tiff(given / "silver_HAADF.tif", (4000 - field(3)).astype(np.uint16))  # another place
    found = statuses(given, tmp_path / "out", settings, client)
    assert list(found.index[found == "set_aside"]) == ["gold_BF.tif"]


def test_contradicting_pixel_sizes_are_said_and_copies_can_be_kept(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    given = tmp_path / "in"
    make_tiff(given / "a.tif", field(1), 0.05)
    make_tiff(given / "b.tif", field(1), 0.08)
    keep = settings.updated({"loading": {"duplicates": "keep"}})
    summary = hd.run(given, tmp_path / "out", settings=keep, cluster=client)
    assert summary.counts["done"] == 2
    assert same_field_lines(summary.same_fields)[0] == (
        "1 micrograph shows the field of another one, and is counted again"
    )
    rows = hd.open_results(tmp_path / "out").micrographs
    assert "duplicate" in rows["quality_flags"].iloc[1].split(",")
    assert "their pixel sizes contradict each other: 0.05 and 0.08 nm" in rows["reason"].iloc[1]
    again = hd.run(given, tmp_path / "out", settings=settings, cluster=client)
    assert again.n_skipped == 2, "whether copies are counted is no reason to analyze again"
    assert again.counts["set_aside"] == 1
    assert again.same_fields["set_aside"][0]["micrograph"] == rows["micrograph_id"].iloc[1]


@pytest.mark.parametrize("native", [True, False])
def test_the_file_of_the_microscope_is_kept(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff, native: bool
) -> None:
    import mrcfile

    given = tmp_path / "in"
    make_tiff(given / "a.tif", field(1) if native else bits_8(field(1)))
    with mrcfile.new(given / "z.mrc") as mrc:
        mrc.set_data(field(1))
        mrc.voxel_size = 0.5
    found = statuses(given, tmp_path / "out", settings, client)
    assert list(found.index[found == "done"]) == ["z.mrc"]


def test_a_burnt_in_copy_on_the_second_page_is_no_second_field(
    tmp_path: Path, settings: Settings, client: Client
) -> None:
    (tmp_path / "in").mkdir()
    image = field(3)
    copy = bits_8(image)
    copy[225:240, 20:120] = 255
    with tifffile.TiffWriter(tmp_path / "in" / "a.tif") as writer:
        for page in (image, copy):
            writer.write(
                page, photometric="minisblack", contiguous=False, metadata=None, resolution=(2e8, 2e8),
                resolutionunit="CENTIMETER",
            )  # fmt: skip
    assert list(statuses(tmp_path / "in", tmp_path / "r", settings, client)) == ["done", "set_aside"]


def test_masks_and_transforms_beside_their_micrograph(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    image = field(5)
    make_tiff(tmp_path / "in" / "a.tif", image)
    make_tiff(tmp_path / "in" / "Mask of a.tif", cv2.medianBlur(((image < 1600) * 255).astype(np.uint8), 5))
    spectrum = np.log(np.abs(np.fft.fftshift(np.fft.fft2(image.astype(float)))) + 1)
    make_tiff(tmp_path / "in" / "a_2.tif", spectrum.astype(np.float32))
    make_tiff(tmp_path / "in" / "nothing.tif", np.full((64, 64), np.nan, np.float32))
    given = {"Mask of a.tif": "set_aside", "a.tif": "done", "a_2.tif": "set_aside", "nothing.tif": "failed"}
    assert dict(statuses(tmp_path / "in", tmp_path / "r", settings, client)) == given
    flagged = settings.updated({"quality": {"no_micrographs": "flag"}})
    assert dict(statuses(tmp_path / "in", tmp_path / "r2", flagged, client)) == {
        **dict.fromkeys(given, "done"), "nothing.tif": "failed"
    }  # fmt: skip


def test_turned_and_mirrored_copies_are_counted_once(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    """Programs disagree on which row of an MRC file is the first one; such copies were counted twice without a word."""
    given = tmp_path / "in"
    image = field(1)[:, :200]
    make_tiff(given / "img.tif", image)
    make_tiff(given / "img mirrored.tif", image[::-1].copy())
    make_tiff(given / "img turned.tif", np.rot90(image).astype(np.float32))
    make_tiff(given / "img as it was.tif", image.astype(np.float32) + 0.0)
    make_tiff(given / "another exposure.tif", field(1, exposure=1)[::-1, :200].copy())
    make_tiff(given / "same values.tif", np.random.default_rng(0).permutation(image.ravel()).reshape(image.shape))
    found = statuses(given, tmp_path / "out", settings, client)
    assert set(found.index[found == "set_aside"]) == {"img mirrored.tif", "img turned.tif", "img as it was.tif"}
    rows = hd.open_results(tmp_path / "out").micrographs.set_index(found.index)
    for name in ("img mirrored.tif", "img turned.tif"):
        reason = "the same image as img.tif (same pixels, turned by a right angle or mirrored)"
        assert rows.loc[name, "reason"] == reason
        assert rows.loc[name, "duplicate_of"] == rows.loc["img.tif", "micrograph_id"]
