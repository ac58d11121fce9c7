"""Type of the content of summary.json, which every module of the report reads."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["JsonDict"]

JsonDict: TypeAlias = dict[str, Any]
"""An object of JSON: its values are numbers, strings, bools, None, lists and further objects, nested to any depth."""
