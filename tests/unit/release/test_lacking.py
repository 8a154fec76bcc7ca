"""What a build that failed for want of a compiler, a header or a program says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.engine.shell import quote
from provision.release import shell

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

ADD = "; the server lacks what compiles it: add packages: [{}] to the inventory"


@pytest.mark.parametrize(
    ("output", "python", "hint"),
    [
        ("  error: command 'gcc' failed: No such file or directory", "/opt/pyenv/x", ADD.format("build-essential")),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "/usr/bin/python3.11", ADD.format("build-essential, python3-dev")),
        ("error: [Errno 2] No such file or directory: 'gcc'", "/opt/x", ADD.format("build-essential")),
        ("error: [Errno 2] No such file or directory: 'pg_config'", "/opt/x", ADD.format("libpq-dev")),
        ("error: [Errno 2] No such file or directory: 'shop/gcc.txt'", "/opt/x", ""),
        ("unable to execute 'c++': No such file or directory", "/opt/x", ADD.format("build-essential")),
        ("a.c:1:10: fatal error: Python.h: No such file or directory", "/usr/bin/python3.11", ADD.format("build-essential, python3-dev")),
        ("a.c:1:10: fatal error: libpq-fe.h: No such file or directory", "/opt/x", ADD.format("libpq-dev")),
        ("Error: pg_config executable not found.", "/opt/x", ADD.format("libpq-dev")),
        ("/bin/sh: 1: pkg-config: not found\nException: Can not find valid pkg-config name: mysqlclient could not be found", "/opt/x", ADD.format("pkg-config, default-libmysqlclient-dev")),
        ("error: can't find Rust compiler", "/opt/x", ADD.format("cargo, build-essential")),
        ("a.c:1:10: fatal error: deep/odd.h: No such file or directory", "/opt/x", "; the server lacks deep/odd.h: find its package (apt-file search deep/odd.h), and add it to packages in the inventory"),
        ("error: a package was not found in the registry", "/opt/x", ""),
        ("ModuleNotFoundError: No module named 'shop'", "/opt/x", ""),
    ],
)  # fmt: skip
def test_it_names_the_packages(
    output: str, python: str, hint: str, call: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    ran = call([shell], f"printf '%s\\n' {quote(output)} | lacking_hint {python}")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, hint, "")
