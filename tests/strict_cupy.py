"""A strict stand-in for CuPy and cuCIM on a machine without a GPU: arrays that hold NumPy inside and behave as CuPy's.

It is as strict as CuPy where code that works on NumPy fails on a GPU: NumPy arrays are no operands, nothing is
converted to a NumPy array without ``get``, reductions are arrays without an axis, and an array is no index. Functions,
methods and parameters must be in ``cupy_names.json``, which ``tools/list_cupy.py`` writes from the real libraries. It
cannot see kernels, rounding, device memory, or the exchange with torch on a CUDA device.
"""

from __future__ import annotations

import functools
import importlib
import json
import numbers
import operator
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

NAMES: dict[str, dict[str, list[str] | None]] = json.loads((Path(__file__).parent / "cupy_names.json").read_text())
"""Module → name → its parameters, None where they are not known."""
REAL = {"cupy": "numpy", "cupyx.scipy.ndimage": "scipy.ndimage", "cupyx.scipy.fft": "scipy.fft"}
"""Module of the stand-in → the library that does its work."""
FROM_HOST = {"asarray", "array", "ascontiguousarray", "asanyarray", "asfortranarray"}
"""Functions that take NumPy arrays."""


transfers: Counter[tuple[str, tuple[int, ...]]] = Counter()
"""Direction, ``to_device`` or ``to_host``, and shape of an array → how many of them crossed; () is a single number."""


class ndarray:  # noqa: N801 - the name of CuPy
    """An array on the device that is not there."""

    __module__ = "cupy"
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: np.ndarray) -> None:
        self._host = host

    def get(self) -> np.ndarray:
        """Copy to the host."""
        transfers["to_host", self._host.shape] += 1
        return self._host.copy()

    def item(self) -> Any:
        transfers["to_host", ()] += 1
        return self._host.item()

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` explicitly.")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        return _call(f"cupy.{ufunc.__name__}", ufunc, inputs, keywords)

    def __array_function__(self, function: Callable[..., Any], _: Any, inputs: Any, keywords: Any) -> Any:
        return getattr(_modules()["cupy"], function.__name__)(*inputs, **keywords)

    def __dlpack__(self, **_: Any) -> Any:
        return self._host.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._host.__dlpack_device__()  # torch takes it for a tensor of the CPU

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in NAMES["cupy.ndarray"]:
            raise AttributeError(f"cupy.ndarray has no {name!r}")
        value = getattr(self._host, name)
        if not callable(value):
            return _wrapped(value) if isinstance(value, np.ndarray) else value
        return functools.partial(_bound, name, value)

    def __getitem__(self, key: Any) -> ndarray:
        return ndarray(np.asarray(self._host[_key(key)]))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[_key(key)] = _plain("__setitem__", value)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (ndarray(np.asarray(row)) for row in self._host)

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())


def _operator(name: str) -> Callable[..., Any]:
    """Return an operator that takes arrays of the device, and single numbers."""
    host = getattr(operator, name, None) or getattr(operator, f"{name}_")

    def forward(self: ndarray, other: Any) -> Any:
        return _wrapped(host(self._host, _plain(name, other)))

    return forward


def _reflected(name: str) -> Callable[..., Any]:
    """Return the operator with the array on the right."""
    host = getattr(operator, name, None) or getattr(operator, f"{name}_")

    def backward(self: ndarray, other: Any) -> Any:
        return _wrapped(host(_plain(name, other), self._host))

    return backward


def _in_place(name: str) -> Callable[..., Any]:
    """Return the operator that changes its array."""
    host = getattr(operator, f"i{name.rstrip('_')}")

    def change(self: ndarray, other: Any) -> ndarray:
        self._host = host(self._host, _plain(name, other))
        return self

    return change


def _unary(name: str) -> Callable[..., Any]:
    """Return an operator of one array."""
    host = getattr(operator, name)
    return lambda self: ndarray(host(self._host))


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
):
    setattr(ndarray, f"__{_name}__", _operator(_name))
    setattr(ndarray, f"__r{_name}__", _reflected(_name))
    setattr(ndarray, f"__i{_name}__", _in_place(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ndarray, f"__{_name}__", _operator(_name))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _unary(_name))


def _plain(where: str, value: Any) -> Any:
    """Return what NumPy can work with; NumPy arrays are refused, as CuPy refuses them."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)} in {where}: put it on the device first")
    if isinstance(value, tuple | list):
        return type(value)(_plain(where, one) for one in value)
    return value


def _key(key: Any) -> Any:
    """Return an index for NumPy."""
    return tuple(map(_key, key)) if isinstance(key, tuple) else _plain("an index", key)


def _wrapped(value: Any) -> Any:
    """Return arrays, and numbers that NumPy made of arrays, as arrays of the device."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, tuple | list):
        return type(value)(map(_wrapped, value))
    return value


def _bound(name: str, method: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
    """Call a method of an array."""
    if name == "tolist":
        transfers["to_host", ()] += 1
        return method()
    known = NAMES["cupy.ndarray"][name] or NAMES["cupy"].get(name)  # methods of Cython tell nothing
    return _call(f"cupy.ndarray.{name}", method, inputs, keywords, known)


def _call(
    where: str,
    function: Callable[..., Any],
    inputs: tuple[Any, ...],
    keywords: dict[str, Any],
    known: list[str] | None = None,
) -> Any:
    """Call a function of the host with arrays of the device."""
    unknown = [name for name in keywords if known is not None and name not in known]
    if unknown:
        raise TypeError(f"{where}() got an unexpected keyword argument {unknown[0]!r}")
    plain = {name: _plain(where, value) for name, value in keywords.items()}
    out = keywords.get("out")
    result = function(*(_plain(where, value) for value in inputs), **plain)
    if isinstance(out, ndarray):
        return out
    # what counts components returns a number of Python, as CuPy does
    return result if isinstance(result, numbers.Number) and not isinstance(result, np.generic) else _wrapped(result)


class _Library(ModuleType):
    """A module whose functions work on arrays of the device."""

    def __init__(self, name: str, real: str) -> None:
        super().__init__(name)
        self._real = real
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in NAMES[self.__name__]:
            raise AttributeError(f"{self.__name__} has no {name!r}")
        value = getattr(importlib.import_module(self._real), name)
        if isinstance(value, type) or not callable(value):
            return value  # dtypes and constants are those of NumPy
        known = NAMES[self.__name__][name]
        if self.__name__ == "cupy" and name in FROM_HOST:
            return functools.partial(_to_device, value)
        return lambda *inputs, **keywords: _call(f"{self.__name__}.{name}", value, inputs, keywords, known)


def _to_device(function: Callable[..., Any], value: Any, *inputs: Any, **keywords: Any) -> ndarray:
    """Copy to the device what is not there."""
    if isinstance(value, np.ndarray):
        transfers["to_device", value.shape] += 1
        value = np.array(value)  # a copy
    return ndarray(np.asarray(function(_host_of(value), *inputs, **keywords)))


def _host_of(value: Any) -> Any:
    """Return the array inside, also in a list."""
    if isinstance(value, tuple | list):
        return [_host_of(one) for one in value]
    return value._host if isinstance(value, ndarray) else value


@functools.cache
def _modules() -> dict[str, ModuleType]:
    """Make the modules."""
    made: dict[str, ModuleType] = {name: _Library(name, real) for name, real in REAL.items()}
    for name in NAMES:
        if name.startswith("cucim.skimage."):
            made[name] = _Library(name, name.removeprefix("cucim."))
    for name in ("cupyx", "cupyx.scipy", "cucim", "cucim.skimage", "cupy.cuda"):
        made[name] = ModuleType(name)
        made[name].__path__ = []
    made["cupy.cuda"].is_available = lambda: True  # type: ignore[attr-defined]
    cupy = made["cupy"]
    for name, value in {"ndarray": ndarray, "cuda": made["cupy.cuda"], "asnumpy": lambda array: array.get()}.items():
        setattr(cupy, name, value)
    cupy.get_default_memory_pool = lambda: SimpleNamespace(free_all_blocks=lambda: None)  # type: ignore[attr-defined]
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, module)
    return made


def modules() -> dict[str, ModuleType]:
    """Return the modules that stand in for CuPy and cuCIM, by their names."""
    transfers.clear()
    return dict(_modules())
