"""Users, packages, the time zone, the locale, and the authorities that a server trusts."""

import pytest

from provision import lab
from provision.lab import acme
from provision.resources.package import Packages
from provision.resources.user import Group, User
from tests.lab.conftest import LAB, ROOT, Controller, shell
from tests.lab.sample_site import SERVER, Apply, Site, assert_all_is_well, ids

pytest_plugins = ("tests.lab.sample_site",)
pytestmark = pytest.mark.usefixtures("site")


def test_users_and_groups_are_made_kept_and_made_again(apply: Apply) -> None:
    wanted = (Group("kinds"), User("kinds", "/srv/kinds/home"))
    everything = [str(one.ref) for one in wanted]
    entry = "id -un kinds; id -gn kinds; getent passwd kinds | cut -d: -f6-"
    for hand, expected in (
        ("true", everything),
        ("userdel kinds", everything),
        ("userdel kinds && groupadd --system kinds", everything[1:]),
        ("usermod -g games -d /tmp kinds", everything[1:]),
        ("usermod -s /bin/bash kinds", everything[1:]),
    ):
        shell(SERVER, hand)
        assert ids(apply(*wanted)) == expected
        assert ids(apply(*wanted)) == []
        assert shell(SERVER, entry) == "kinds\nkinds\n/srv/kinds/home:/usr/sbin/nologin"
    shell(SERVER, "userdel kinds")


def test_packages_are_installed_and_only_the_missing_ones_again(apply: Apply) -> None:
    wanted = Packages("kinds", ("bc", "curl", "dc"))
    (change,) = apply(wanted).changes
    assert change.summary == "install bc, dc"
    assert ids(apply(wanted)) == []
    shell(SERVER, "dpkg --remove dc")
    (change,) = apply(wanted).changes
    assert change.summary == "install dc"
    assert ids(apply(wanted, applies=False)) == []
    assert shell(SERVER, "echo 6 7 '*' p | dc") == "42"
    shell(SERVER, "dpkg --purge dc bc")


@pytest.fixture(scope="module")
def elsewhere(site: Site) -> Controller:
    """The same server in Berlin, which trusts three more authorities; the last one signed the ACME API's certificate."""
    bundle = (ROOT / "tests/unit/ca.pem").read_text() + (LAB / "acme-api-ca.pem").read_text()
    site.controller.inventory.with_name("ca.pem").write_text(bundle)
    text = "timezone: Europe/Berlin\nlocale: en_US.UTF-8\nmirrors: {ca_bundle: ca.pem}\n"
    assert lab.shell(SERVER, f"curl -sS {acme.DIRECTORY}").returncode == 60
    return site.controller.with_text(site.controller.inventory.read_text() + text, "elsewhere")


def provision(controller: Controller, *options: str) -> list[str]:
    """Run `provision`, which must succeed, and return the ids of its changes."""
    answer = controller("provision", SERVER, "--json", *options)
    assert answer.status == 0, answer.stdout + answer.stderr
    return answer.changed(SERVER)


def test_a_time_zone_and_a_locale_are_there_for_whoever_logs_in(elsewhere: Controller) -> None:
    assert provision(elsewhere) == [
        "packages:base",
        "link:/etc/localtime",
        "file:/etc/timezone",
        "locale:en_US.UTF-8",
        "file:/etc/default/locale",
        "authorities:mirrors",
    ]
    assert provision(elsewhere, "--plan") == []
    login = "su - admin -c 'date -d @0 +%H:%M%z; locale height; echo $LANG'"
    assert shell(SERVER, f"cat /etc/timezone; {login}").split() == ["Europe/Berlin", "01:00+0100", "279", "en_US.UTF-8"]


TRUSTING = (
    f"curl -sSf {acme.DIRECTORY}",
    f"git ls-remote {acme.DIRECTORY} 2>&1 | grep 'not found'",
    f"/opt/pyenv/versions/*/bin/python -c 'import urllib.request; urllib.request.urlopen(\"{acme.DIRECTORY}\")'",
    "openssl verify -no-CAfile -CApath /etc/ssl/certs /usr/local/share/ca-certificates/provision-*",
)


@pytest.mark.parametrize(
    "hand",
    [
        "rm /etc/ssl/certs/provision-*.pem && update-ca-certificates --certsconf /dev/null --localcertsdir /nowhere",
        "find /etc/ssl/certs -lname 'provision-*' -delete",
    ],
    ids=["not in the bundle", "not in the folder"],
)
def test_each_authority_of_the_mirrors_is_trusted_by_all_programs_and_again_after_what_a_hand_did(
    elsewhere: Controller, hand: str
) -> None:
    for program in TRUSTING:
        shell(SERVER, program)
    shell(SERVER, hand)
    assert provision(elsewhere, "--plan") == provision(elsewhere) == ["authorities:mirrors"]
    assert provision(elsewhere, "--plan") == []
    for program in TRUSTING:
        shell(SERVER, program)


def test_an_authority_that_the_inventory_names_no_longer_is_not_trusted(elsewhere: Controller, site: Site) -> None:
    assert "authorities:mirrors" in site.deploy().changed(SERVER)
    assert lab.shell(SERVER, f"curl -sS {acme.DIRECTORY}").returncode == 60
    assert shell(SERVER, "find /etc/ssl/certs /usr/local/share/ca-certificates -name 'provision*' -o -xtype l") == ""


def test_the_server_is_as_the_inventory_says_after_all_of_this(site: Site) -> None:
    assert_all_is_well(site)
