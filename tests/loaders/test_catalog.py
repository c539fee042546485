"""The catalog: what is on the path is found when it comes, changes, moves and goes; asking again costs no scan."""

from __future__ import annotations

import builtins
import functools
import io
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lcr.loaders import catalog as module
from lcr.loaders import source as source_module
from lcr.loaders.catalog import Catalog
from lcr.loaders.source import SourceProblem
from tests.conftest import Calls


def component(name: str, version: int | str, more: str = "pass", options: str = "") -> str:
    return f"import lcr\n@lcr.interface({name!r}, version={version!r}{options})\nclass It:\n    {more}\n"


class Folder:
    """Folders on a path, and a clock that stands far behind every file: nothing is unsettled unless a test says so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "components"
        self.folder.mkdir()
        self.ticks = 1_000_000_000 * 10**9  # ns; what was touched last
        self.catalog = Catalog([self.folder])

    def write(self, name: str, text: str) -> Path:
        """Write a file, and make it and the folders above it older than the clock, each time a little younger."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.age(path)
        for above in path.relative_to(self.folder).parents:
            self.age(self.folder / above)
        return path

    def age(self, path: Path) -> None:
        """Give it the next tick as its modification time."""
        self.ticks += 10**9
        os.utime(path, ns=(self.ticks, self.ticks))

    def offers(self, name: str = "it") -> list[str]:
        return [
            f"{offer.interface.version} {offer.source.text.rpartition('/')[2]}" for offer in self.catalog.offers(name)
        ]

    def problems(self) -> list[tuple[str, str]]:
        return [(each.path.rpartition("/")[2], each.message) for each in self.catalog.problems()]


@pytest.fixture
def on(tmp_path: Path) -> Folder:
    """A folder of components, and a catalog of it."""
    return Folder(tmp_path)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the files that are parsed, by name."""
    counted: Counter[str] = Counter()
    real = module.describe

    def describe(bundle: Any, natives: Any) -> Any:
        counted[bundle.source.path.name] += 1
        return real(bundle, natives)

    monkeypatch.setattr(module, "describe", describe)
    return counted


# -- what comes, changes, moves and goes --------------------------------------------------------------------------------


def test_all_versions_of_a_name_are_offered_the_highest_first(on: Folder) -> None:
    """By PEP 440, out of several files and of one."""
    on.write("a.py", component("it", "1.9") + component("other", "5").replace("It", "Other"))
    on.write("b.py", component("it", "1.10"))
    on.write("c.py", component("it", "1.10rc1"))
    assert on.offers() == ["1.10 b.py", "1.10rc1 c.py", "1.9 a.py"]
    assert on.offers("nobody") == []
    assert [str(offer.interface) for offer in on.catalog.all()] == ["it 1.10", "it 1.10rc1", "it 1.9", "other 5"]


def test_a_file_dropped_in_later_is_found(on: Folder) -> None:
    """A new name, and a new version of a known one."""
    on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    on.write("b.py", component("it", "2.0"))
    on.write("c.py", component("other", "1"))
    assert on.offers() == ["2.0 b.py", "1.0 a.py"]
    assert on.offers("other") == ["1 c.py"]


def test_a_first_file_in_an_empty_folder_is_found(on: Folder) -> None:
    """Nothing known is no reason not to look."""
    assert on.offers() == []
    on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]


def test_a_file_edited_in_place_is_read_again(on: Folder) -> None:
    """Its folder's modification time stays the same."""
    path = on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    before = os.stat(on.folder).st_mtime_ns
    path.write_text(component("it", "1.1"))
    on.age(path)
    assert os.stat(on.folder).st_mtime_ns == before
    assert on.offers() == ["1.1 a.py"]


def test_an_edit_that_changes_the_length_only_is_seen(on: Folder) -> None:
    """As by an editor that keeps the time."""
    path = on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    then = os.stat(path)
    path.write_text(component("it", "1.0.1"))
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert on.offers() == ["1.0.1 a.py"]


def test_a_file_put_in_place_of_another_is_seen(on: Folder) -> None:
    """By os.replace, even with the same size and time: it is another inode."""
    path = on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    then, above = os.stat(path), os.stat(on.folder)
    fresh = on.root / "fresh.py"
    fresh.write_text(component("it", "2.0"))
    os.utime(fresh, ns=(then.st_atime_ns, then.st_mtime_ns))
    os.replace(fresh, path)
    os.utime(on.folder, ns=(above.st_atime_ns, above.st_mtime_ns))
    assert on.offers() == ["2.0 a.py"]


def test_a_file_that_offers_another_name_after_an_edit_is_found_by_that_name(on: Folder) -> None:
    """And no more by the old one."""
    path = on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    path.write_text(component("other", "1.0"))
    on.age(path)
    assert on.offers("other") == ["1.0 a.py"]
    assert on.offers() == []


def test_a_file_edited_to_newly_offer_a_known_name_is_found_by_a_refresh(on: Folder) -> None:
    """Asking for the name looks only at those that offered it before; this is what that costs."""
    on.write("a.py", component("it", "1.0"))
    path = on.write("b.py", component("other", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    path.write_text(component("it", "2.0"))
    on.age(path)
    assert on.offers() == ["1.0 a.py"]
    on.catalog.refresh()
    assert on.offers() == ["2.0 b.py", "1.0 a.py"]


def test_a_removed_file_is_offered_no_more(on: Folder) -> None:
    """Of two versions, the other is left."""
    path = on.write("a.py", component("it", "2.0"))
    on.write("b.py", component("it", "1.0"))
    assert on.offers() == ["2.0 a.py", "1.0 b.py"]
    path.unlink()
    on.age(on.folder)
    assert on.offers() == ["1.0 b.py"]


def test_a_file_that_is_removed_without_a_trace_in_the_folder_is_noticed_by_its_name(on: Folder) -> None:
    """Its own stamp is looked at as well."""
    path = on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    above = os.stat(on.folder)
    path.unlink()
    os.utime(on.folder, ns=(above.st_atime_ns, above.st_mtime_ns))
    assert on.offers() == []


def test_a_renamed_file_is_offered_from_its_new_place(on: Folder) -> None:
    """Its old path is gone from the offers."""
    path = on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    path.rename(on.folder / "b.py")
    on.age(on.folder)
    assert on.offers() == ["1.0 b.py"]


@pytest.mark.parametrize("name", ["_a.py", ".a.py", "a.txt", "a.pyc", "a.py~", "__init__.pyx"])
def test_hidden_private_and_other_files_are_no_components(on: Folder, name: str) -> None:
    """A way to put a file out of the catalog without moving it."""
    on.write(name, component("it", "1.0"))
    assert on.offers() == []
    assert on.problems() == []


def test_a_file_edited_within_the_clocks_granularity_of_a_scan_is_seen(
    on: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same size, time and inode: a file so young at the scan is not trusted, and read again."""
    path = on.write("a.py", component("it", "1.0"))
    now = os.stat(path).st_mtime_ns
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now / 1e9 + 0.01))
    assert on.offers() == ["1.0 a.py"]
    path.write_text(component("it", "2.0"))
    os.utime(path, ns=(now, now))
    assert on.offers() == ["2.0 a.py"]


def test_a_file_that_was_seen_half_written_is_read_again(on: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a request comes while somebody copies it into the folder: it offered nothing yet, and was young."""
    on.write("a.py", component("it", "1.0"))
    path = on.write("b.py", "")
    on.age(on.folder)
    now = os.stat(path).st_mtime_ns
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now / 1e9 + 0.01))
    os.utime(on.folder, ns=(now - 10**9,) * 2)  # it was created a second ago, and is being written
    assert on.offers() == ["1.0 a.py"]
    path.write_text(component("it", "2.0"))
    on.age(path)
    assert on.offers() == ["2.0 b.py", "1.0 a.py"]


def test_a_folder_changed_within_the_clocks_granularity_of_a_scan_is_scanned_again(
    on: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that came right after the scan left the folder's time as it was."""
    on.write("a.py", component("it", "1.0"))
    now = os.stat(on.folder).st_mtime_ns
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now / 1e9 + 0.01))
    assert on.offers() == ["1.0 a.py"]
    on.write("b.py", component("it", "2.0"))
    os.utime(on.folder, ns=(now, now))
    assert on.offers() == ["2.0 b.py", "1.0 a.py"]


def test_a_time_from_the_far_future_does_not_make_every_request_a_scan(on: Folder, scans: Counter[str]) -> None:
    """As from a machine whose clock is wrong."""
    path = on.write("a.py", component("it", "1.0"))
    for each in (path, on.folder):
        os.utime(each, ns=(9_000_000_000 * 10**9,) * 2)
    for _ in range(3):
        assert on.offers() == ["1.0 a.py"]
    assert scans == {"a.py": 1}


# -- packages -----------------------------------------------------------------------------------------------------------


def test_a_package_folder_is_a_component(on: Folder) -> None:
    """What its sub-modules declare, it offers."""
    on.write("shop/__init__.py", "")
    on.write("shop/deep/part.py", component("it", "1.0"))
    (offer,) = on.catalog.offers("it")
    assert (offer.source.kind, offer.source.path, offer.module) == ("package", on.folder / "shop", "deep.part")
    assert on.offers("other") == []


def test_a_module_of_a_package_edited_in_place_is_read_again(on: Folder) -> None:
    """Though neither the folder of the path nor the package's own has changed."""
    on.write("shop/__init__.py", "")
    path = on.write("shop/deep/part.py", component("it", "1.0"))
    assert on.offers() == ["1.0 shop"]
    path.write_text(component("it", "1.1"))
    on.age(path)
    assert on.offers() == ["1.1 shop"]


def test_a_module_that_comes_into_or_goes_out_of_a_package_is_seen(on: Folder) -> None:
    """Whether or not it declares anything: it is a part of what is loaded."""
    on.write("shop/__init__.py", component("it", "1.0"))
    (first,) = on.catalog.offers("it")
    path = on.write("shop/part.py", "x = 1")
    (second,) = on.catalog.offers("it")
    path.unlink()
    (third,) = on.catalog.offers("it")
    assert first.sha != second.sha
    assert first.sha == third.sha


def test_a_package_that_goes_is_offered_no_more(on: Folder) -> None:
    """The whole folder."""
    on.write("shop/__init__.py", component("it", "1.0"))
    assert on.offers() == ["1.0 shop"]
    shutil.rmtree(on.folder / "shop")
    on.age(on.folder)
    assert on.offers() == []
    assert on.problems() == []


def test_a_package_that_loses_its_init_is_no_component_any_more(on: Folder) -> None:
    """It is a plain folder then."""
    on.write("shop/__init__.py", component("it", "1.0"))
    on.write("b.py", component("it", "0.5"))
    assert on.offers() == ["1.0 shop", "0.5 b.py"]
    (on.folder / "shop" / "__init__.py").unlink()
    assert on.offers() == ["0.5 b.py"]


def test_plain_folders_below_a_folder_are_not_looked_into(on: Folder) -> None:
    """A folder of components is flat."""
    on.write("plain/a.py", component("it", "1.0"))
    on.write("_private/__init__.py", component("it", "1.0"))
    assert on.offers() == []


def test_single_files_and_packages_may_stand_on_the_path(on: Folder) -> None:
    """By themselves; an edit is seen."""
    path = on.write("a.py", component("it", "1.0"))
    on.write("b.py", component("it", "9.0"))
    on.write("shop/__init__.py", component("it", "2.0"))
    on.catalog = Catalog([path, on.folder / "shop"])
    assert on.offers() == ["2.0 shop", "1.0 a.py"]
    path.write_text(component("it", "3.0"))
    on.age(path)
    assert on.offers() == ["3.0 a.py", "2.0 shop"]


# -- duplicates and problems --------------------------------------------------------------------------------------------


def test_of_equal_versions_the_first_on_the_path_is_offered_and_the_other_reported(on: Folder) -> None:
    """By the order of the folders, then of the names; 1.0 is 1.0.0."""
    second = on.root / "second"
    second.mkdir()
    (second / "a.py").write_text(component("it", "1.0"))
    on.write("b.py", component("it", "1.0"))
    on.write("c.py", component("it", "1.0.0"))
    on.catalog = Catalog([on.folder, second])
    assert on.offers() == ["1.0 b.py"]
    first = on.folder / "b.py"
    assert on.problems() == [
        ("c.py", f"it 1.0.0 is offered by {first} too, which comes first"),
        ("a.py", f"it 1.0 is offered by {first} too, which comes first"),
    ]


def test_when_the_first_of_equal_versions_goes_the_next_is_offered(on: Folder) -> None:
    """And there is no problem any more."""
    path = on.write("a.py", component("it", "1.0"))
    on.write("b.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    path.unlink()
    on.age(on.folder)
    assert on.offers() == ["1.0 b.py"]
    assert on.problems() == []


def test_a_folder_that_stands_on_the_path_twice_offers_once(on: Folder) -> None:
    """No file is a duplicate of itself."""
    on.write("a.py", component("it", "1.0"))
    on.catalog = Catalog([on.folder, on.folder, on.folder / "a.py"])
    assert on.offers() == ["1.0 a.py"]
    assert on.problems() == []


def test_what_cannot_be_described_is_reported_and_the_rest_is_offered(on: Folder) -> None:
    """With file and line; again, until it is right."""
    path = on.write("a.py", "import lcr\n@lcr.interface(\n")
    on.write("b.py", component("it", "1.0"))
    assert on.offers() == ["1.0 b.py"]
    assert on.problems() == [("a.py", "line 2: '(' was never closed")]
    path.write_text(component("other", "2.0"))
    on.age(path)
    assert on.offers("other") == ["2.0 a.py"]
    assert on.problems() == []


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_file_that_cannot_be_read_is_reported_and_the_rest_is_offered(
    on: Folder, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """And tried again at the next scan."""
    on.write("a.py", component("it", "2.0"))
    on.write("b.py", component("it", "1.0"))
    real = Path.read_bytes
    with monkeypatch.context() as patch:

        def read_bytes(path: Path) -> bytes:
            if path.name == "a.py":
                raise error
            return real(path)

        patch.setattr(Path, "read_bytes", read_bytes)
        assert on.offers() == ["1.0 b.py"]
        assert on.problems() == [("a.py", error.strerror)]
    on.catalog.refresh()
    assert on.offers() == ["2.0 a.py", "1.0 b.py"]
    assert on.problems() == []


def test_a_file_that_is_too_large_is_reported(on: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is read."""
    monkeypatch.setattr(source_module, "MAX_SIZE", 1_000)
    on.write("a.py", component("it", "1.0") + "#" * 2_000)
    assert on.offers() == []
    ((name, message),) = on.problems()
    assert name == "a.py"
    assert message.endswith("bytes are too many for a component's source")


def test_a_link_that_leads_nowhere_is_reported(on: Folder) -> None:
    """Something that looks like a component, and cannot be read."""
    (on.folder / "a.py").symlink_to(on.root / "nowhere.py")
    on.age(on.folder)
    assert on.offers() == []
    assert [name for name, _ in on.problems()] == ["a.py"]


def test_a_missing_folder_is_reported_and_the_rest_is_offered(on: Folder) -> None:
    """It may come later, and is found then."""
    on.write("a.py", component("it", "1.0"))
    missing = on.root / "missing"
    on.catalog = Catalog([missing, on.folder])
    assert on.offers() == ["1.0 a.py"]
    assert on.problems() == [("missing", "it is on the path and is not there")]
    missing.mkdir()
    (missing / "b.py").write_text(component("other", "1.0"))
    assert on.offers("other") == ["1.0 b.py"]
    assert on.problems() == []


def test_a_folder_that_comes_later_is_searched_for_known_names_too(on: Folder) -> None:
    """A higher version in it is found without a refresh."""
    on.write("a.py", component("it", "1.0"))
    later = on.root / "later"
    on.catalog = Catalog([on.folder, later])
    assert on.offers() == ["1.0 a.py"]
    later.mkdir()
    (later / "b.py").write_text(component("it", "2.0"))
    assert on.offers() == ["2.0 b.py", "1.0 a.py"]


def test_a_folder_that_vanishes_is_reported_and_its_offers_are_gone(on: Folder) -> None:
    """As when a volume is unmounted."""
    on.write("a.py", component("it", "1.0"))
    assert on.offers() == ["1.0 a.py"]
    shutil.rmtree(on.folder)
    assert on.offers() == []
    assert on.problems() == [("components", "it is on the path and is not there")]


def test_a_folder_that_cannot_be_listed_is_reported_and_the_rest_is_offered(
    on: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not make the others vanish."""
    closed = on.root / "closed"
    closed.mkdir()
    on.write("a.py", component("it", "1.0"))
    on.catalog = Catalog([closed, on.folder])
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert on.offers() == ["1.0 a.py"]
    assert on.problems() == [("closed", "Permission denied")]


def test_one_file_that_cannot_be_parsed_does_not_end_the_scan(on: Folder) -> None:
    """Whatever the parser does with it."""
    on.write("a.py", "# interface\nx = " + "-" * 100_000 + "1")
    on.write("b.py", component("it", "1.0"))
    assert on.offers() == ["1.0 b.py"]


def test_a_python_file_on_the_path_that_is_none_is_reported(on: Folder) -> None:
    """A file of another kind, named by hand."""
    (on.root / "notes.txt").write_text("")
    on.catalog = Catalog([on.root / "notes.txt"])
    assert on.offers() == []
    assert on.problems() == [
        ("notes.txt", "a component is a .py file, a package folder or a shared object (.so, .lcrso)")
    ]


# -- reading what was offered -------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_described(on: Folder) -> None:
    """The same bytes; if they are other ones by now, it says so."""
    path = on.write("a.py", component("it", "1.0"))
    (offer,) = on.catalog.offers("it")
    assert on.catalog.read(offer).files == {"a.py": component("it", "1.0").encode()}
    path.write_text(component("it", "1.0", "x = 1"))
    with pytest.raises(SourceProblem, match=r"it was changed while it 1\.0 was being loaded; try again"):
        on.catalog.read(offer)
    path.unlink()
    with pytest.raises(SourceProblem, match="No such file"):
        on.catalog.read(offer)


def test_a_path_can_be_read_that_is_not_on_the_path(on: Folder) -> None:
    """With its problems, and without an entry in the catalog."""
    path = on.root / "aside.py"
    path.write_text(component("it", "1.0") + component("it", "x").replace("It", "Wrong"))
    bundle, offers, problems = on.catalog.read_path(path)
    assert [str(offer.interface) for offer in offers] == ["it 1.0"]
    assert len(problems) == 1
    assert bundle.source.path == path
    assert on.offers() == []


def test_an_offer_after_a_touch_has_the_same_sha_and_is_readable(on: Folder, scans: Counter[str]) -> None:
    """A new time with the old content is read, and not described anew."""
    path = on.write("a.py", component("it", "1.0"))
    (before,) = on.catalog.offers("it")
    on.age(path)
    (after,) = on.catalog.offers("it")
    assert on.catalog.read(after).sha == before.sha == after.sha
    assert scans == {"a.py": 1}


# -- what it costs ------------------------------------------------------------------------------------------------------

SYSTEM_CALLS = [
    (os, "stat"),
    (os, "lstat"),
    (os, "scandir"),
    (os, "listdir"),
    (os, "open"),
    (builtins, "open"),
    (io, "open"),
]


def counting(real: Callable[..., Any], name: str, counted: Counter[str]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        counted[name] += 1
        return real(*args, **kwargs)

    return call


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Counter[str]]:
    """Counts the looks at the file system that a call takes."""

    def count(call: Callable[[], object]) -> Counter[str]:
        counted: Counter[str] = Counter()
        with monkeypatch.context() as patch:
            for owner, name in SYSTEM_CALLS:
                patch.setattr(owner, name, counting(getattr(owner, name), name, counted))
            call()
        return counted

    return count


def test_asking_again_costs_the_same_with_ten_files_and_with_a_thousand(
    tmp_path: Path, count: Callable[[Callable[[], object]], Counter[str]]
) -> None:
    """A few looks at the folder and at the files that offer the name; none is opened, no folder is listed."""
    costs = []
    for size in (10, 1_000):
        (tmp_path / str(size)).mkdir()
        on = Folder(tmp_path / str(size))
        for number in range(size):
            path = on.folder / f"c{number}.py"
            path.write_text(component(f"name{number}", "1.0"))
            on.age(path)
        on.age(on.folder)
        ask = functools.partial(on.offers, "name7")
        assert count(ask)["scandir"] == 1
        costs += [count(ask), count(ask)]
    assert costs[0] == costs[1] == costs[2] == costs[3]
    assert set(costs[0]) == {"stat"}
    assert costs[0]["stat"] <= 4


def test_a_scan_reads_only_what_changed(on: Folder, scans: Counter[str]) -> None:
    """The others are known by their stamps."""
    for name in "abc":
        on.write(f"{name}.py", component(name, "1.0"))
    on.write("shop/__init__.py", component("shop", "1.0"))
    assert on.offers("a") == ["1.0 a.py"]
    on.write("d.py", component("d", "1.0"))
    on.write("b.py", component("b", "2.0"))
    assert on.offers("d") == ["1.0 d.py"]
    assert on.offers("b") == ["2.0 b.py"]
    on.catalog.refresh()
    assert scans == {"a.py": 1, "b.py": 2, "c.py": 1, "d.py": 1, "shop": 1}


def test_a_name_that_is_not_there_costs_a_scan_and_no_reading(on: Folder, scans: Counter[str]) -> None:
    """Every time: a file could have been edited to offer it."""
    on.write("a.py", component("it", "1.0"))
    for _ in range(3):
        assert on.offers("nobody") == []
    assert scans == {"a.py": 1}


# -- threads ------------------------------------------------------------------------------------------------------------


def test_threads_may_ask_while_files_change(on: Folder, calls: Calls) -> None:
    """Each gets a version that was whole."""
    on.write("a.py", component("it", "1.0"))
    start = threading.Barrier(5)

    def ask() -> set[str]:
        start.wait(30)
        return {text for _ in range(100) for text in on.offers()}

    results = [calls.start(ask) for _ in range(4)]
    start.wait(30)
    for number in range(1, 20):
        fresh = on.root / "fresh.py"
        fresh.write_text(component("it", f"1.{number}"))
        os.replace(fresh, on.folder / "a.py")
    calls.join()
    assert on.offers() == ["1.19 a.py"]
    for (seen,) in results:
        assert seen <= {f"1.{number} a.py" for number in range(20)}
