"""Whether particles are darker or brighter than their support, as far as a file states it."""

from __future__ import annotations

from typing import Literal

from hrtem_dask.loading.records import MicrographRecord

__all__ = ["stated_polarity"]


def stated_polarity(record: MicrographRecord) -> Literal["bright"] | None:
    """Return whether particles are dark or bright, by what the file says about the way of imaging.

    Parameters
    ----------
    record : MicrographRecord
        From `list_micrographs`.

    Returns
    -------
    "bright" or None
        ``"bright"`` where a dark-field detector is named (HAADF, ADF, DF2, dark field), or STEM without a detector,
        which is mostly dark field; None where bright field is named, or nothing.

    Examples
    --------
    >>> from hrtem_dask.loading import MicrographRecord, Source, stated_polarity
    >>> source = Source(url="/data/a.emd", relative="a.emd")
    >>> stated_polarity(MicrographRecord(micrograph_id="a-1", source=source, imaging="dark field (HAADF)"))
    'bright'
    >>> stated_polarity(MicrographRecord(micrograph_id="a-1", source=source, imaging="")) is None
    True
    """
    return "bright" if record.imaging.startswith(("dark field", "STEM")) else None
