"""What the lazy API computes for one micrograph: functions of one task each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from hrtem_dask import backend, tables
from hrtem_dask.batch.run.record_analysis import Analysed, ReadRecord, SegmentedRecord, segment_record
from hrtem_dask.errors import CalibrationError, UnreadableMicrographError
from hrtem_dask.segmentation import Segmentation
from hrtem_dask.settings import Settings

__all__ = ["image_of", "labels_of", "mask_of", "probability_of", "rows_of", "segment_on_host"]


def image_of(read: ReadRecord) -> np.ndarray:
    """Return the image of one micrograph.

    Parameters
    ----------
    read : ReadRecord
        From `read_record`.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), as it is in the file.

    Raises
    ------
    Exception
        The error for which it could not be read.
    """
    if read.image is None:
        raise read.error or UnreadableMicrographError(f"{read.record.source.path} holds no image")
    return read.image


def segment_on_host(read: ReadRecord, settings: Settings) -> SegmentedRecord:
    """Prepare and segment one image.

    Parameters
    ----------
    read : ReadRecord
        From `read_record`.
    settings : Settings
        All settings.

    Returns
    -------
    SegmentedRecord
        With arrays on the host, so that any worker can go on with them.
    """
    done = segment_record(read, settings, always=True)
    if done.segmented is None or done.segmented.segmentation is None:
        return done
    segmentation = done.segmented.segmentation
    on_host = replace(
        segmentation,
        probability=backend.to_numpy(segmentation.probability),
        mask=backend.to_numpy(segmentation.mask),
    )
    return replace(done, segmented=replace(done.segmented, segmentation=on_host))


def _segmentation(segmented: SegmentedRecord) -> Segmentation:
    """Return the segmentation of one micrograph, or raise why there is none."""
    if segmented.segmented is None:
        raise segmented.error or UnreadableMicrographError(f"{segmented.read.record.source.path} was not segmented")
    if segmented.segmented.segmentation is None:
        raise CalibrationError(segmented.segmented.set_aside)
    return segmented.segmented.segmentation


def probability_of(segmented: SegmentedRecord) -> np.ndarray:
    """Return the particle probability of one micrograph.

    Parameters
    ----------
    segmented : SegmentedRecord
        From `segment_on_host`.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x).

    Raises
    ------
    Exception
        The error for which it could not be segmented.
    """
    return np.asarray(_segmentation(segmented).probability)


def mask_of(segmented: SegmentedRecord) -> np.ndarray:
    """Return the mask of one micrograph.

    Parameters
    ----------
    segmented : SegmentedRecord
        From `segment_on_host`.

    Returns
    -------
    numpy.ndarray of bool
        Shape (y, x).

    Raises
    ------
    Exception
        The error for which it could not be segmented.
    """
    return np.asarray(_segmentation(segmented).mask)


def labels_of(analysed: Analysed) -> np.ndarray:
    """Return the labels of one micrograph.

    Parameters
    ----------
    analysed : Analysed
        From `analyse_segmented_record`.

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x), 0 is background.

    Raises
    ------
    UnreadableMicrographError
        If the analysis failed; the message states why.
    """
    if analysed.found is None:
        raise UnreadableMicrographError(f"{analysed.row['source']}: {analysed.row['reason']}")
    return analysed.found.labels


def rows_of(analysed: Analysed, table: str, covariates: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one micrograph with its covariates.

    Parameters
    ----------
    analysed : Analysed
        From `analyse_segmented_record`.
    table : {"particles", "regions", "windows", "fault_traces", "instance_runs", "micrographs"}
        Name of the table.
    covariates : pandas.DataFrame
        One row: the covariates of the micrograph.

    Returns
    -------
    pandas.DataFrame
        Columns of the table's schema, then the covariates.
    """
    schema = tables.SCHEMAS[table]
    rows = pd.DataFrame([analysed.row]) if table == "micrographs" else getattr(analysed, table)
    rows = tables.conform(rows, schema)[[column.name for column in schema]]
    repeated = covariates.iloc[np.zeros(len(rows), int)].set_axis(rows.index)
    return rows.join(repeated)
