from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.errors import PlanError
from provision.release.template import PACKAGED, render

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE = "/etc/ssl/provision/default"


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The templates/ of a project of one's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates" / "nginx").mkdir(parents=True)
    return tmp_path / "templates"


def test_a_project_without_templates_has_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = {"settings": "/etc/settings", "defaults": ("*:443",), "http3": False, "long_names": False}
    rendered = render("nginx/default.conf.j2", certificate=CERTIFICATE, **values)
    assert f"ssl_certificate {CERTIFICATE}/fullchain.pem;" in rendered


def test_a_projects_own_template_comes_first(templates: Path) -> None:
    (templates / "nginx" / "default.conf.j2").write_text("# {{ certificate }}\n")
    assert render("nginx/default.conf.j2", certificate=CERTIFICATE) == f"# {CERTIFICATE}\n"


def test_the_packages_templates_are_there() -> None:
    names = {str(path.relative_to(PACKAGED)) for path in PACKAGED.rglob("*.j2")}
    assert {"app.service.j2", "gunicorn.conf.py.j2", "nginx/settings.conf.j2", "nginx/site.conf.j2"} <= names
    assert {f"supervisor/{name}.j2" for name in ("boot.conf", "slot.conf", "process.conf", "start.sh", "job")} <= names


def test_a_line_that_only_steers_leaves_nothing(templates: Path) -> None:
    (templates / "one.j2").write_text("a\n  {% if yes %}\nb\n  {% endif %}\nc\n")
    assert render("one.j2", yes=True) == "a\nb\nc\n"


def test_nothing_is_escaped(templates: Path) -> None:
    (templates / "one.j2").write_text("{{ text }}\n")
    assert render("one.j2", text="<'&\">") == "<'&\">\n"


def refusal(name: str) -> str:
    with pytest.raises(PlanError) as caught:
        render(name)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_an_undefined_variable_is_refused_with_its_file_and_line(templates: Path) -> None:
    (templates / "one.j2").write_text("fine\nfine\n{{ colour }}\n")
    assert refusal("one.j2") == f"{templates}/one.j2:3: 'colour' is undefined"


def test_an_undefined_attribute_is_refused_with_its_file_and_line(templates: Path) -> None:
    (templates / "one.j2").write_text("fine\n{% set app = {} %}\n{{ app.colour.name }}\n")
    assert refusal("one.j2").startswith(f"{templates}/one.j2:3: ")


def test_a_slip_in_a_template_is_refused_with_its_file_and_line(templates: Path) -> None:
    (templates / "one.j2").write_text("fine\n{% if %}\n")
    assert refusal("one.j2").startswith(f"{templates}/one.j2:2: ")


def test_a_template_that_is_not_there_is_refused(templates: Path) -> None:
    assert "none.j2" in refusal("none.j2")


def test_a_sum_of_a_number_and_a_text_is_refused_with_its_file_and_line(templates: Path) -> None:
    (templates / "one.j2").write_text("fine\n{{ 1 + 'a' }}\n")
    assert refusal("one.j2").startswith(f"{templates}/one.j2:2: ")
