"""`invoke check` reads inventories and renders templates, and connects to nothing; `invoke doctor` prints what was found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from provision.engine.resource import Finding
from provision.report import document, tables
from provision.run.doctor import Diagnosis
from tests.unit.test_help import invoke

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
SHOP = "apps: {shop: {source: git@git.example.com:shop.git, module: a:b, domains: [shop.example.com]}}\n"
FOUND = (
    Diagnosis("web1", (Finding("disk", "ok", "free: [3] GB"), Finding("firewall", "warn", "ufw is closed", "open it"))),
    Diagnosis("web2", (Finding("ports", "stop", "port 80 is held\x1b[0m", "let it go"),)),
    Diagnosis("web3", error="web3 does not answer"),
)


def project(folder: Path, **inventories: str) -> Path:
    (folder / "inventories").mkdir()
    for name, text in inventories.items():
        (folder / f"inventories/{name}.yml").write_text(text)
    return folder


def test_all_inventories_are_read_and_nothing_is_asked_of_a_server(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        production=f"include: shared.yml\nhosts: {{web1: 203.0.113.10, db1: {{address: 203.0.113.11, roles: [base]}}}}\n{SHOP}",
        shared="locale: C.UTF-8\n",
        vm="hosts: {vm1: {connect: vagrant}}\n",
    )
    (answer,) = invoke(folder, [("check",)])
    assert (answer["status"], answer["noticed"]) == (0, []), answer
    lines = [line.split("  (")[0].rstrip() for line in answer["printed"].splitlines()]
    assert lines == [
        "✓ inventories/production.yml",
        "    web1  203.0.113.10  base, python, app, web, tls",
        "        shop  shop.example.com  from git@git.example.com:shop.git",
        "    db1  203.0.113.11  base",
        "        shop  shop.example.com  from git@git.example.com:shop.git",
        "✓ inventories/vm.yml",
        "    vm1  by Vagrant  base, python, app, web, tls",
    ]


def test_what_is_wrong_is_named_with_its_line_and_the_rest_is_read_all_the_same(tmp_path: Path) -> None:
    folder = project(tmp_path, bad="hosts:\n  web1: 203.0.113.10\ntimezon: UTC\n", good="hosts: {web1: 203.0.113.10}\n")
    both, one, named = invoke(folder, [("check", "--json"), ("check", "--host", "bad"), ("check", "--host", "goood")])
    found = json.loads(both["printed"])
    assert (both["status"], found["ok"], found["errors"]) == (
        1,
        False,
        found["inventories"]["inventories/bad.yml"]["errors"],
    )
    assert found["errors"][0].startswith("inventories/bad.yml:3: timezon: unknown key")
    assert found["inventories"]["inventories/good.yml"]["hosts"]["web1"]["address"] == "203.0.113.10"
    assert (one["status"], one["printed"].startswith("inventories/bad.yml:3: timezon: unknown key")) == (1, True)
    assert (named["status"], named["printed"].startswith('"goood" is not an inventory, group or host')) == (1, True)
    assert [each["noticed"] for each in (both, one, named)] == [[], [], []]


def test_a_template_that_cannot_be_rendered_is_named_with_its_line(tmp_path: Path) -> None:
    folder = project(tmp_path, production=f"hosts: {{web1: 203.0.113.10, web2: 203.0.113.11}}\n{SHOP}")
    (folder / "templates/nginx").mkdir(parents=True)
    (folder / "templates/nginx/site.conf.j2").write_text("# {{ app.name }}\n{{ no_such_value }}\n")
    (answer,) = invoke(folder, [("check",)])
    assert answer["status"] == 1
    assert answer["printed"] == f"{folder}/templates/nginx/site.conf.j2:2: 'no_such_value' is undefined\n"


def test_a_folder_without_inventories_is_one_line(tmp_path: Path) -> None:
    (answer,) = invoke(tmp_path, [("check",)])
    assert (answer["status"], answer["printed"].count("\n")) == (1, 1)
    assert "has no folder inventories" in answer["printed"]


def test_the_examples_are_right(tmp_path: Path) -> None:
    folder = project(tmp_path)
    for path in (ROOT / "inventories").glob("*.example.yml"):
        shutil.copy(path, folder / "inventories" / path.name.replace(".example", ""))
    (answer,) = invoke(folder, [("check",)])
    assert answer["status"] == 0, answer["printed"]


def test_the_doctor_says_what_to_do_below_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    tables.diagnoses(FOUND)
    assert capsys.readouterr().out.splitlines() == [
        "web1  ok    disk         free: [3] GB",
        "web1  warn  firewall     ufw is closed",
        "            to do        open it",
        "web2  stop  ports        port 80 is held\\x1b[0m",
        "            to do        let it go",
        "web1 ✓ nothing would stop a deploy, 1 warning",
        "web2 ✗ 1 would stop a deploy",
        "web3 ✗ web3 does not answer",
    ]


def test_the_doctors_document_has_each_check() -> None:
    found = json.loads(document.diagnoses(FOUND, 0.1))
    assert (found["task"], found["ok"], list(found["hosts"])) == ("doctor", False, ["web1", "web2", "web3"])
    assert found["hosts"]["web1"]["checks"][1] == {
        "check": "firewall",
        "level": "warn",
        "what": "ufw is closed",
        "fix": "open it",
    }
    assert json.loads(document.diagnoses(FOUND[:1], 0.1))["ok"] is True
