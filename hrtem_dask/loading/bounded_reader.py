"""A reader of unpacked bytes that stops at a limit."""

from __future__ import annotations

import io
from typing import IO

from hrtem_dask.errors import UnreadableMicrographError

__all__ = ["BoundedReader"]

_BLOCK_BYTES = 2**20


class BoundedReader(io.RawIOBase):
    """Bytes of a file object, up to a limit.

    Parameters
    ----------
    file : file object
        Reader of unpacked bytes; it stays open when this reader is closed.
    max_bytes : int
        Largest position in bytes.
    what : str
        Name of the file, for the message.

    Raises
    ------
    UnreadableMicrographError
        By `read` and `seek`, if the position would be beyond the limit.
    """

    def __init__(self, file: IO[bytes], max_bytes: int, what: str) -> None:
        super().__init__()
        self._file, self._max, self._what = file, max_bytes, what

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: archives are read by position."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read some bytes.

        Parameters
        ----------
        size : int
            Largest number of bytes; below 0 all that remain.

        Returns
        -------
        bytes
            The bytes, empty at the end.

        Raises
        ------
        UnreadableMicrographError
            If the data are longer than the limit.
        """
        left = self._max - self._file.tell()
        data = self._file.read(left + 1 if size < 0 else min(size, left + 1))
        if len(data) > left:
            raise UnreadableMicrographError(
                f"{self._what} unpacks to more than {self._max} bytes, more than is plausible for its size: unpack it, "
                "and give the files themselves"
            )
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position.

        Parameters
        ----------
        offset : int
            Bytes from the start, or from the present position.
        whence : {0, 1}
            Which of these; the end of packed data is unknown.

        Returns
        -------
        int
            The position, which may be before the requested one where the data end earlier.

        Raises
        ------
        UnsupportedOperation
            If the position is counted from the end.
        """
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end of packed data is unknown")
        target = offset + (self._file.tell() if whence == io.SEEK_CUR else 0)
        if target < self._file.tell():
            return self._file.seek(target)
        while (ahead := target - self._file.tell()) > 0:
            if not self.read(min(ahead, _BLOCK_BYTES)):
                break
        return self._file.tell()
