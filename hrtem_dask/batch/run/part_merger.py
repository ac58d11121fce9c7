"""Merge the parts of a run on its workers while it goes on, so that the number of files stays bounded."""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from distributed import Client, Future, wait

from hrtem_dask.batch.cluster.stream import result_or_error
from hrtem_dask.errors import error_text
from hrtem_dask.storage import ledger
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing.merging import merge_parts
from hrtem_dask.storage.run_lock import require_owner

__all__ = ["MERGED_MICROGRAPHS", "MERGED_PARTS", "PartMerger", "parts_left"]

MERGED_MICROGRAPHS = 512
"""Parts of so many micrographs are not merged any more."""
MERGED_PARTS = 64
"""Largest number of smaller parts that wait to be merged: a run of fewer parts keeps them as they are."""

logger = logging.getLogger(__name__)

Parts = dict[str, tuple[str, ...]]
"""Name of a part → its micrographs."""


class PartMerger:
    """Collects finished parts, and has workers merge them.

    A merge that fails leaves its parts as they are: files are all that it would have saved.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    folder : Location
        The results folder.
    owner : str or None
        `RunLock.token` of the run.
    kept : mapping
        `micrograph_id` → entry of what an earlier run has finished: its small parts are merged too.
    known : mapping
        The ledger as it was when the run began. A part of which something is not kept is left alone.
    """

    def __init__(
        self,
        client: Client,
        folder: Location,
        owner: str | None,
        kept: Mapping[str, ledger.Entry],
        known: Mapping[str, ledger.Entry],
    ) -> None:
        self._client, self._folder, self._owner = client, folder, owner
        others = {entry.part for name, entry in known.items() if name not in kept}
        self._waiting: Parts = {part: ids for part, ids in _by_part(kept).items() if part not in others}
        self._waiting = {part: ids for part, ids in self._waiting.items() if len(ids) < MERGED_MICROGRAPHS}
        self._merging: dict[Future[str], Parts] = {}
        self._renamed: dict[str, str] = {}
        self._has_failed = False

    def add(self, entries: Sequence[ledger.Entry]) -> None:
        """Take parts that were committed.

        Parameters
        ----------
        entries : sequence of ledger.Entry
            All entries of one part or several.
        """
        parts = _by_part({entry.micrograph_id: entry for entry in entries})
        self._waiting |= {part: ids for part, ids in parts.items() if len(ids) < MERGED_MICROGRAPHS}
        self._collect([future for future in self._merging if future.done()])
        if is_due([len(ids) for ids in self._waiting.values()]):
            batch, self._waiting = self._waiting, {}
            key = f"merge-{uuid.uuid4().hex[:8]}"
            # before the analysis of further micrographs, whose parts would be more to merge
            future = self._client.submit(
                merge_on_worker, batch, self._folder, self._owner, key=key, pure=False, priority=1
            )
            self._merging[future] = batch

    def finish(self, done: Mapping[str, ledger.Entry]) -> dict[str, ledger.Entry]:
        """Wait for what is being merged.

        Parameters
        ----------
        done : mapping
            `micrograph_id` → its entry, as its part was named when it was committed.

        Returns
        -------
        dict
            The same, with the names that the parts have now.
        """
        self._collect(list(self._merging))
        if self._has_failed:  # a merge that was cut off may have come to its end
            now = ledger.read_entries(self._folder)
            return {
                name: now[name] if name in now and now[name].attempts == entry.attempts else entry
                for name, entry in done.items()
            }
        return {name: dataclasses.replace(e, part=self._name_now(e.part)) for name, e in done.items()}

    def give_up(self) -> None:
        """Wait a little for what is being merged, before a run ends early."""
        with suppress(Exception):
            wait(list(self._merging), timeout=10)

    def _collect(self, futures: Sequence[Future[str]]) -> None:
        """Take the results of merges that have ended."""
        for future in futures:
            batch = self._merging.pop(future)
            name = result_or_error(self._client, future)
            future.release()
            if isinstance(name, BaseException):
                logger.debug("%d parts were not merged: %s", len(batch), error_text(name))
                self._has_failed = True
                continue
            self._renamed |= dict.fromkeys(batch, name)
            ids = tuple(one for ids in batch.values() for one in ids)
            if len(ids) < MERGED_MICROGRAPHS:
                self._waiting[name] = ids

    def _name_now(self, part: str) -> str:
        """Return the name that a part has after all merges."""
        while part in self._renamed:
            part = self._renamed[part]
        return part


def is_due(sizes: Sequence[int]) -> bool:
    """Return whether parts of these numbers of micrographs are merged now.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of micrographs of the parts that wait, each less than `MERGED_MICROGRAPHS`.

    Returns
    -------
    bool
        True where there are enough of either.

    Examples
    --------
    >>> is_due([16] * 31), is_due([16] * 32), is_due([1] * 64)
    (False, True, True)
    """
    return len(sizes) >= MERGED_PARTS or (len(sizes) > 1 and sum(sizes) >= MERGED_MICROGRAPHS)


def parts_left(sizes: Sequence[int]) -> int:
    """Return how many parts a run leaves.

    Parameters
    ----------
    sizes : sequence of int
        Number of micrographs of each of its groups.

    Returns
    -------
    int
        Number of parts after all merges, if groups end in this order and merges at once.

    Examples
    --------
    >>> parts_left([16] * 10), parts_left([16] * 625), parts_left([1] * 10_000)
    (10, 36, 39)
    """
    return sum(1 for _ in _left(sizes))


def _left(sizes: Sequence[int]) -> Iterator[int]:
    """Yield the numbers of micrographs of the parts that are left."""
    waiting: list[int] = []
    for size in sizes:
        if size >= MERGED_MICROGRAPHS:
            yield size
            continue
        waiting.append(size)
        if is_due(waiting):
            merged, waiting = sum(waiting), []
            if merged >= MERGED_MICROGRAPHS:
                yield merged
            else:
                waiting = [merged]
    yield from waiting


def merge_on_worker(parts: Parts, folder: Location, owner: str | None) -> str:
    """Merge parts; on a worker.

    Parameters
    ----------
    parts : dict
        Name of a part → its micrographs.
    folder : Location
        The results folder.
    owner : str or None
        `RunLock.token` of the run, which must hold the lock.

    Returns
    -------
    str
        Name of the part that they became.
    """
    return merge_parts(folder, parts, lambda: require_owner(folder, owner))


def _by_part(entries: Mapping[str, ledger.Entry]) -> Parts:
    """Group micrographs by their part."""
    found: dict[str, list[str]] = {}
    for name, entry in entries.items():
        found.setdefault(entry.part, []).append(name)
    return {part: tuple(ids) for part, ids in found.items()}
