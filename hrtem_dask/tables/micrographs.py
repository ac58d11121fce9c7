"""Columns of the table of micrographs, and of how they were analysed."""

from __future__ import annotations

from typing import Literal

from hrtem_dask.tables.columns import ID, SAMPLE, Column, Schema

__all__ = ["ANALYZED_STATUSES", "EXECUTION", "LATTICE_FLAGS", "MICROGRAPHS", "STATUSES", "Status"]

Status = Literal["done", "empty", "set_aside", "failed"]
STATUSES: tuple[Status, ...] = ("done", "empty", "set_aside", "failed")
"""How the analysis of a micrograph can end."""
ANALYZED_STATUSES: tuple[Status, ...] = ("done", "empty")
"""Statuses of micrographs that were taken through every stage and have labels."""
LATTICE_FLAGS = ("off_lattice", "lattice_not_confirmed", "no_lattice_match")
"""Values of ``calibration_flags`` that the analysis adds to those of the listing, from the lattice of a material."""

MICROGRAPHS: Schema = (
    ID,
    SAMPLE,
    Column("source", "str", "file, with '::member' for a file in an archive"),
    Column("signal", "int", "number of the signal in its file"),
    Column("frame", "int", "number of the 2-D image in a stack"),
    Column("title", "str", "the file's own name for the signal"),
    Column("status", "str", "done, empty (no particle), set_aside or failed"),
    Column("reason", "str", "why it was set aside or failed, or what an unusual field holds, in words"),
    Column(
        "field_kind",
        "str",
        "particles, or one_crystal: one crystal fills the field, see the tables windows and fault_traces; null where "
        "nothing was found",
    ),
    Column(
        "corrected", "bool", "whether its labels are those that `hrtem-dask correct` took back, not the segmenter's"
    ),
    Column(
        "verdict",
        "str",
        "trusted or doubtful; null where nothing was segmented, or nothing predicts the quality of the mask",
        "",
        "doubtful if there is any of the reasons in doubt_reasons; see analysis.verdict",
    ),
    Column("doubt_reasons", "str", "why it is doubtful: short phrases, separated by '; '; null where it is not"),
    Column("height_px", "int", "image height", "px"),
    Column("width_px", "int", "image width", "px"),
    Column("dtype", "str", "data type in the file"),
    Column("pixel_size_y_nm", "float", "pixel height", "nm"),
    Column("pixel_size_x_nm", "float", "pixel width", "nm"),
    Column("pixel_size_source", "str", "where the pixel size comes from: 'file: …', 'user', 'metadata' or 'none'"),
    Column(
        "calibration_flags",
        "str",
        "doubts about the pixel size, comma-separated: missing, non_square, implausible, contradictory, "
        "unset_pixel (exactly 1 nm, or 1 Å in an MRC file, as programs write where none was set), off_lattice, "
        "lattice_not_confirmed (one family of planes, or no angles), no_lattice_match",
    ),
    Column(
        "lattice_scale_ratio",
        "float",
        "measured over known lattice spacing of the stated material; 1 where the pixel size is right",
    ),
    Column("voltage_kv", "float", "acceleration voltage", "kV"),
    Column("magnification", "float", "magnification as the file states it"),
    Column("instrument", "str", "microscope as the file names it"),
    Column("acquired_at", "str", "time of acquisition, ISO 8601, as the file states it"),
    Column(
        "imaging",
        "str",
        "how the file says that the image was taken: dark field or bright field with its words, or STEM; null where it "
        "does not say",
        "",
        "see loading.imaging",
    ),
    Column(
        "particles_are",
        "str",
        "dark or bright, as the segmenter took them: as set, else bright where `imaging` is dark field or STEM",
    ),
    Column("n_regions", "int", "connected pieces of the mask, gaps bridged"),
    Column("n_particles", "int", "particles, counted or not"),
    Column("n_counted", "int", "particles that enter statistics"),
    Column(
        "n_too_small",
        "int",
        "objects below the counting limit: particles that are too_small, and pieces of the mask that cleaning removed",
    ),
    Column(
        "n_uncertain",
        "int",
        "pieces of the mask that are no particles, because the network is not sure of them",
        "",
        "mean probability below particles.min_mean_probability",
    ),
    Column(
        "coverage",
        "float",
        "share of the image that is particle",
        "",
        "particle pixels / all pixels of the image that are no burnt-in mark",
    ),
    Column(
        "field_height_px",
        "float",
        "height of the part that is image: less than height_px where pixels are missing at its border",
        "px",
        "see filtering.image_field",
    ),
    Column("field_width_px", "float", "width of the part that is image", "px", "see filtering.image_field"),
    Column(
        "marked_fraction",
        "float",
        "share of the image that is burnt-in marks, such as scale bars; 0 where none was looked for",
    ),
    Column(
        "regime",
        "str",
        "how the U-Net got its scale: lattice (from the pixel size) or contrast (from the image); null without a U-Net",
    ),
    Column("network_scale", "float", "network pixels per pixel of the image; null without a U-Net or detector"),
    Column(
        "network_scale_score",
        "float",
        "how well that scale suits the image, higher is better; null where no scale showed a particle",
        "",
        "see segmentation.scales",
    ),
    Column(
        "network_scale_margin",
        "float",
        "how clearly the scale was found: its score minus that of the best clearly different scale",
        "",
        "see segmentation.scales",
    ),
    Column(
        "pixel_size_in_training",
        "bool",
        "whether the pixel size is near those of the images that the U-Net was trained on; null in the contrast regime",
        "",
        "see segmentation.quality.dice_model",
    ),
    Column(
        "median_diameter_network_px",
        "float",
        "median diameter of the counted particles in network pixels; null without a U-Net or detector",
        "network px",
        "median of equivalent_diameter_px × network_scale",
    ),
    Column(
        "area_to_number_median",
        "float",
        "median diameter by particle area over that by number: 1 for equal particles; specks raise it",
        "",
        "equivalent diameter of counted particles below which half of the particle area lies, over their median",
    ),
    Column(
        "fused_area_fraction",
        "float",
        "share of the area of all outlines in those that hold many particles, such as a raft; null with lattice "
        "fringes and without a U-Net",
        "",
        "see analysis.fused_particles",
    ),
    Column(
        "seam_score",
        "float",
        "largest logit difference between overlapping tiles; 0 where seams are exact, null for whole images",
    ),
    Column(
        "mask_agreement",
        "float",
        "agreement of the U-Net's masks of the image turned and mirrored, 0 to 1; null where it was not asked for",
        "",
        "mean Dice of all pairs of masks; see segmentation.quality.agreement",
    ),
    Column(
        "predicted_dice",
        "float",
        "Dice coefficient to be expected of the mask, guessed without labels; null for an empty mask, and where "
        "the model is not calibrated",
        "",
        "logistic in the terms of segmentation.quality.dice_model, fitted on simulated micrographs",
    ),
    Column(
        "quality_flags",
        "str",
        "doubts about the image, comma-separated: blur, drift, empty_field, saturation, gradient, duplicate, "
        "possible_duplicate, mask, fourier_transform, diffraction, illuminated_disk, voltage (fault states are unknown "
        "because the classifier does not hold for it)",
    ),
    Column(
        "edge_position_px",
        "float",
        "how far outlines may lie further in or out; null without a network, and for corrected labels",
        "px",
        "half the mean distance over which the probability falls from 3/4 to 1/4 across outlines",
    ),
    Column("sharpness", "float", "power above white noise at high frequency, 0 (blurred) to 1; see loading.quality"),
    Column("anisotropy", "float", "second harmonic over angle of the power spectrum, 0 to 1: drift or astigmatism"),
    Column(
        "mass_contrast", "float", "variance of 1 nm blocks over what noise and granularity give; 1 without particles"
    ),
    Column("peak_snr", "float", "strongest peak of the power spectrum over the median power of its ring"),
    Column("saturated_fraction", "float", "share of pixels at the end of the range"),
    Column("gradient", "float", "intensity change of the fitted plane across the field over the mean"),
    Column("n_nonfinite", "int", "NaN and infinite pixels, replaced before analysis"),
    Column("duplicate_of", "str", "micrograph_id of the micrograph of the same field that is counted"),
    Column("image_hash", "str", "hash of the pixels"),
    Column("source_hash", "str", "hash of the file"),
    Column("settings_hash", "str", "hash of every setting that decides the result"),
    Column("model_hash", "str", "hash of the segmentation model's file"),
    Column("defect_model_hash", "str", "hash of the defect model's file"),
    Column("code_version", "str", "version of hrtem_dask"),
)

EXECUTION: Schema = (
    ID,
    Column("attempts", "int", "times the task ran"),
    Column("seconds_read", "float", "time to read", "s"),
    Column("seconds_filter", "float", "time to filter", "s"),
    Column("seconds_segment", "float", "time to segment", "s"),
    Column("seconds_particles", "float", "time to label, split and measure", "s"),
    Column("seconds_fourier", "float", "time for power spectra", "s"),
    Column("seconds_defects", "float", "time to classify regions", "s"),
    Column("seconds_write", "float", "time to write labels and overlay", "s"),
    Column("worker", "str", "worker that ran it"),
    Column("device", "str", "cpu or cuda"),
    Column("engine", "str", "what ran the network"),
    Column("peak_memory_mib", "float", "largest memory of the worker so far", "MiB"),
    Column("out_of_memory_steps", "str", "steps taken when memory ran out or a worker died, in order"),
    Column("finished_at", "str", "time, ISO 8601, UTC"),
)
