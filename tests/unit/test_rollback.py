"""Releases that the server has: an earlier one, or the active one anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.errors import PlanError
from provision.release.facts import ServerRelease
from provision.release.migration import Migration
from provision.release.tree import Release
from provision.resources.git import Mirror
from tests.unit.tables import (
    ACTIVE,
    HOST,
    NEWER,
    OLDER,
    OLDEST,
    RELEASE,
    SERVER,
    SHOP,
    TWO,
    activation,
    file,
    ids,
    keep,
    released,
)

if TYPE_CHECKING:
    from provision.inventory import Host
    from tests.unit.conftest import Known
    from tests.unit.tables import MakeFacts, MakeHost


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("good", "good", "active", "good"), OLDER),
        (("good", "failed", "active", "good"), OLDEST),
        (("good", "new", "active", "good"), OLDEST),
        (("good", "-", "active"), OLDEST),
    ],
    ids=["the one before", "not a failed one", "not one that never served", "not one that is gone"],
)
def test_a_rollback_goes_to_the_good_release_before_the_active_one(
    states: tuple[str, ...], expected: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    assert released(roles.rolled_back(make_host(), *make_known(commits={}, releases=keep(*states)))) == {
        "shop": expected
    }


def test_a_rollback_has_all_of_a_release_but_its_migration(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("-", "good", "active"))
    found = roles.rolled_back(make_host(), *facts)
    assert [name for name in ids(found) if name in RELEASE] == [each for each in RELEASE if each != "migration:shop"]
    assert not [one for one in found if isinstance(one, Migration)]


def test_a_rollback_and_a_restart_leave_the_server_as_it_is_but_for_what_the_manager_reads(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    facts = make_known(commits={}, releases=keep("-", "good", "active"))
    for found in (roles.rolled_back(make_host(), *facts), roles.restarted(make_host(), *facts)):
        units = [f"file:/etc/shop/units/shop@.{kind}" for kind in ("service", "socket")]
        assert set(SERVER) & set(ids(found)) == {"directory:/etc/shop/units", *units}
        assert all(ids(found).index(unit) < ids(found).index("activation:shop") for unit in units)


def test_a_rollback_is_to_the_commit_of_the_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    found = roles.rolled_back(make_host(), *make_known(commits={}, releases=keep("-", "good", "active")))
    assert [one.commit for one in found if isinstance(one, Mirror | Release)] == ["2" * 40, "2" * 40]
    environment = file(found, "/etc/shop/env").content
    assert f'PROVISION_COMMIT="{"2" * 40}"\nPROVISION_RELEASE="{OLDER}"\n' in environment


def test_a_release_that_one_goes_back_to_runs_as_when_it_was_deployed(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    """So it need not be checked again."""
    deployed = activation(
        roles.everything(make_host(), *make_known(commits={"shop": "2" * 40}, releases=keep("-", "good")))
    )
    facts = make_known(commits={}, releases=keep("-", "good", "active"))
    assert activation(roles.rolled_back(make_host(), *facts)) == deployed


@pytest.mark.parametrize("to", [OLDEST, "1111111"], ids=["id", "digits of the commit"])
def test_a_rollback_goes_to_the_release_that_is_named(to: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("good", "good", "active"))
    assert released(roles.rolled_back(make_host(), *facts, to)) == {"shop": OLDEST}


def test_a_release_that_is_named_may_be_newer_or_in_any_state(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("failed", "new", "active", "good"))
    for to, expected in (("4444444", NEWER), ("1111111", OLDEST), ("2222222", OLDER), (ACTIVE, ACTIVE)):
        assert released(roles.rolled_back(make_host(), *facts, to)) == {"shop": expected}


def test_of_two_releases_of_the_named_commit_the_newer_is_meant(make_host: MakeHost, make_known: MakeFacts) -> None:
    again = "20261102T130000-1111111"
    kept = (*keep("good", "-", "active"), ServerRelease("shop", again, "1" * 40, ".", "good"))
    found = roles.rolled_back(make_host(), *make_known(commits={}, releases=kept), "1111111")
    assert released(found) == {"shop": again}


def refusal(host: Host, known: Known, to: str | None = None) -> str:
    with pytest.raises(PlanError) as caught:
        roles.rolled_back(host, *known, to)
    return str(caught.value)


@pytest.mark.parametrize(
    ("states", "before"),
    [
        ((), "the first one"),
        (("good", "good"), "the first one"),
        (("active",), OLDEST),
        (("-", "-", "active", "good"), ACTIVE),
        (("failed", "new", "active", "good"), ACTIVE),
    ],
    ids=["nothing", "nothing active", "only one", "only newer ones", "no good one"],
)
def test_a_rollback_without_a_good_release_before_is_refused(
    states: tuple[str, ...], before: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    said = refusal(make_host(), make_known(commits={}, releases=keep(*states)))
    assert said == f"shop: there is no good release before {before} on this server"


@pytest.mark.parametrize("to", ["fedcba9", "111111", "20261101T120000", "3333333-", "120000-1111111x"])
def test_a_release_that_is_not_there_is_refused_with_those_that_are(
    to: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    kept = (*reversed(keep("good", "-", "active")), *keep("-", "-", "-", "good", app="blog"))
    said = refusal(make_host(), make_known(commits={}, releases=kept), to)
    assert said == f"shop: there is no release {to} on this server; there are: {OLDEST}, {ACTIVE}"


def test_a_release_is_refused_where_there_is_none_at_all(make_host: MakeHost, make_known: MakeFacts) -> None:
    said = refusal(make_host(), make_known(commits={}), "fedcba9")
    assert said == "shop: there is no release fedcba9 on this server; there are: none"


def test_each_app_goes_back_to_its_own_release(make_host: MakeHost, make_known: MakeFacts) -> None:
    kept = (*keep("good", "good", "active"), *keep("good", "active", app="blog"))
    found = roles.rolled_back(make_host(TWO), *make_known(commits={}, releases=kept))
    assert released(found) == {"shop": OLDER, "blog": OLDEST}


def test_one_app_that_cannot_go_back_keeps_the_others_where_they_are(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    kept = (*keep("good", "good", "active"), *keep("-", "active", app="blog"))
    said = refusal(make_host(TWO), make_known(commits={}, releases=kept))
    assert said == f"blog: there is no good release before {OLDER} on this server"


def test_a_restart_is_of_the_active_release_without_a_migration(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("good", "failed", "active", "good"))
    found = roles.restarted(make_host(), *facts)
    assert released(found) == {"shop": ACTIVE}
    assert [name for name in ids(found) if name in RELEASE] == [each for each in RELEASE if each != "migration:shop"]
    assert [one.commit for one in found if isinstance(one, Mirror | Release)] == ["3" * 40, "3" * 40]


def test_only_a_restart_wants_what_serves_started_anew(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(releases=keep("good", "-", "active"))
    assert activation(roles.restarted(make_host(), *facts)).again
    assert not activation(roles.everything(make_host(), *facts)).again
    assert not activation(roles.rolled_back(make_host(), *facts)).again


def test_a_restart_takes_the_environment_as_it_is_now(make_host: MakeHost, make_known: MakeFacts) -> None:
    facts = make_known(commits={}, releases=keep("active"))
    found = roles.restarted(make_host(f"{HOST}apps:\n{SHOP[:-2]}, environment: {{GREETING: bye}}}}\n"), *facts)
    environment = file(found, "/etc/shop/env")
    assert 'GREETING="bye"\n' in environment.content
    assert dict(activation(found).slot.copies)["env"] == environment.sha256


def test_an_app_that_does_not_serve_yet_or_is_not_declared_is_not_restarted(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    kept = (*keep("active"), *keep("good", "new", app="blog"), *keep("active", app="gone"))
    assert released(roles.restarted(make_host(TWO), *make_known(commits={}, releases=kept))) == {"shop": OLDEST}
    assert roles.restarted(make_host(), *make_known(commits={})) == ()
