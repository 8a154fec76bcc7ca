"""What stands in the way on a server is named, and never changed."""

import pytest

from provision.engine.resource import State
from provision.errors import PlanError
from provision.release.adopted import Adopted
from provision.release.claim import Claim
from provision.resources.ports import Ports

PORTS = Ports("nginx", (80, 443), "nginx")


def test_nothing_in_the_way_is_no_change() -> None:
    for guard in (Claim("shop"), PORTS):
        assert guard.plan(State(), {}) is None


@pytest.mark.parametrize(
    ("unit", "way_out"), [("apache2.service", "systemctl disable --now apache2.service"), ("", "end process 712")]
)
def test_whoever_has_a_port_is_named(unit: str, way_out: str) -> None:
    with pytest.raises(
        PlanError, match=rf"port 80 is held by apache2 \(process 712\), and nginx needs it: {way_out} on"
    ):
        PORTS.plan(State.of({"port": "80", "program": "apache2", "process": "712", "unit": unit}), {})


def test_what_is_somebody_elses_is_named() -> None:
    with pytest.raises(PlanError, match=r"shop: the server has the user shop .uid 1500., /srv/shop, and they are not"):
        Claim("shop").plan(State.of(USER, FOLDER), {})


USER = {"foreign": "the user shop (uid 1500)", "word": "user", "never": "", "leaves": "adm docker"}
FOLDER = {"foreign": "/srv/shop", "word": "folders", "never": "", "path": "/srv/shop", "used": "process 7 (cat)"}
OTHER = {"foreign": "/run/shop", "word": "-", "never": "a service that runs made it"}
SUDOER = {**USER, "never": "it may use sudo"}


@pytest.mark.parametrize(
    ("adopts", "there", "ends"),
    [
        ((), (USER, FOLDER), "or remove them if nobody needs them, or say adopt: [user, folders] for the app"),
        (("user",), (USER, FOLDER), "/srv/shop, and they are not this toolkit's: give the app another name, or remove them if nobody needs them, or say adopt: [user, folders] for the app"),
        ((), (SUDOER, FOLDER), "or remove them if nobody needs them"),
        (("user", "folders"), (USER, FOLDER, OTHER), "has /run/shop, and they are not this toolkit's: give the app another name, or remove them if nobody needs them"),
        (("user",), (SUDOER,), "the user shop (uid 1500) cannot be adopted, as it may use sudo: change that, or give the app another name"),
    ],
)  # fmt: skip
def test_the_word_that_would_allow_it_is_said_where_it_would(
    adopts: tuple[str, ...], there: tuple[dict[str, str], ...], ends: str
) -> None:
    with pytest.raises(PlanError) as refused:
        Claim("shop", adopts).plan(State.of(*there), {})
    assert str(refused.value).endswith(ends)


def test_an_app_leaves_though_its_adoption_was_not_finished() -> None:
    assert Claim("shop", leaves=True).plan(State.of({"begun": "yes"}, FOLDER), {}) is None
    with pytest.raises(PlanError, match=r"or remove them if nobody needs them$"):
        Claim("shop", leaves=True).plan(State.of(FOLDER), {})


def test_what_is_adopted_stands_in_the_plan_with_what_becomes_of_it() -> None:
    state = State.of(USER, FOLDER)
    assert Claim("shop", ("user", "folders")).plan(state, {}) is None
    user, folders = (Adopted("shop", what).plan(state, {}) for what in ("user", "folders"))
    assert user
    assert folders
    assert user.summary == (
        "shop: adopts the user shop (uid 1500), who leaves the groups adm, docker until the app is removed"
    )
    assert user.script == "adopted_user shop adm docker"
    assert folders.summary == (
        "shop: adopts /srv/shop, moved to /srv/shop.before-provision until the app is removed, though process 7 (cat) uses it"
    )
    assert (folders.script, folders.empties) == ("adopted_folders shop /srv/shop", ("/srv/shop",))
    assert Adopted("shop", "user").plan(State.of({"begun": "yes"}), {}) is None
