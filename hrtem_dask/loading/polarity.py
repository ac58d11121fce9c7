"""Whether particles are darker or brighter than their support, as far as a file states it."""

from __future__ import annotations

import re
from typing import Literal

from hrtem_dask.loading.records import MicrographRecord

__all__ = ["stated_polarity"]

_DARK_FIELD = re.compile(r"(?<![a-z])(?:ha|ma|la)?adf(?![a-z])|(?<![a-z])df-?[0-9s](?![a-z0-9])|dark[ _-]?field", re.I)


def stated_polarity(record: MicrographRecord) -> Literal["bright"] | None:
    """Return whether particles are dark or bright, by the name that the file gives its signal.

    Parameters
    ----------
    record : MicrographRecord
        From `list_micrographs`.

    Returns
    -------
    "bright" or None
        ``"bright"`` where the name is that of a dark-field detector (HAADF, ADF, DF2, dark field); None where it is
        not, because signals without such a name are from TEM and STEM, bright field and dark field alike.

    Examples
    --------
    >>> from hrtem_dask.loading import MicrographRecord, Source, stated_polarity
    >>> source = Source(url="/data/a.emd", relative="a.emd")
    >>> stated_polarity(MicrographRecord(micrograph_id="a-1", source=source, title="HAADF"))
    'bright'
    >>> stated_polarity(MicrographRecord(micrograph_id="a-1", source=source, title="Ceta")) is None
    True
    """
    return "bright" if _DARK_FIELD.search(record.title) else None
