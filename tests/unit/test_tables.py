"""The tables as a file or a pipe gets them: words, without colours."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.text import Text

from provision.release.status import AppStatus, ReleaseInfo
from provision.report import tables
from provision.run.result import Result

if TYPE_CHECKING:
    from rich.table import Table

ID = "20261121T230500-abc1234"


def lines(table: Table, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words of each line."""
    tables.show(table)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_recap_has_a_line_for_each_host(capsys: pytest.CaptureFixture[str]) -> None:
    changed = Result("web1", "changed", ok=9, changed=2, execs=3, seconds=1.25, releases={"shop": "20261121T230500"})
    failed = Result("web2", "failed", ok=9, changed=1, failed=1, skipped=4, execs=3, error="no space left")
    header, first, second = lines(tables.recap([changed, failed], applied=True), capsys)
    assert " ".join(header) == "host status ok changed failed not done execs seconds release"
    assert first == ["web1", "●", "changed", "9", "2", "0", "0", "3", "1.2", "20261121T230500"]
    assert second == ["web2", "✗", "failed", "9", "1", "1", "4", "3", "0.0"]


def test_a_recap_of_a_plan_says_what_would_change(capsys: pytest.CaptureFixture[str]) -> None:
    planned = Result("web1", "changed", ok=9, changed=2, skipped=2, execs=2)
    header, first = lines(tables.recap([planned], applied=False), capsys)
    assert " ".join(header).startswith("host status ok to change failed")
    assert first == ["web1", "●", "would", "change", "9", "2", "0", "0", "2", "0.0"]


def test_a_commits_subject_is_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    row = ReleaseInfo("web1", "shop", "one", "abc", "held", "2026-11-21", "ann@box", "Ann", "[red]sale[/]")
    _, first = lines(tables.releases([row]), capsys)
    assert first == ["web1", "shop", "one", "held", "2026-11-21", "ann@box", "Ann", "[red]sale[/]"]


def test_a_status_shows_health_in_words_and_a_dash_for_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    good = AppStatus("web1", "shop", "one", "yesterday", "blue", "200", 3, 52_400_000, 60, False, 2)
    bad = AppStatus("web1", "blog", "", "-", "green", "502", 0, None, None, True, 2)
    _, first, second = lines(tables.status([good, bad]), capsys)
    assert first == ["web1", "shop", "one", "yesterday", "blue", "healthy", "3", "52", "MB", "60", "days", "2"]
    assert second == ["web1", "blog", "-", "-", "green", "502", "maintenance", "0", "-", "-", "2"]


@pytest.mark.parametrize(
    ("days", "issuer", "said"),
    [
        (21, "letsencrypt", ""),
        (None, "letsencrypt", ""),
        (20, "letsencrypt", "ends in 20 days: certbot should have renewed it: "),
        (-1, "https://acme.test/dir", "has expired: certbot should have renewed it: "),
        (3, "files", "ends in 3 days: put another where tls.certificate names it, and deploy"),
        (3, "self-signed", ""),
    ],
)
def test_a_certificate_that_should_have_been_renewed_is_named(days: int | None, issuer: str, said: str) -> None:
    row = AppStatus("web1", "shop", "one", "yesterday", "blue", "200", 3, 52_400_000, days, False, 2)
    assert tables.late(row, issuer).startswith(f"web1: shop: the certificate {said}" if said else "")
    assert bool(tables.late(row, issuer)) == bool(said)


ROW = ReleaseInfo("web1", "shop", ID, "abc", "held", "2026-11-21T23:05:00Z", "ann@box", "Ann", "a long subject " * 9)
STATUS = AppStatus("web1", "shop", ID, "2026-11-21T23:05:00Z", "blue", "502", 3, 52_400_000, 60, True, 2)
RESULT = Result("web1.example.com", "changed", 103, 2, execs=3, seconds=1.25, releases={"shop": ID, "blog": ID})


@pytest.mark.parametrize("width", [200, 120, 80, 40, 20])
@pytest.mark.parametrize("table", [tables.releases([ROW]), tables.status([STATUS]), tables.recap([RESULT], True)])
def test_nothing_that_has_to_be_copied_is_cut_however_narrow_the_terminal_is(table: Table, width: int) -> None:
    output = io.StringIO()
    terminal = Console(file=output, force_terminal=True, width=width, color_system=None, highlight=False)
    tables.show(table, terminal)
    shown = output.getvalue()
    assert "…" not in shown
    words = [
        word for column in table.columns for cell in column.cells for word in Text.from_markup(str(cell)).plain.split()
    ]
    assert [word for word in words if word not in shown] == []
    if width >= 40:
        assert max(map(len, shown.splitlines())) <= width or ID in shown
    if width == 80:
        assert f"release {ID}" in shown or table.columns[2].header == "release"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_an_output_that_lacks_letters_gets_others(encoding: str) -> None:
    program = (
        "from provision.tasks import namespace\n"
        "from provision.report import tables\n"
        "from provision.run.result import Result\n"
        "tables.show(tables.recap([Result('web1', 'changed'), Result('żółć', 'failed')], True))\n"
        "print('➜ …')\n"
    )
    ran = subprocess.run(
        (sys.executable, "-c", program),
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    _, first, second, last = ran.stdout.decode(encoding).splitlines()
    assert first.split()[:3] == ["web1", "●" if encoding == "utf-8" else "*", "changed"]
    assert second.split()[1:3] == ["✗" if encoding == "utf-8" else "x", "failed"]
    assert last == ("➜ …" if encoding == "utf-8" else "> ...")
