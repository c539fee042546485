"""What a breaker found: groups of C and Python, exceptions below C, odd names and files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lcr
from lcr.errors import LcrError
from lcr.native.context import for_c
from tests.native.compiler import build_library

INCLUDE = Path(lcr.__file__).parent / "native" / "include"
ASKER = """
#include <stdlib.h>
#include "lcr_component.h"
struct own {{ const struct lcr_services *services; uint64_t handle; void (*functions[1])(void); }};
static long via(void *self, int n) {{ struct own *own = self; return ((long (*)(int))own->functions[0])(n); }}
static int construct(const struct lcr_services *services, const void *context, size_t size, void **self)
{{
	static const char *const wanted[] = {{"long get(int)"}};
	struct own *own = calloc(1, sizeof *own);
	(void)context, (void)size;
	own->services = services;
	*self = own;
	return services->reference(services->host, "inner", ">={version}", wanted, 1, own->functions, &own->handle);
}}
static void destruct(void *self)
{{
	struct own *own = self;
	own->services->release(own->services->host, own->handle);
	free(own);
}}
static const struct lcr_requirement needs[] = {{{{"inner", ">={version}"}}}};
static const struct lcr_function functions[] = {{LCR_FUNCTION("{name}", "long(int n)", via)}};
static const struct lcr_interface asker = {{
	.size = sizeof asker, .name = "asker", .version = "{version}", .functions = LCR_ARRAY(functions),
	.requirements = LCR_ARRAY(needs), .constructor = construct, .destructor = destruct,
}};
static const struct lcr_interface *const interfaces[] = {{&asker}};
const struct lcr_component lcr_component = {{.size = sizeof lcr_component, .abi = LCR_ABI, .interfaces = LCR_ARRAY(interfaces)}};
"""
INNER = """
import lcr
@lcr.interface("inner", version="{version}")
class Inner:
    def __init__(self):
        self.n = 0
    def get(self, n: int) -> int:
        if n < 0:
            raise ValueError("less than nothing")
        self.n += n
        return self.n
"""


def write(folder: Path, version: str, name: str = "via") -> None:
    """Write both components in one version."""
    (folder / f"inner_{version[-1]}.py").write_text(INNER.format(version=version))
    source = ASKER.format(version=version, name=name)
    build_library(source, folder / f"asker_{version[-1]}.lcrso", f"-I{INCLUDE}", "-fvisibility=hidden")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both components in two versions."""
    for version in ("1.0", "1.1"):
        write(tmp_path, version)
    for source in tmp_path.glob("*.c"):
        source.unlink()
    return tmp_path


def test_c_gets_what_is_replaced_together_with_it(folder: Path) -> None:
    """And not a second instance: the state stays one."""
    with lcr.Host(path=[folder]) as host:
        inner, asker = host.reference("inner", "==1.0"), host.reference("asker", "==1.0")
        asker.via(5)
        report = host.replace("asker", to="1.1")
        assert (report.outcome, asker.via(0), inner.get(0)) == ("committed", 5, 5)
        assert [each.version for each in host.snapshot().interfaces if each.name == "inner"] == ["1.1"]


def test_an_exception_below_c_is_raised_where_python_called_that_c(folder: Path) -> None:
    """And nowhere else."""
    with lcr.Host(path=[folder]) as host:
        asker = host.reference("asker", "==1.0")
        with pytest.raises(ValueError, match="less than nothing"):
            asker.via(-1)
        assert asker.via(1) == 1


def test_a_function_with_the_name_of_a_keyword_is_a_problem_of_that_library_only(tmp_path: Path) -> None:
    """The rest of the path is offered."""
    write(tmp_path, "1.0", name="import")
    with lcr.Host(path=[tmp_path]) as host:
        found = host.catalog()
        assert [each.name for each in found.entries] == ["inner"]
        assert any("import" in each.message for each in found.problems)


def test_a_pipe_on_the_path_is_no_component_and_holds_up_nobody(tmp_path: Path) -> None:
    """Reading it would wait for whoever writes to it."""
    os.mkfifo(tmp_path / "pipe.so")
    with lcr.Host(path=[tmp_path]) as host:
        assert [each.message for each in host.catalog().problems] == ["it is no regular file"]


@pytest.mark.parametrize("context", [2**64, -(2**63) - 1])
def test_a_context_that_is_no_pointer_is_refused(context: int) -> None:
    """Instead of another number."""
    with pytest.raises(LcrError, match="does not fit"):
        for_c(context)
