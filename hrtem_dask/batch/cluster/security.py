"""Encryption between client, scheduler and workers: TLS, by certificates that the options of a cluster name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from distributed.security import Security

from hrtem_dask.errors import SettingsError, error_text

__all__ = ["with_security"]


def with_security(options: Mapping[str, object]) -> dict[str, Any]:
    """Make the object that Dask wants of the table ``security`` in the options of a cluster.

    Parameters
    ----------
    options : mapping
        Options of a cluster. ``security`` is a table with arguments of `distributed.Security`, such as
        ``tls_ca_file``, an object of that class, or True for certificates that Dask makes itself.

    Returns
    -------
    dict
        The options; a table with certificates requires encryption, unless it says otherwise.

    Raises
    ------
    SettingsError
        If an argument is unknown or cannot be used.

    Examples
    --------
    >>> with_security({"memory_limit": "2GB"})
    {'memory_limit': '2GB'}
    >>> with_security({"security": {"tls_ca_file": "ca.pem"}})["security"].require_encryption
    True
    """
    given = options.get("security")
    if not isinstance(given, Mapping):
        return dict(options)
    known = [*Security.__slots__, *inspect.signature(Security.__init__).parameters]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise SettingsError(
            f"cluster.options.security takes no {unknown[0]!r}: use the arguments of distributed.Security, such as "
            "tls_ca_file, tls_client_cert, tls_client_key, and the same for scheduler and worker"
        )
    try:
        return {**options, "security": Security(**{"require_encryption": True, **given})}
    except (TypeError, ValueError, OSError) as error:
        raise SettingsError(f"cluster.options.security cannot be used: {error_text(error)}") from error
