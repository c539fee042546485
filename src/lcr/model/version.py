"""Versions, ranges of versions, and what one may stand in for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion
from packaging.version import Version as Pep440


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A version as its author wrote it: an int, as in the original LCR, or a PEP 440 string. Compared as PEP 440 does."""

    text: str
    parsed: Pep440
    is_int: bool = False

    @classmethod
    def of(cls, given: int | str | Version) -> Version:
        """Return the version that was given; ValueError when it is none."""
        if isinstance(given, Version):
            return given
        if isinstance(given, bool) or not isinstance(given, int | str) or (isinstance(given, int) and given < 0):
            raise ValueError(f"{given!r} is no version: it must be an int or a PEP 440 string such as '1.2'")
        try:
            return cls(str(given), Pep440(str(given)), isinstance(given, int))
        except InvalidVersion as error:
            raise ValueError(f"{given!r} is no version: it must be an int or a PEP 440 string such as '1.2'") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.parsed == other.parsed

    def __lt__(self, other: Version) -> bool:
        return self.parsed < other.parsed

    def __hash__(self) -> int:
        return hash(self.parsed)

    def __str__(self) -> str:
        return self.text


def _specifiers(text: str) -> SpecifierSet:
    wrong = f"{text!r} is no range of versions: write it like '>=1', '>=1,<3' or '==1.2'"
    if text and not all(part.strip() for part in text.split(",")):
        raise ValueError(wrong)  # packaging ignores an empty part; in a typed range it is a slip
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(wrong) from error


@dataclass(frozen=True, slots=True)
class Range:
    """Which versions a reference accepts; the empty text accepts any."""

    text: str
    specifiers: SpecifierSet

    @classmethod
    def of(cls, given: int | str | Range | None) -> Range:
        """Return the range that was given: None is any, an int or a bare version is exactly that one."""
        if isinstance(given, Range):
            return given
        if given is not None and not isinstance(given, str):
            given = str(Version.of(given))
        text = "" if given is None else given.strip()
        if text and text[0] not in "<>=!~":
            text = f"=={Version.of(text)}"
        return cls(text, _specifiers(text))

    @property
    def is_any(self) -> bool:
        """Whether nothing was asked for in particular."""
        return not self.text

    def accepts(self, version: Version) -> bool:
        """Tell whether a version fits; a pre-release only when the range itself names one."""
        return self.specifiers.contains(version.parsed, prereleases=self._names_prerelease())

    def admits(self, version: Version) -> bool:
        """Tell whether a version fits that somebody asked for by name: pre-releases count like the others."""
        return self.specifiers.contains(version.parsed, prereleases=True)

    def _names_prerelease(self) -> bool:
        return any(s.operator != "!=" and _is_prerelease(s.version) for s in self.specifiers)

    def __str__(self) -> str:
        return self.text or "any"


def _is_prerelease(text: str) -> bool:
    try:
        return Pep440(text.removesuffix(".*")).is_prerelease
    except InvalidVersion:
        return False


@dataclass(frozen=True, slots=True)
class Replaces:
    """Which other versions a version may stand in for."""

    text: str
    _specifiers: SpecifierSet | None
    _listed: tuple[Version, ...] = ()

    @classmethod
    def of(cls, given: str | Iterable[int | str] | None, version: Version) -> Replaces:
        """Return what the author stated; left out: every lower version of the same major, for an int version none."""
        if isinstance(given, str):
            return cls(given, _specifiers(given))
        if given is not None:
            listed = tuple(Version.of(each) for each in given)
            return cls(", ".join(map(str, listed)), None, listed)
        if version.is_int:
            return cls("", None)
        epoch = f"{version.parsed.epoch}!" if version.parsed.epoch else ""
        # `<2.0` leaves out 2.0's own pre-releases by PEP 440, hence `<=` and an exception for the version itself.
        text = f">={epoch}{version.parsed.major}.dev0,<={version.parsed.public},!={version.parsed.public}"
        return cls(f"lower versions of {version.parsed.major}", _specifiers(text))

    def covers(self, other: Version) -> bool:
        """Tell whether that version may be stood in for."""
        if self._specifiers is not None:
            return self._specifiers.contains(other.parsed, prereleases=True)
        return other in self._listed

    def __str__(self) -> str:
        return self.text or "none"
