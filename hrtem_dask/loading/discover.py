"""Find sources in folders, globs, lists, URLs and archives; only hidden files are left out without a record."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hrtem_dask.addresses import check_address, file_system
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError, typed_error_text
from hrtem_dask.loading.archives import archive_kind, member_names
from hrtem_dask.loading.formats.file_format import HEAD_BYTES, is_micrograph_head
from hrtem_dask.loading.side_files import side_names
from hrtem_dask.loading.source import Source

__all__ = ["find_sources", "other_kind"]

_DOCUMENTS = {
    ".txt", ".md", ".rst", ".xml", ".ome", ".mdoc", ".html", ".htm", ".pdf", ".doc", ".docx", ".ppt", ".pptx", ".odt",
    ".log", ".hdr", ".md5", ".sha1", ".sha256", ".roi",
}  # fmt: skip
_TABLES = {".csv", ".tsv", ".json", ".jsonl", ".xls", ".xlsx", ".parquet", ".db", ".sqlite", ".npz", ".pkl", ".pickle"}
_PROGRAMS = {
    ".py", ".ipynb", ".m", ".s", ".ijm", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".exe", ".dll", ".lnk", ".url",
}  # fmt: skip
_OTHER = {".mp4", ".avi", ".mov", ".svg", ".eps", ".rar", ".7z"}
NOT_MICROGRAPHS = _DOCUMENTS | _TABLES | _PROGRAMS | _OTHER
_DOCUMENT_NAMES = {"LICENSE", "LICENCE", "COPYING", "README", "CHANGELOG", "AUTHORS", "NOTICE", "CITATION", "MAKEFILE"}
MAX_ERROR_CHARACTERS = 300
_WITH_SIDE_FILE = {".mrc", ".mrcs", ".st", ".ali", ".rec", ".map"}
"""Files beside which SerialEM and programs after it write a side file (.mdoc)."""
ONLY_LABELS = "label images, and no image, in the Zarr store"
_ZARR_FILES = {"zarr.json", ".zgroup", ".zarray", ".zattrs"}


@dataclass(frozen=True)
class _Found:
    """One file or Zarr folder, before archives are opened."""

    url: str
    is_folder: bool = False
    problem: str = ""


def find_sources(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, root: str | os.PathLike[str] | None = None
) -> list[Source]:
    """Find all files that may hold micrographs.

    Parameters
    ----------
    inputs : str, path-like, or iterable of them
        Files, folders (searched to any depth), globs or fsspec URLs. Each member of an archive and each image of a Zarr
        store is a source; archives inside archives are not opened.
    root : str or path-like, optional
        Folder to which the paths in identifiers are relative. By default it is the folder given, the part of a glob
        before its first wildcard, or for several inputs the folder that holds them all.

    Returns
    -------
    list of Source
        Sorted by relative path, each file once. Files that are not micrographs are included, with the reason.

    Raises
    ------
    NothingToAnalyseError
        If an input does not exist, a glob matches nothing, or there is no file at all.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from hrtem_dask.loading import find_sources
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "image.npy", np.zeros((8, 8), np.uint16))
    ...     _ = (Path(folder) / "notes.txt").write_text("taken on Monday")
    ...     sources = find_sources(folder)
    >>> [(source.relative, source.status) for source in sources]
    [('image.npy', 'ok'), ('notes.txt', 'set_aside')]
    """
    given = list(inputs) if isinstance(inputs, Iterable) and not isinstance(inputs, str) else [inputs]
    found: dict[str, _Found] = {}
    roots = []
    for one in given:
        base, files = _expand(_as_url(one))
        roots.append(base)
        found |= {f.url: f for f in files}
    if not found:
        raise NothingToAnalyseError(f"no files in {', '.join(str(g) for g in given) or 'an empty list of inputs'}")
    base = _as_url(root) if root is not None else _common_folder(roots)
    unpaired = [source for file in found.values() for source in _sources_of(file, base)]
    return sorted(_paired(unpaired), key=lambda s: s.relative)


def other_kind(source: Source) -> str | None:
    """Return what a file is whose name shows that it is no micrograph.

    Parameters
    ----------
    source : Source
        Any source.

    Returns
    -------
    str or None
        Its extension, or its name where it has none, or that it is a Zarr store of label images alone, such as the
        truth of simulated micrographs; None for what may be a micrograph.

    Examples
    --------
    >>> [other_kind(Source(url=f"/data/{name}", relative=name)) for name in ("LICENSE", "samples.csv", "a.tif")]
    ['LICENSE', '.csv', None]
    """
    if source.is_folder:
        return "Zarr store of label images" if source.reason == ONLY_LABELS else None
    if source.suffix in NOT_MICROGRAPHS:
        return source.suffix
    return source.name if source.name.upper() in _DOCUMENT_NAMES else None


def _as_url(path: str | os.PathLike[str]) -> str:
    """Return an absolute local path with forward slashes, or a URL as it is."""
    text = check_address(path)
    if text.startswith(("file://", "local://")):
        text = file_system(text)[1]
    if "://" not in text:
        return Path(text).expanduser().absolute().as_posix()
    try:
        fs, path = file_system(text.rstrip("/"))
    except Exception as error:  # servers that do not answer, and libraries that are not complete
        raise _unreadable(text, error) from error
    return str(fs.unstrip_protocol(path))  # memory://a and memory:///a are the same file


def _expand(url: str) -> tuple[str, list[_Found]]:
    """Return the root of one input and the files in it."""
    fs, path = file_system(url)
    try:
        is_folder = fs.isdir(path)
        exists = is_folder or fs.exists(path)
    except Exception as error:  # without credentials, for instance: object stores have errors of their own
        raise _unreadable(url, error) from error
    if is_folder:
        files = list(_walk(fs, path, set()))
        return (_url(fs, posixpath.dirname(path.rstrip("/"))) if files and files[0].url == url else url), files
    if exists:
        return posixpath.dirname(url), [_Found(url)]
    # a file may be called a[1].tif, so only a path that does not exist is a pattern
    wildcard = re.search(r"[*?\[]", path)
    matches = sorted(fs.glob(path)) if wildcard else []
    if not matches:
        what = "no file matches" if wildcard else "no such file or folder:"
        raise NothingToAnalyseError(f"{what} {url}")
    fixed = path[: wildcard.start()] if wildcard else path
    files = []
    for match in matches:
        files += list(_walk(fs, match, set())) if fs.isdir(match) else [_Found(_url(fs, match))]
    return _url(fs, posixpath.dirname(fixed)), files


def _unreadable(url: str, error: Exception) -> NothingToAnalyseError:
    """Return the error of an address that cannot be read, in one line."""
    text = next(iter(typed_error_text(error).splitlines()))[:MAX_ERROR_CHARACTERS]
    return NothingToAnalyseError(f"{url} cannot be read: {text}")


def _url(fs: Any, path: str) -> str:
    """Return the path as a URL of its file system, or as a plain path where it is local."""
    return path if "file" in _protocols(fs) else str(fs.unstrip_protocol(path))


def _protocols(fs: Any) -> tuple[str, ...]:
    """Return the names of the protocols of a file system."""
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _walk(fs: Any, folder: str, seen: set[str]) -> Iterator[_Found]:
    """Yield the files below a folder, and each Zarr store as one; hidden files are left out."""
    real = os.path.realpath(folder) if "file" in _protocols(fs) else folder
    if real in seen:  # a link that leads back to a folder above
        return
    seen.add(real)
    try:
        entries = sorted(fs.ls(folder, detail=True), key=lambda e: str(e["name"]))
    except Exception as error:  # noqa: BLE001 - object stores have errors of their own
        said = getattr(error, "strerror", None) or typed_error_text(error)
        yield _Found(_url(fs, folder), problem=f"the folder cannot be listed: {said}")
        return
    names = {posixpath.basename(str(e["name"]).rstrip("/")): e for e in entries}
    if folder.lower().endswith((".zarr", ".zspy")) or _ZARR_FILES & set(names):
        yield _Found(_url(fs, folder), is_folder=True)
        return
    for name, entry in names.items():
        path = str(entry["name"]).rstrip("/")
        if name.startswith(".") or path == folder.rstrip("/"):
            continue
        # the entry of a link to a folder is neither file nor directory
        if entry["type"] == "directory" or (entry["type"] != "file" and fs.isdir(path)):
            yield from _walk(fs, path, seen)
        else:
            yield _Found(_url(fs, path))


def _common_folder(roots: list[str]) -> str:
    """Return the folder that holds all inputs; empty where they lie on different file systems."""
    if len(set(roots)) == 1:
        return roots[0]
    try:
        return posixpath.commonpath(roots) if not any("://" in r for r in roots) else ""
    except ValueError:
        return ""


def _relative(url: str, base: str) -> str:
    """Return the path relative to the root; a path outside the root stays whole, without its protocol."""
    if base and (url == base or url.startswith(base.rstrip("/") + "/")):
        return url[len(base.rstrip("/")) + 1 :] or posixpath.basename(url)
    return url.split("://")[-1].lstrip("/")


def _sources_of(file: _Found, base: str) -> Iterator[Source]:
    """Yield one source, or for an archive or a Zarr store one per member."""
    relative = _relative(file.url, base)
    whole = Source(url=file.url, relative=relative, is_folder=file.is_folder)
    if not file.problem and not file.is_folder and (kind := _special_file(file.url)) is not None:
        yield replace(whole, status="set_aside", reason=f"no file but {kind}, which cannot be read as one")
        return
    if file.problem:
        yield replace(whole, status="failed", reason=file.problem)
        return
    if file.is_folder and whole.suffix == ".zspy":
        yield replace(whole, status="set_aside", reason="a HyperSpy .zspy store: save it as .hspy, TIFF or OME-Zarr")
        return
    if file.is_folder and (inside := _special_file_inside(file.url)) is not None:
        yield replace(whole, status="failed", reason=f"the Zarr store has {inside} in place of a file")
        return
    if not file.is_folder and (archive_kind(file.url) is None or _is_micrograph(file.url)):
        yield _checked(whole)
        return
    try:
        members = _image_paths(file.url) if file.is_folder else member_names(file.url)
    except Exception as error:  # noqa: BLE001 - damaged files raise errors of many kinds, and all mean the same
        what = "Zarr store" if file.is_folder else "archive"
        known = isinstance(error, HrtemDaskError)
        reason = str(error) if known else f"the {what} cannot be opened: {typed_error_text(error)}"
        yield replace(whole, status="failed", reason=reason)
        return
    if file.is_folder:
        if not members:
            reason = ONLY_LABELS if _holds_label_images(file.url) else "no image in the Zarr store"
            yield replace(whole, status="set_aside", reason=reason)
        for path in members:
            yield replace(whole, member=path, relative=f"{relative}::{path}" if path else relative)
        return
    if _ZARR_FILES & {posixpath.basename(m) for m in members} or not members:
        what = "a Zarr store in an archive: unpack it" if members else "the archive is empty"
        yield replace(whole, status="set_aside", reason=what)
        return
    last = {member: number for number, member in enumerate(members)}
    for number, member in enumerate(members):
        one = replace(whole, member=member, relative=f"{relative}::{member}")
        yield _checked(one) if number == last[member] else _replaced(one, number)


def _replaced(source: Source, number: int) -> Source:
    """Set a member aside that a later one of the same name replaces, as after ``tar -r``."""
    relative = f"{source.relative} (replaced, member {number + 1})"
    return replace(source, relative=relative, status="set_aside", reason="replaced by a later member of the same name")


def _special_file(url: str) -> str | None:
    """Return what a path is that is neither file nor folder: who opens a named pipe waits for ever."""
    if "://" in url:
        return None
    try:
        mode = Path(url).stat().st_mode
    except OSError:  # a link to nothing: opening it says so
        return None
    kinds = {
        stat.S_ISFIFO: "a named pipe",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((kind for is_kind, kind in kinds.items() if is_kind(mode)), None)


def _special_file_inside(folder: str) -> str | None:
    """Return what a folder of this machine holds that is neither file nor folder."""
    if "://" in folder:
        return None
    paths = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)  # noqa: PTH118 - many files
    return next((f"{kind} ({posixpath.basename(p)})" for p in paths if (kind := _special_file(p)) is not None), None)


def _is_micrograph(url: str) -> bool:
    """Return whether a local file that is named like an archive is in fact a micrograph."""
    if "://" in url:
        return False
    try:
        with Path(url).open("rb") as file:
            return is_micrograph_head(file.read(HEAD_BYTES))
    except OSError:  # opening it as an archive says why
        return False


def _image_paths(url: str) -> list[str]:
    """Find the images of a Zarr store; Zarr is imported here because it is slow and rarely needed."""
    from hrtem_dask.loading.formats.ome_zarr import image_paths

    return image_paths(url)


def _holds_label_images(url: str) -> bool:
    """Return whether a Zarr store holds label images."""
    from hrtem_dask.loading.formats.ome_zarr import holds_label_images

    return holds_label_images(url)


def _checked(source: Source) -> Source:
    """Set a source aside whose name shows that it is not a micrograph."""
    if source.member and archive_kind(source.name):
        return replace(source, status="set_aside", reason="an archive within an archive: only one level is opened")
    if source.suffix in NOT_MICROGRAPHS:
        remedy = " (several arrays): save each image as .npy" if source.suffix == ".npz" else ""
        return replace(source, status="set_aside", reason=f"not a micrograph format: {source.suffix}{remedy}")
    return source


def _paired(sources: list[Source]) -> Iterator[Source]:
    """Combine an ``.emi`` and its ``.ser`` files, and the parts of a ``.tvips``, to one source each."""
    set_aside = [s for s in sources if s.status != "ok"]
    sources = [_with_description(s, set_aside) for s in sources if s.status == "ok"]
    leaders = {s.path: s for s in sources if s.suffix == ".emi" or s.name.lower().endswith("_000.tvips")}
    siblings = _Siblings(sources)
    companions: set[str] = set()
    for path, source in leaders.items():
        stem = source.name[: -len(".emi")] if source.suffix == ".emi" else source.name[: -len("_000.tvips")]
        pattern = re.compile(
            re.escape(stem) + (r"_(\d+)\.ser" if source.suffix == ".emi" else r"_(\d{3})\.tvips"), re.I
        )
        parts = [(m, p) for p in siblings.beside(source) if (m := pattern.fullmatch(posixpath.basename(p)))]
        paths = [p for _, p in sorted(parts, key=lambda mp: int(mp[0][1])) if p not in (source.url, source.member)]
        leaders[path] = replace(source, companions=tuple(paths))
        companions |= {f"{source.url}::{p}" if source.member else p for p in paths}
    for source in sources:
        if source.path not in companions:
            yield leaders.get(source.path, source)
    yield from set_aside


def _with_description(source: Source, others: list[Source]) -> Source:
    """Add the files that describe a source which is copied to be read; else they are found beside it.

    They are the companion file of an OME-TIFF set, the side file of an MRC file, and those of microscopes.
    """
    if source.is_local and not source.member:
        return source
    name, stem = source.name.lower(), posixpath.splitext(source.name.lower())[0]
    endings = tuple(f"/{one}" for one in side_names(name))
    if name.endswith((".ome.tif", ".ome.tiff")):
        endings += (".companion.ome",)
    elif source.suffix in _WITH_SIDE_FILE:
        endings += (f"/{name}.mdoc", f"/{stem}.mdoc")
    folder, place = posixpath.dirname(source.member or source.url), source.url if source.member else ""
    beside = [o for o in others if f"/{o.name.lower()}".endswith(endings) and (o.url if o.member else "") == place]
    paths = [o.member or o.url for o in beside if posixpath.dirname(o.member or o.url) == folder]
    return replace(source, companions=tuple(paths))


class _Siblings:
    """The files in the folder of a source; each folder is listed only once."""

    def __init__(self, sources: list[Source]) -> None:
        self._members: dict[str, list[str]] = {}
        self._folders: dict[str, list[str]] = {}
        for source in sources:
            if source.member:
                self._members.setdefault(source.url, []).append(source.member)

    def beside(self, source: Source) -> list[str]:
        """Return the URLs of the files in the same folder, or the members of the same archive and folder."""
        if source.member:
            folder = posixpath.dirname(source.member)
            return [m for m in self._members[source.url] if posixpath.dirname(m) == folder]
        folder = posixpath.dirname(source.url)
        if folder not in self._folders:
            fs, path = file_system(folder)
            urls = [_url(fs, str(name)) for name in fs.ls(path, detail=False)]
            self._folders[folder] = [u for u in urls if _special_file(u) is None]
        return self._folders[folder]
