"""What an audit makes of the things that a server has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.engine.shell import library
from provision.release import audit
from provision.release.audit import unexplained
from tests.unit.tables import HOST, SHOP, TWO

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.unit.tables import MakeHost

LISTENS = {"kind": "listens", "path": "/usr/sbin/nginx", "package": "nginx", "changed": "", "protocol": "tcp"}
LISTENS |= {"address": "[::]:443", "process": "7", "unit": "nginx.service"}
LOGIN = {"kind": "login", "user": "root", "uid": "0", "password": "", "keys": "1"}
UNIT = {
    "kind": "unit",
    "path": "/etc/systemd/system/shop@.service",
    "package": "",
    "changed": "",
    "unit": "shop@blue.service",
}
SUID = {"kind": "suid", "path": "/usr/bin/sudo", "package": "sudo", "changed": "", "access": "4755 root:root"}


def line(record: dict[str, str]) -> str:
    return "\t".join(f"{key}={value}" for key, value in record.items())


@pytest.mark.parametrize(
    "record",
    [
        LISTENS,
        {**LISTENS, "path": "/usr/sbin/sshd", "package": "openssh-server", "unit": "ssh.service"},
        {**LISTENS, "path": "/usr/lib/postgresql/15/bin/postgres", "package": "postgresql-15"},
        {
            **LISTENS,
            "path": "/opt/pyenv/versions/3.13.5/bin/python3.13",
            "package": "",
            "unit": "shop-worker@blue.service",
        },
        LOGIN,
        UNIT,
        {**UNIT, "path": "/lib/systemd/system/cron.service", "package": "cron", "unit": "cron.service"},
        SUID,
    ],
)
def test_what_the_inventory_or_the_distribution_has_is_explained(make_host: MakeHost, record: dict[str, str]) -> None:
    host = make_host(f"{TWO}packages: [postgresql]\n")
    assert unexplained(host, [line(record), "kind=end"]) == ()


@pytest.mark.parametrize(
    ("database", "serves", "address", "explained"),
    [
        ("", (), "127.0.0.1:5432", False),
        (", database: postgresql", (), "127.0.0.1:5432", True),
        (", database: postgresql", (), "0.0.0.0:5432", False),
        ("", ("shop",), "0.0.0.0:5432", True),
    ],
)
def test_postgresql_listens_for_whom_the_inventory_says(
    make_host: MakeHost, database: str, serves: tuple[str, ...], address: str, explained: bool
) -> None:
    host = make_host(f"{HOST}apps:\n{SHOP[:-2]}{database}}}\n").model_copy(update={"serves": serves})
    record = {**LISTENS, "path": "/usr/lib/postgresql/15/bin/postgres", "package": "postgresql-15", "address": address}
    assert (unexplained(host, [line(record), "kind=end"]) == ()) is explained


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({**LISTENS, "path": "/usr/bin/nc", "package": "netcat"}, "/usr/bin/nc (process 7, nginx.service) listens for other machines: tcp [::]:443"),
        ({**LISTENS, "path": "-", "package": "", "process": "", "unit": ""}, "the kernel listens for other machines: tcp [::]:443"),
        ({**LISTENS, "package": "", "address": "127.0.0.1:9"}, "/usr/sbin/nginx (process 7, nginx.service) listens on this machine alone: tcp 127.0.0.1:9"),
        ({**LISTENS, "changed": "yes"}, "/usr/sbin/nginx is not what nginx had"),
        ({**LOGIN, "password": "none", "keys": "0"}, "root can log in with an empty password, and the inventory does not say so"),
        ({**LOGIN, "user": "jo", "uid": "1001"}, "jo can log in with 1 SSH key, and the inventory does not say so"),
        ({**UNIT, "unit": "shopper.service"}, "shopper.service is enabled, and comes from no package (/etc/systemd/system/shop@.service)"),
        ({**SUID, "path": "/usr/bin/\x1b[2J", "package": ""}, r"/usr/bin/\x1b[2J gives whoever runs it other rights (4755 root:root), and is of no package"),
    ],
)  # fmt: skip
def test_anything_else_is_named(make_host: MakeHost, record: dict[str, str], what: str) -> None:
    (found,) = unexplained(make_host(TWO), [line(record), "kind=end"])
    assert found.what == what
    assert found.fix


def test_an_answer_that_was_cut_off_explains_nothing(make_host: MakeHost) -> None:
    with pytest.raises(ValueError, match="no end"):
        unexplained(make_host(TWO), [line(LOGIN)])


def test_a_file_is_one_file_whatever_its_name_is(
    sh: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Anybody can make a file whose name says that it is a package's, or that it is two."""
    for name in ("plain", "a\tpackage=bash", "b\nc"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o4755)
    found = sh(f"{library(str(Path(audit.__file__)))}\naudit_suid_below {tmp_path}").stdout.splitlines()
    assert sorted(one.split("\t")[0] for one in found) == [
        f"{tmp_path}/{name}" for name in ("a?package=bash", "b?c", "plain")
    ]
    assert all(one.split("\t")[1].startswith("access=4755 ") for one in found)
