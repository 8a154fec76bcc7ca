"""What a bad day leaves on a server is mended by the next deploy, or said, and costs no more than it must."""

from collections.abc import Iterator

import pytest

from tests.lab.conftest import Answer, shell
from tests.lab.sample_site import SERVER, Site, assert_all_is_well

pytest_plugins = ("tests.lab.sample_site",)
CERTBOT = "/etc/letsencrypt"
MARK = "/var/lib/provision/certificates/sample"
CERTIFICATE = "certificate:/etc/ssl/provision/sample"
SERIAL = "openssl x509 -noout -serial -in /etc/ssl/provision/sample/fullchain.pem"


def lineages() -> list[str]:
    """The files from which certbot renews."""
    return shell(SERVER, f"ls {CERTBOT}/renewal").split()


def deploy(site: Site, *options: str) -> Answer:
    """A deploy of the site's commit; it may fail."""
    return site.controller("deploy", SERVER, "--json", "--revision", site.commit, *options)


@pytest.fixture
def an_hour_later(site: Site) -> Iterator[None]:
    """The issuer was last asked more than an hour ago."""
    shell(SERVER, f"if test -e {MARK}; then touch -d '61 minutes ago' {MARK}; fi")
    yield
    shell(SERVER, f"rm -rf {CERTBOT}/put-aside")


@pytest.mark.parametrize(
    "hand", [f"rm -rf {CERTBOT}/live", f"cd {CERTBOT}/live/sample && ln -sfn ../../archive/none privkey.pem"]
)
def test_a_lineage_whose_links_are_lost_gets_them_back_and_no_other_certificate(
    site: Site, an_hour_later: None, hand: str
) -> None:
    before = shell(SERVER, SERIAL)
    shell(SERVER, hand)
    assert CERTIFICATE in site.plan().changed(SERVER)
    site.deploy()
    assert (shell(SERVER, SERIAL), lineages()) == (before, ["sample.conf"])
    shell(SERVER, "certbot renew -q --no-random-sleep-on-renew")
    assert_all_is_well(site)


def test_a_lineage_that_certbot_did_not_finish_is_put_aside_and_the_next_has_its_name(
    site: Site, an_hour_later: None
) -> None:
    before = shell(SERVER, SERIAL)
    shell(
        SERVER,
        f"cd {CERTBOT} && : >renewal/sample.conf && rm -rf live/sample archive/sample/privkey* && "
        "touch renewal/sample-0001.conf && mkdir live/sample-0001 archive/sample-0002",
    )
    notices = site.deploy().host(SERVER)["notes"]
    assert (shell(SERVER, SERIAL) == before, lineages()) == (False, ["sample.conf"])
    aside = shell(SERVER, f"ls {CERTBOT}/put-aside").split()
    assert [name.rpartition("-")[0] for name in aside] == ["sample", "sample-0001", "sample-0002"]
    assert [
        f"sample: certbot's lineage {name.rpartition('-')[0]} was broken, or one too many: "
        f"it was moved to {CERTBOT}/put-aside/{name}"
        for name in aside
    ] == notices
    assert shell(SERVER, f"ls {CERTBOT}/archive {CERTBOT}/live").count("sample-") == 0
    shell(SERVER, "certbot renew -q --no-random-sleep-on-renew")
    assert_all_is_well(site)


def test_a_lineage_of_another_name_that_fits_is_used(site: Site, an_hour_later: None) -> None:
    before = shell(SERVER, SERIAL)
    shell(
        SERVER,
        f"cd {CERTBOT} && for each in live archive; do mv $each/sample $each/shop; done && "
        "for each in cert chain fullchain privkey; do ln -sfn ../../archive/shop/$each*.pem live/shop/$each.pem; done && "
        "sed 's:/sample:/shop:g' renewal/sample.conf >renewal/shop.conf && rm renewal/sample.conf",
    )
    site.deploy()
    assert (shell(SERVER, SERIAL), lineages()) == (before, ["shop.conf"])
    shell(SERVER, "readlink /etc/ssl/provision/sample | grep -x /etc/letsencrypt/live/shop")
    assert_all_is_well(site)
    shell(SERVER, f"rm -rf {CERTBOT}/live {CERTBOT}/archive {CERTBOT}/renewal")
    site.deploy()
    assert lineages() == ["sample.conf"]


def test_an_issuer_is_asked_once_an_hour_unless_the_user_says_otherwise(site: Site, an_hour_later: None) -> None:
    shell(SERVER, f"rm -rf {CERTBOT}")
    first = site.deploy()
    shell(SERVER, f"rm -rf {CERTBOT}")
    second = deploy(site)
    assert CERTIFICATE in first.changed(SERVER)
    assert second.status == 1
    assert second.host(SERVER)["error"].startswith(
        "sample: https://10.213.0.1:14000/dir gave, or may have given, a certif"
    )
    assert second.host(SERVER)["error"].endswith("Z, or now with --force")
    assert second.host(SERVER)["changed"] == 0
    assert deploy(site, "--force").status == 0
    assert_all_is_well(site)
