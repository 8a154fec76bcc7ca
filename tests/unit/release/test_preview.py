"""A release beside the one that serves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.errors import PlanError
from provision.release.facts import PreviewedRelease
from provision.release.preview import preview_tokens
from provision.release.slot import Previewed, Serving
from tests.unit.conftest import planned as earlier
from tests.unit.release.serving import (
    BEFORE,
    ID,
    NO_PREVIEW,
    OTHER,
    PREVIEW,
    PREVIEWED,
    PROMOTION,
    SERVING,
    TOKEN,
    change,
    fill,
    function,
    planned,
    summary,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Units
    from tests.unit.release.serving import Serve, Shell


@pytest.mark.parametrize("serving", [BEFORE, replace(SERVING, fingerprint="older"), replace(SERVING, current=OTHER)])
def test_a_release_that_does_not_serve_as_it_is_wanted_is_held_beside_the_one_that_does(serving: Serving) -> None:
    found = planned(PREVIEW, serving)
    assert found.summary == f"shop: hold {ID} in the slot beside blue, without traffic"
    assert function(found.script) == f"preview_start {TOKEN}"


@pytest.mark.parametrize("serving", [SERVING, PREVIEWED, replace(SERVING, health="500", idle="active", down="worker")])
def test_what_serves_or_is_held_as_it_is_wanted_is_left_as_it_is(serving: Serving) -> None:
    assert change(PREVIEW, serving) is None


@pytest.mark.parametrize(
    "serving",
    [
        replace(PREVIEWED, previewed=Previewed(OTHER, "print", "200")),
        replace(PREVIEWED, previewed=Previewed(ID, "other", "200")),
        replace(PREVIEWED, previewed=Previewed(ID, "print", "503")),
        replace(PREVIEWED, previewed=Previewed(ID, "print", "000")),
    ],
    ids=["another", "configured otherwise", "ill", "ended"],
)
def test_what_is_held_in_another_way_is_held_anew(serving: Serving) -> None:
    assert change(PREVIEW, serving) is not None


@pytest.mark.parametrize("serving", [SERVING, PREVIEWED], ids=["active", "held"])
def test_a_release_whose_files_were_restored_is_held_anew(serving: Serving) -> None:
    for before in ("release:shop", "venv:shop", "directory:/srv/shop/shared"):
        assert change(PREVIEW, serving, (before,)) is not None
        assert change(PREVIEW, serving, (before.replace("shop", "blog"),)) is None


def test_a_first_release_cannot_be_held() -> None:
    with pytest.raises(PlanError) as caught:
        change(PREVIEW, None)
    assert str(caught.value) == (
        "shop: nothing serves yet, so there is nothing to hold a release back from: deploy without --hold"
    )


@pytest.mark.parametrize("serving", [None, SERVING, PREVIEWED])
def test_what_is_held_is_promoted_or_dropped_whatever_else_there_is(serving: Serving | None) -> None:
    assert summary(PROMOTION, serving) == f"shop: activate {ID} (it is held)"
    assert function(planned(PROMOTION, serving).script) == "preview_promote"
    assert summary(NO_PREVIEW, serving) == f"shop: drop {ID}, which is held"
    assert function(planned(NO_PREVIEW, serving).script) == "preview_drop"


@pytest.mark.parametrize(
    ("made", "expected"),
    [([], {"shop": "old"}), (["hold:shop"], {"shop": TOKEN}), (["activation:shop"], {})],
    ids=["nothing", "a preview", "an activation"],
)
def test_a_preview_is_had_until_an_activation_ends_it(made: list[str], expected: dict[str, str]) -> None:
    previews = {"shop": PreviewedRelease(ID, "old"), "blog": PreviewedRelease(OTHER, "old")}
    assert preview_tokens(previews, {"shop": ID, "blog": ID}, earlier(*made), TOKEN) == expected
    assert preview_tokens(previews, {}, earlier(*made), TOKEN) == {}, "no release is wanted"


def test_without_a_token_nothing_is_previewed_anew() -> None:
    assert preview_tokens({}, {"shop": ID}, earlier("hold:shop"), "") == {}


def test_a_held_slot_is_held_until_it_is_preview_end(tmp_path: Path, shell: Shell) -> None:
    assert shell("preview_slot").stdout == ""
    run = fill(tmp_path / "run" / "shop", held="green\n")
    fill(run / "preview", **{TOKEN: ""})
    (run / "preview.sock").symlink_to("green.sock")
    (run / "current.sock").symlink_to("blue.sock")
    (tmp_path / "srv" / "shop" / "preview").symlink_to(f"releases/{ID}")
    assert shell("preview_slot").stdout == "green\n"
    assert shell("preview_end; preview_slot").stdout == ""
    assert [path.name for path in run.iterdir()] == ["current.sock"]
    assert [path.name for path in (tmp_path / "srv" / "shop").iterdir()] == ["releases"]


def test_a_release_is_held_with_its_token_and_nothing_of_the_traffic(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    ran = shell(f"preview_start {TOKEN}")
    assert (ran.returncode, ran.stdout) == (0, "")
    run = tmp_path / "run" / "shop"
    assert (run / "held").read_text() == "green\n"
    assert [path.name for path in (run / "preview").iterdir()] == [TOKEN]
    assert (run / "preview").stat().st_mode & 0o7777 == 0o2750
    assert str((run / "preview.sock").readlink()) == "green.sock"
    assert str((tmp_path / "srv" / "shop" / "preview").readlink()) == f"releases/{ID}"
    assert str((run / "current.sock").readlink()) == "blue.sock"
    assert str((tmp_path / "srv" / "shop" / "current").readlink()) == f"releases/{OTHER}"
    assert str((slots / "current").readlink()) == "blue"
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("held\t")
    assert not [call for call in units.calls if call.startswith("enable")]


def test_a_release_that_is_held_anew_has_only_the_new_token(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve
) -> None:
    health(tmp_path / "run" / "shop" / "green.sock")
    assert shell(f"preview_start {'a' * 32}").returncode == 0
    assert shell(f"preview_start {TOKEN}").returncode == 0
    assert [path.name for path in (tmp_path / "run" / "shop" / "preview").iterdir()] == [TOKEN]


def test_a_release_that_cannot_be_held_leaves_nothing_and_is_recorded_as_failed(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    health(tmp_path / "run" / "shop" / "green.sock", 503)
    # A request has until the end of the timeout, which is too short at 0 on a machine that is busy.
    ran = shell(f"timeout=3; preview_start {TOKEN}")
    assert ran.returncode == 1
    assert f"error: shop: {ID} was not healthy within 3s (/health answered " in ran.stdout
    assert {path.name for path in (tmp_path / "run" / "shop").iterdir()} == {"current.sock", "green.sock"}
    assert not {"shop@green.socket", "shop@green.service"} & units.running
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("failed\t")


def test_a_release_that_is_dropped_leaves_the_other_one_as_it_was(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    health(tmp_path / "run" / "shop" / "green.sock")
    shell(f"preview_start {TOKEN}")
    assert units.running == {"shop@green.socket", "shop@green.service"}
    assert shell("preview_drop").returncode == 0
    assert {path.name for path in (tmp_path / "run" / "shop").iterdir()} == {"current.sock", "green.sock"}
    assert not {"shop@green.socket", "shop@green.service"} & units.running
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("dropped\t")


def test_a_release_that_is_held_takes_over_without_being_started_again(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    shell(f"preview_start {TOKEN}")
    before = len(units.calls)
    ran = shell("release=''; preview_promote")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert not [call for call in units.calls[before:] if call.startswith("start")]
    assert "enable --quiet shop@green.socket" in units.calls[before:]
    assert {path.name for path in (tmp_path / "run" / "shop").iterdir()} == {"current.sock", "green.sock"}
    assert str((tmp_path / "run" / "shop" / "current.sock").readlink()) == "green.sock"
    assert str((tmp_path / "srv" / "shop" / "current").readlink()) == f"releases/{ID}"
    assert str((slots / "current").readlink()) == "green"
    assert units.running == {"shop@green.socket", "shop@green.service"}
    records = tmp_path / "var" / "lib" / "provision" / "apps" / "shop" / "releases"
    assert (records / ID).read_text().startswith("good\t")


def test_an_activation_of_what_is_held_only_takes_over(
    slots: Path, tmp_path: Path, shell: Shell, health: Serve, units: Units
) -> None:
    units.serve("blue")
    health(tmp_path / "run" / "shop" / "green.sock")
    shell(f"preview_start {TOKEN}")
    before = len(units.calls)
    assert shell("activation_run").returncode == 0
    assert not [call for call in units.calls[before:] if call.startswith("start")]
    assert not (tmp_path / "run" / "shop" / "held").exists()
