"""What a server's nginx reads, and what that means for sites beside it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.engine import facts
from provision.engine.resource import State
from provision.errors import PlanError
from provision.resources.file import Absent
from provision.resources.file_set import FileSet
from provision.resources.nginx import NGINX, SOCKETS, AdoptedSite, Listen, Nginx, NoStockSite, Server, conflicts, refuse
from provision.resources.package import Packages
from tests.unit.conftest import planned
from tests.unit.tables import file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.tables import MakeFacts, MakeHost

    See = Callable[..., Nginx]

MAIN = """\
user www-data; # include /etc/nginx/nowhere/*;
events { worker_connections 768; }
http {
    log_format main '$remote_addr { "$request" } # no comment';
    include mime.types;
    include /etc/nginx/conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
}
"""
SITE = "server { listen 80 default_server; server_name other.example.com; }\n"


@pytest.fixture
def see(root: Path, sh: Callable[..., subprocess.CompletedProcess[str]]) -> See:
    """What is seen of the files below /etc/nginx."""

    def look(**files: str) -> Nginx:
        for path, text in {"nginx.conf": MAIN, **files}.items():
            (root / "etc/nginx" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "etc/nginx" / path).write_text(text)
        ran = sh(facts.script((NGINX,)).replace("system_facts\n", ""))
        assert (ran.returncode, ran.stderr) == (0, "")
        return facts.parse(ran.stdout, (NGINX,))[NGINX]

    return look


def test_a_server_without_nginx_has_nothing_of_it(
    sh: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert facts.parse(sh(facts.script((NGINX,))).stdout, (NGINX,))[NGINX] == Nginx()


def test_each_site_is_found_where_nginx_finds_it_and_in_that_order(see: See) -> None:
    found = see(
        **{
            "conf.d/second.conf": 'server { listen [::]:443 ssl http2; listen 0.0.0.0:443 ssl; server_name "Second.example.com" b; }',
            "conf.d/not-read": SITE,
            "sites-enabled/other.example.com": f"# a comment {{\n{SITE}",
            "sites-enabled/zz.conf": "server {\n include snippets/names;\n location / { server_name none; }\n}",
            "sites-enabled/zzz": "server { listen unix:/run/x.sock; server_name ~^(?<n>[a-z]{2})$; set $a ${b}; listen 8080; }",
            "snippets/names": "listen 127.0.0.1; server_name in.a.snippet;\n",
        }
    )
    assert (found.present, found.reads, found.stock, found.sizes) == (True, True, False, ())
    assert [(one.file.removeprefix("/etc/nginx/"), one.first) for one in found.servers] == [
        ("conf.d/second.conf", True),
        ("sites-enabled/other.example.com", True),
        ("sites-enabled/zz.conf", False),
        ("sites-enabled/zzz", False),
    ]
    second, other, snippet, odd = found.servers
    assert [listen.socket for listen in second.listens] == ["[::]:443", "*:443"]
    assert second.names == {"second.example.com", "b"}
    assert other.listens == (Listen("*:80", frozenset({"default_server"})),)
    assert (snippet.listens[0].socket, snippet.names) == ("127.0.0.1:80", frozenset({"in.a.snippet"}))
    assert [listen.socket for listen in odd.listens] == ["unix:/run/x.sock", "*:8080"]


@pytest.mark.parametrize(
    "main",
    [
        MAIN.replace("include /etc/nginx/sites-enabled", "# include /etc/nginx/sites-enabled"),
        MAIN.replace("sites-enabled/*;", "sites-enabled/*.site;"),
        MAIN.replace("    include /etc/nginx/sites-enabled/*;\n", "") + "include /etc/nginx/sites-enabled/*;\n",
        MAIN.replace("sites-enabled", "*.d"),
    ],
)
def test_a_nginx_conf_that_does_not_read_our_sites_is_refused(see: See, main: str) -> None:
    with pytest.raises(
        PlanError, match=r"^/etc/nginx/nginx\.conf does not include /etc/nginx/sites-enabled/\*\.conf in"
    ):
        refuse(see(**{"nginx.conf": main}), {}, ())


@pytest.mark.parametrize("pattern", ["sites-enabled/*.conf", "/etc/nginx/sites-*/*", "/etc/nginx/sites-enabled/*"])
def test_it_may_read_them_by_any_pattern(see: See, pattern: str) -> None:
    assert see(**{"nginx.conf": MAIN.replace("/etc/nginx/sites-enabled/*", pattern)}).reads


def test_what_includes_itself_or_has_code_in_it_is_read_to_its_end(see: See) -> None:
    lua = "server { listen 80; location / { content_by_lua_block { if a then b = {1} end } } server_name a; }\n"
    found = see(**{"conf.d/a.conf": f"include conf.d/a.conf;\n{lua}server_names_hash_bucket_size 64;"})
    assert {one.names for one in found.servers} == {frozenset({"a"})}
    assert set(found.sizes) == {"/etc/nginx/conf.d/a.conf"}


@pytest.mark.parametrize(
    ("user", "stranger"), [("www-data", ""), ("root", ""), ("nobody", "nobody"), ("not-there", "")]
)
def test_a_user_who_cannot_open_the_sockets_is_named(see: See, user: str, stranger: str) -> None:
    found = see(**{"nginx.conf": MAIN.replace("user www-data", f"user {user}")})
    assert found.stranger == stranger
    if stranger:
        with pytest.raises(PlanError, match=r"^nginx runs as nobody .* run usermod -aG www-data nobody and"):
            refuse(found, {}, ())


def test_what_is_ours_says_so_or_is_what_nginx_was_loaded_with(see: See, root: Path) -> None:
    stamps = root / "var/lib/provision/stamps"
    stamps.mkdir(parents=True)
    (stamps / "nginx").write_text("/etc/nginx/sites-enabled/zz-emptied.conf 1 2 3\n")
    found = see(
        **{
            "sites-enabled/zz-shop.conf": f"# shop: a.b. Written by provision.\n{SITE}",
            "sites-enabled/zz-emptied.conf": "by hand\n",
            "sites-enabled/000-default.conf": "# mine\n",
        }
    )
    assert ([one.ours for one in found.servers], found.others) == ([True], ())
    assert found.foreign == ("/etc/nginx/sites-enabled/000-default.conf",)
    assert found.links == ("/etc/nginx/sites-enabled/zz-emptied.conf", "/etc/nginx/sites-enabled/zz-shop.conf")


def test_a_site_of_ours_that_tells_whoever_asks_which_release_answers_is_known(see: See) -> None:
    first, tells = (
        "# {}: a.b. Written by provision.\n",
        'map "$http_x_provision_asks,$realpath_root" $told { default ""; }\n',
    )
    found = see(
        **{
            "sites-enabled/zz-shop.conf": f"{first.format('shop')}{tells}{SITE}",
            "sites-enabled/zz-blog.conf": f"{first.format('blog')}{SITE}",
            "sites-enabled/zz-mine.conf": f"{tells}{SITE}",
        }
    )
    assert found.tells == ("/etc/nginx/sites-enabled/zz-shop.conf",)


def test_a_site_by_a_projects_own_template_is_known_by_its_link(see: See, root: Path) -> None:
    enabled = root / "etc/nginx/sites-enabled"
    enabled.mkdir(parents=True)
    (enabled / "zz-shop.conf").symlink_to("../sites-available/shop.conf")
    (enabled / "zz-odd.conf").symlink_to("../sites-available/shop.conf")
    found = see(**{"sites-available/shop.conf": SITE, "sites-available/blog.conf": SITE})
    assert found.foreign == ("/etc/nginx/sites-available/blog.conf", "/etc/nginx/sites-enabled/zz-odd.conf")
    assert [one.ours for one in found.servers] == [False, True]


def test_what_a_killed_run_was_writing_is_ours(see: See, root: Path) -> None:
    before = root / "var/lib/provision/before/nginx"
    before.mkdir(parents=True)
    (before / "paths").write_text("/etc/nginx/sites-available/shop.conf\n")
    assert see(**{"sites-available/shop.conf": SITE}).foreign == ()


def test_what_a_killed_run_was_about_to_take_out_is_still_theirs(see: See, root: Path) -> None:
    kept = root / "var/lib/provision/before/nginx/tree/etc/nginx/sites-enabled"
    kept.mkdir(parents=True)
    (kept.parents[3] / "paths").write_text("/etc/nginx/sites-enabled/a\n/etc/nginx/sites-enabled/b\n")
    (kept / "a").write_text(SITE)
    enabled = root / "etc/nginx/sites-enabled"
    enabled.mkdir(parents=True)
    for folder in (kept, enabled):
        (folder / "b").symlink_to("../sites-available/theirs")
    found = see(**{"sites-enabled/a": SITE, "sites-available/theirs": SITE})
    assert [one.ours for one in found.servers] == [False, False]
    (enabled / "a").write_text(f"{SITE} # ours")
    assert [one.ours for one in see().servers] == [True, False]


def test_what_passes_on_connections_or_mail_is_no_site(see: See) -> None:
    stream = "stream {\n include stream.d/*;\n}\nmail { server { listen 25; } }\n"
    found = see(
        **{"nginx.conf": stream + MAIN, "stream.d/a": "server { listen 443; proxy_pass a; }", "conf.d/a.conf": SITE}
    )
    assert [(one.site, one.listens[0].socket) for one in found.servers] == [
        (False, "*:443"),
        (False, "*:25"),
        (True, "*:80"),
    ]


@pytest.mark.parametrize("edited", [False, True])
def test_the_packages_site_is_nobodys_until_somebody_edits_it(
    see: See, root: Path, stand_in: Callable[[str, str], Path], edited: bool
) -> None:
    summed = subprocess.run(("md5sum",), input=SITE, capture_output=True, text=True, check=True).stdout[:32]
    stand_in("dpkg-query", f"echo ' /etc/nginx/sites-available/default {summed}'")
    (root / "etc/nginx/sites-enabled").mkdir(parents=True)
    (root / "etc/nginx/sites-enabled/default").symlink_to("../sites-available/default")
    found = see(**{"sites-available/default": SITE + "# mine\n" * edited})
    assert (found.stock, len(found.others)) == (not edited, int(edited))
    assert ("*:80" in found.defaults()) is not edited


def at(*listens: str, ours: bool = False, first: bool = True, names: str = "x.y") -> Server:
    said = tuple(Listen(each.split()[0], frozenset(each.split()[1:])) for each in listens)
    return Server("/etc/nginx/conf.d/a.conf", ours, first, said, frozenset(names.split()))


def nginx(*servers: Server, foreign: tuple[str, ...] = ()) -> Nginx:
    return Nginx(present=True, reads=True, servers=servers, foreign=foreign)


@pytest.mark.parametrize(
    ("servers", "defaults"),
    [
        ((), SOCKETS),
        ((at("*:80 default_server"),), SOCKETS[1:]),
        ((at("*:8080 default_server", "unix:/run/a"),), SOCKETS),
        ((at("*:80"),), SOCKETS[1:]),
        ((at("*:80"), at("*:80 default_server", ours=True)), SOCKETS),
        ((at("*:80 default_server"), at("*:80 default_server", ours=True)), SOCKETS[1:]),
        ((at("*:80", "[::]:80", "*:443 default", "[::]:443"), at("*:80", ours=True)), ()),
    ],
)
def test_who_answers_to_all_names_goes_on(servers: tuple[Server, ...], defaults: tuple[str, ...]) -> None:
    assert nginx(*servers).defaults() == defaults


@pytest.mark.parametrize(
    ("servers", "http2"),
    [
        ((), SOCKETS),
        ((at("*:443 ssl"),), ("*:80", "[::]:80", "[::]:443")),
        ((at("*:443 ssl http2"), at("*:443 ssl")), SOCKETS),
        ((at("*:443 ssl"), at("*:443 ssl http2", ours=True)), SOCKETS),
    ],
)
def test_no_site_of_others_is_given_http2(servers: tuple[Server, ...], http2: tuple[str, ...]) -> None:
    assert nginx(*servers).http2() == http2


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (nginx(at("*:443", names="a.b www.a.b")), r"shop: a\.b is served by /etc/nginx/conf\.d/a\.conf, which this"),
        (nginx(at("[::]:80", names=".a.b")), r"shop: a\.b is served by /etc/nginx/conf\.d/a\.conf, which this"),
        (
            nginx(at("203.0.113.1:80")),
            r"/etc/nginx/conf\.d/a\.conf listens on 203\.0\.113\.1:80, where .* write listen 80 ",
        ),
        (nginx(at("[::]:443 ipv6only=off")), r".* has IPv4 and IPv6 on one socket \(\[::\]:443 ipv6only=off\), and"),
        (nginx(at("*:443 ssl", first=False)), r".* write default_server after its listen for port 443$"),
        (nginx(at("127.0.0.1:80")), r"/etc/nginx/conf\.d/a\.conf listens on 127\.0\.0\.1:80, where"),
        (nginx(replace(at("[::]:443"), site=False)), r"/etc/nginx/conf\.d/a\.conf has port 443 for what is no site"),
        (
            nginx(foreign=("/etc/nginx/a.conf",)),
            r"/etc/nginx/a\.conf was not written by this toolkit, and its place is",
        ),
    ],
)
def test_what_stands_in_the_way_is_one_line(seen: Nginx, line: str) -> None:
    with pytest.raises(PlanError, match=f"^{line}"):
        refuse(seen, {"a.b": "shop"}, ("/etc/nginx/a.conf",))


@pytest.mark.parametrize(
    "seen",
    [
        Nginx(),
        nginx(at("*:80", names="c.d www.a.b *.b")),
        nginx(at("127.0.0.1:8080", names="a.b")),
        nginx(at("127.0.0.1:80", names="status"), at("*:80")),
        nginx(replace(at("*:25"), site=False)),
        nginx(at("*:80 default_server", first=False)),
        nginx(at("*:80", ours=True, names="a.b")),
        nginx(foreign=("/etc/nginx/b.conf",)),
    ],
)
def test_what_does_not_stand_in_the_way_is_left(seen: Nginx) -> None:
    refuse(seen, {"a.b": "shop"}, ("/etc/nginx/a.conf",))


def test_where_all_have_a_default_the_file_of_ours_has_no_server(make_host: MakeHost, make_known: MakeFacts) -> None:
    path = "/etc/nginx/sites-available/000-default.conf"
    seen = nginx(at("*:80", "[::]:80 default_server"), at("*:443", "[::]:443"))
    assert "server {" not in file(roles.server(make_host(), *make_known(nginx=seen)), path).content
    part = file(roles.server(make_host(), *make_known(nginx=nginx(at("*:80"), at("*:443")))), path).content
    assert [line.strip() for line in part.splitlines() if "listen" in line] == [
        "listen [::]:80 default_server;",
        "listen [::]:443 ssl default_server;",
    ]


def test_a_long_name_has_room_unless_somebody_has_said_how_much(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = "hosts: {web1: 203.0.113.10}\napps:\n  shop: {source: https://a.b/c.git, module: 'a:b', domains: [DOMAIN]}\n"
    path, long = "/etc/nginx/sites-available/000-default.conf", f"{'a' * 40}.example.com"

    def bucket(domain: str, *sizes: str) -> bool:
        known = make_known(nginx=Nginx(True, True, sizes=sizes))
        content = file(roles.server(make_host(text.replace("DOMAIN", domain)), *known), path).content
        return "server_names_hash_bucket_size" in content

    ours = "/etc/nginx/sites-enabled/000-default.conf"
    assert [bucket("a.b"), bucket(long), bucket(long, ours), bucket(long, ours, "/etc/nginx/nginx.conf")] == [
        False,
        True,
        True,
        False,
    ]


def test_a_link_of_before_is_removed_if_it_is_ours(make_host: MakeHost, make_known: MakeFacts) -> None:
    links = ("/etc/nginx/sites-enabled/shop.conf", "/etc/nginx/sites-enabled/zz-shop.conf")
    known = make_known(nginx=Nginx(True, True, links=links))
    (files,) = (one for one in roles.server(make_host(), *known) if isinstance(one, FileSet))
    assert [one.path for one in files.members if isinstance(one, Absent)] == [links[0]]


def test_the_packages_site_goes_where_it_is_or_will_be() -> None:
    packages = Packages("nginx", ("nginx",)).ref
    there, coming = NoStockSite(True, packages), NoStockSite(False, packages)
    link, installs = State.of({"type": "symbolic link"}), planned("packages:nginx")
    assert [bool(each) for each in (there.plan(link, {}), there.plan(State(), {}))] == [True, False]
    assert [bool(each) for each in (coming.plan(State(), installs), coming.plan(State(), {}))] == [True, False]
    assert coming.plan(link, installs) is None


def test_nginxs_warning_counts_if_the_name_is_ours() -> None:
    assert conflicts(("a.b", "c.d")) == r'conflicting server name "(a\.b|c\.d)"'
    assert conflicts(()) == ""


@pytest.mark.parametrize(
    ("files", "adoptable"),
    [
        ({"conf.d/a.conf": "server { server_name a.b; } server { listen 443 ssl; server_name a.b _; }"}, ("conf.d/a.conf",)),
        ({"sites-enabled/a": "server { listen 80 default_server; server_name a.b; }"}, ("sites-enabled/a",)),
        ({"sites-enabled/a": "server { server_name a.b other.example.com; }"}, ()),
        ({"sites-enabled/a": "server { server_name .a.b; }"}, ()),
        ({"sites-enabled/a": "server { listen 8080; server_name a.b; }"}, ()),
        ({"sites-enabled/a": "server { server_name a.b; } server { server_name other.example.com; }"}, ()),
        ({"sites-enabled/a": "server { server_name other.example.com; }"}, ()),
        ({"nginx.conf": MAIN.replace("include mime", "server { server_name a.b; } include mime")}, ()),
    ],
)  # fmt: skip
def test_a_site_can_be_adopted_if_its_file_has_no_other_name(
    see: See, files: dict[str, str], adoptable: tuple[str, ...]
) -> None:
    found = see(**files)
    assert found.alone(("a.b", "c.d")) == tuple(f"/etc/nginx/{path}" for path in adoptable)
    assert {one.file for one in found.without(found.alone(("a.b",))).others} == {one.file for one in found.others} - {
        *found.alone(("a.b",))
    }


def test_an_adopted_site_goes_with_the_files_that_take_its_place(make_host: MakeHost, make_known: MakeFacts) -> None:
    theirs = Server("/etc/nginx/conf.d/a.conf", False, True, (Listen("*:80"),), frozenset({"shop.example.com"}))
    known = make_known()
    seen = known.facts.with_(NGINX, Nginx(present=True, reads=True, servers=(theirs,)))
    host = make_host()
    shop = host.apps["shop"]
    with pytest.raises(PlanError, match=r"or out of the inventory, or say adopt: \[nginx\] for the app$"):
        roles.server(host, seen, known.wanted)
    adopting = host.model_copy(update={"apps": {"shop": shop.model_copy(update={"adopt": ["nginx"]})}})
    sites = next(one for one in roles.server(adopting, seen, known.wanted) if isinstance(one, FileSet))
    adopted = sites.members[1]
    assert isinstance(adopted, AdoptedSite)
    change = adopted.plan(State.of({"type": "regular file"}), {})
    assert change is not None
    assert change.summary == "shop: adopts /etc/nginx/conf.d/a.conf, kept until the app is removed"
    assert change.script == "found_adopt /var/lib/provision/adopted/shop /etc/nginx/conf.d/a.conf"
