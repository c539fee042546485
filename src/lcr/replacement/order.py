"""What a caller of the host may ask for, as an order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lcr.replacement.target import Order, Wish

Names = str | Mapping[str, str | int | None]  # one name, or several with the version that each is to have
MODES = ("drain", "immediate")


def order_of(
    name: Names,
    to: str | int | None,
    source: str | os.PathLike[str] | None,
    version: str | int | None,
    allow_break: bool,
    mode: str,
) -> Order:
    """Return the order to replace one name, or several with their versions. Raises what is wrong with the arguments."""
    if isinstance(name, str):
        from_ = None if source is None else str(Path(source).absolute())
        return _checked((Wish("replace", name, to, from_, version, allow_break),), mode)
    if to is not None or source is not None or version is not None:
        raise TypeError(
            "a mapping of names to versions says all there is to say: to, source and version go with one name"
        )
    return _checked(
        tuple(Wish("replace", each, wanted, None, None, allow_break) for each, wanted in name.items()), mode
    )


def order_back(name: str | Iterable[str], version: str | int | None, mode: str) -> Order:
    """Return the order to go one step back, with one name or several. Raises what is wrong with the arguments."""
    names = (name,) if isinstance(name, str) else tuple(name)
    if version is not None and len(names) > 1:
        raise TypeError("version goes with one name")
    return _checked(tuple(Wish("rollback", each, None, None, version, True) for each in names), mode)


def _checked(wishes: tuple[Wish, ...], mode: str) -> Order:
    if not wishes:
        raise ValueError("there is no name: nothing to replace")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    return Order(wishes, mode)
