"""An nginx that serves others' sites serves them as before, beside those of this toolkit, or nothing is changed."""

from collections.abc import Iterator

import pytest

from provision import lab
from tests.lab.conftest import https, shell
from tests.lab.neighbours import FORGET, INSTALL, OTHER, SECOND, ask, asking, put, settle
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER, Declared, refused, tree
from tests.lab.repository import Repository

pytest_plugins = ("tests.lab.refusals",)

SYSTEM = {"python": "system"}
# What others have below /etc/nginx.
NGINX = "find /etc/nginx -not -type d -printf '%p %s %T@ %l\\n' | grep -v -e /zz- -e /000-default -e /provision/ -e refusals"
OURS = ["directory:/etc/nginx/provision", "files:nginx", "service:nginx"]


@pytest.fixture(scope="module")
def neighbour(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Declared]:
    """A server whose nginx has two sites, one of which answers to all other names."""
    lab.reset(SERVER)
    shell(SERVER, f"{INSTALL} nginx curl openssl")
    shell(
        SERVER,
        "rm /etc/nginx/sites-enabled/default; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 "
        f"-subj /CN={OTHER} -keyout /etc/ssl/other.key -out /etc/ssl/other.pem 2>/dev/null",
    )
    settle(f"sites-enabled/{OTHER}")
    yield Declared(tmp_path_factory.mktemp("inventory"), repository)
    lab.reset(SERVER)


REFUSED = {
    "the app's name is served": (
        f"sed -i 's/{SECOND}/www.example.com .{DOMAIN}/' /etc/nginx/conf.d/second.conf",
        f"{APP}: {DOMAIN} is served by /etc/nginx/conf.d/second.conf, which this toolkit did not write: take the name out of that file,"
        " or out of the inventory",
    ),
    "sites-enabled is not read": (
        "sed -i 's|include /etc/nginx/sites-enabled|include /etc/nginx/sites-enabled/other|' /etc/nginx/nginx.conf",
        "/etc/nginx/nginx.conf does not include /etc/nginx/sites-enabled/*.conf in its http block, so nginx would not read this "
        "toolkit's sites: add the line include /etc/nginx/sites-enabled/*; at the end of that block",
    ),
    "one address": (
        f"sed -i 's/listen 443/listen {ADDRESS}:443/' /etc/nginx/sites-enabled/{OTHER}",
        f"/etc/nginx/sites-enabled/{OTHER} listens on {ADDRESS}:443, where nginx would ask no site that listens on all addresses, as "
        "this toolkit's do: write listen 443 there and restart nginx, or use a server of its own",
    ),
    "a file in the place of ours": (
        f"echo '# mine' >/etc/nginx/sites-available/{APP}.conf",
        f"/etc/nginx/sites-available/{APP}.conf was not written by this toolkit, and its place is wanted: rename it",
    ),
}


def test_what_stands_in_the_way_is_named_in_one_line_before_anything_is_changed(neighbour: Declared) -> None:
    for does, line in REFUSED.values():
        shell(SERVER, f"cp -a /etc/nginx /root/nginx; {does}")
        before = tree()
        with asking():
            assert refused(neighbour(SYSTEM)("deploy", SERVER, "--json")) == line
        after = tree()
        shell(SERVER, "rm -rf /etc/nginx; mv /root/nginx /etc/nginx")
        assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()


def test_a_deploy_beside_others_sites_leaves_them_as_they_are(neighbour: Declared) -> None:
    before = shell(SERVER, NGINX)
    with asking() as asked:
        answer = neighbour(SYSTEM).deploy(SERVER)
        again = neighbour(SYSTEM).deploy(SERVER).host(SERVER)
    assert {*OURS} < {*answer.changed(SERVER)}
    assert (again["changed"], again["execs"]) == (0, 2)
    assert shell(SERVER, NGINX) == before
    assert asked.count > 60
    assert ask("nobody.example.com", secure=True).text == f"{OTHER} close\n"
    assert https(SERVER, "/health", DOMAIN).returncode == 0
    print(f"{asked.count} answers of others' sites during two deploys, each as before")
    verified = neighbour(SYSTEM)("verify", SERVER, "--json")
    assert verified.status == 0, verified.stdout


@pytest.mark.parametrize(
    ("path", "default"),
    [(f"sites-enabled/{OTHER}.conf", " default_server"), ("sites-enabled/y.conf", "")],
    ids=["a default server whose file ends in .conf", "the first of several, which is the default of nginx"],
)
def test_they_are_left_as_they_are_whatever_their_names(neighbour: Declared, path: str, default: str) -> None:
    shell(SERVER, "rm /etc/nginx/sites-enabled/[oy]*; rm -f /etc/nginx/conf.d/second.conf")
    shell(SERVER, FORGET)
    settle(path, default)
    if not default:
        shell(
            SERVER, "mv /etc/nginx/conf.d/second.conf /etc/nginx/sites-enabled/z.conf; systemctl reload nginx; sleep 1"
        )
    with asking():
        assert neighbour(SYSTEM).deploy(SERVER).changed(SERVER) == OURS
        assert neighbour(SYSTEM).plan(SERVER).changed(SERVER) == []
    assert https(SERVER, "/health", DOMAIN).returncode == 0


def test_files_that_nginx_refuses_are_put_back_all_of_them(neighbour: Declared) -> None:
    shell(SERVER, FORGET)
    put("conf.d/mine.conf", f"upstream provision_{APP} {{ server 127.0.0.1:9; }}\n")
    before = shell(SERVER, NGINX)
    with asking():
        error = refused(neighbour(SYSTEM)("deploy", SERVER, "--json"))
    assert error == (
        "the files of nginx were put back as they were, all of them, as nginx -t refused the new ones: duplicate upstream "
        f'"provision_{APP}" in /etc/nginx/sites-enabled/zz-{APP}.conf:2'
    )
    assert shell(SERVER, f"nginx -t -q; {NGINX}") == before
    assert shell(SERVER, "ls -A /etc/nginx/provision /var/lib/provision/before").split() == [
        "/etc/nginx/provision:",
        "/var/lib/provision/before:",
    ]
    shell(SERVER, "rm /etc/nginx/conf.d/mine.conf")
    assert neighbour(SYSTEM).deploy(SERVER).changed(SERVER) == OURS[1:]
