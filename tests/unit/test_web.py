"""The site by which nginx serves an app."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from provision import roles
from provision.release import outside
from provision.resources.file import File
from provision.resources.file_set import FileSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.inventory import Host
    from tests.unit.conftest import Known

    MakeHost = Callable[..., Host]
    MakeFacts = Callable[..., Known]

TOKEN, OTHER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
TRAFFIC = ("provision_shop", "provision_shop_switching")
STATIC = "static: {/static: static}, source: {repository: /srv/git/shop, folder: app}"


def app(name: str, more: str = "source: /srv/git/shop") -> str:
    return f"  {name}: {{module: shop.main:app, domains: [{name}.example.com], {more}}}\n"


def sites(make_host: MakeHost, make_known: MakeFacts, *apps: str, more: str = "") -> dict[str, str]:
    """Each app's site."""
    host = make_host(f"hosts: {{web1: 203.0.113.10}}\n{more}apps:\n{''.join(apps)}")
    folder = "/etc/nginx/sites-available/"
    (files,) = (one.members for one in roles.server(host, *make_known()) if isinstance(one, FileSet))
    return {
        one.path.removeprefix(folder).removesuffix(".conf"): one.content
        for one in files
        if isinstance(one, File) and one.path.startswith(folder) and "default" not in one.path
    }


def site(make_host: MakeHost, make_known: MakeFacts, more: str = "") -> str:
    return sites(make_host, make_known, app("shop"), app("blog"), more=more)["shop"]


def made_in(text: str) -> list[str]:
    """The variables that the site sets; captures aside, which several patterns may share."""
    return list(dict.fromkeys(re.findall(r"(?m)^ *(?:set|map \S+) \$(\w+) ", text)))


def upstreams(text: str) -> dict[str, list[str]]:
    """The servers of each upstream."""
    found = re.findall(r"(?ms)^upstream (\S+) \{$(.*?)^\}$", text)
    return {name: re.findall(r"(?m)^    server (.*);$", content) for name, content in found}


def test_new_requests_go_by_a_link_and_to_the_release_before_while_it_stands_by(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    found = upstreams(site(make_host, make_known))
    assert found["provision_shop"] == [
        "unix:/run/shop/current.sock max_fails=0",
        "unix:/run/shop/current.sock max_fails=0 backup",
    ]
    assert found["provision_shop_switching"] == [
        "unix:/run/shop/current.sock max_fails=0",
        "unix:/run/shop/previous.sock max_fails=0 backup",
    ]


def test_what_a_new_release_fails_to_answer_is_asked_of_the_one_before_while_that_stands_by(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    text = site(make_host, make_known)
    usual, held = text[text.index("listen 443") :].split("if (-e /run/shop/preview/$app_shop_token)")
    assert "if (-f /run/shop/standing-by) {\n        set $app_shop_upstream provision_shop_switching;\n    }\n" in usual
    assert "error_page 418 = @switching;" in held
    at_other_times, switching = block(text, "location @app"), block(text, "location @switching")
    assert "if ($app_shop_upstream = provision_shop_switching) {\n            return 418;" in at_other_times
    assert "proxy_next_upstream error;" in at_other_times
    assert "proxy_next_upstream error http_500 http_502 http_503 http_504;" in switching
    assert not [word for word in ("timeout;", "non_idempotent") if word in at_other_times + switching]
    headers = [re.findall(r"proxy_set_header .*;", each) for each in (at_other_times, switching)]
    assert headers[0] == headers[1]
    assert headers[0]


def test_a_release_that_is_held_has_an_upstream_of_its_own(make_host: MakeHost, make_known: MakeFacts) -> None:
    others = {name: servers for name, servers in upstreams(site(make_host, make_known)).items() if name not in TRAFFIC}
    assert list(others.values()) == [["unix:/run/shop/preview.sock max_fails=0"]]


def mapped(text: str, header: str, cookie: str) -> str:
    """The token that the site's map makes of a request."""
    (content,) = re.findall(r'(?ms)^map "\$http_x_preview,\$cookie_provision_preview" \S+ \{$(.*?)^\}$', text)
    for pattern, variable in re.findall(r'"~(.*)" \$(\w+);', content):
        found = re.search(pattern.replace("(?<", "(?P<"), f"{header},{cookie}")
        if found:
            return str(found[variable])
    (default,) = re.findall(r"default (\w+);", content)
    return str(default)


@pytest.mark.parametrize(
    ("header", "cookie", "token"),
    [
        (TOKEN, "", TOKEN),
        ("", TOKEN, TOKEN),
        (TOKEN, OTHER, TOKEN),
        (TOKEN, "odd", TOKEN),
        ("", "", "none"),
        ("odd", TOKEN, "none"),
        ("", f"{TOKEN}0", "none"),
        (f"{TOKEN}0", "", "none"),
        (TOKEN[1:], "", "none"),
        (f"../{TOKEN[3:]}", "", "none"),
        (TOKEN.upper(), "", "none"),
        ("", f"../{TOKEN}", "none"),
    ],
)
def test_a_token_is_a_header_or_else_a_cookie_and_nothing_but_a_token(
    header: str, cookie: str, token: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    """It becomes part of a path."""
    assert mapped(site(make_host, make_known), header, cookie) == token


def test_only_whoever_has_the_token_has_the_release_that_is_held(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = sites(make_host, make_known, app("shop", STATIC))["shop"]
    (preview,) = (name for name in upstreams(text) if name not in TRAFFIC)
    server = text[text.index("listen 443") :]
    usual, held = server.partition("if (-e /run/shop/preview/$app_shop_token) {\n")[::2]
    assert "set $app_shop_upstream provision_shop;\n    set $app_shop_tree current;\n" in usual
    assert held.startswith(f"        set $app_shop_upstream {preview};\n        set $app_shop_tree preview;\n    }}\n")
    assert "root /srv/shop/static/$app_shop_tree;\n        disable_symlinks on from=$document_root;\n" in block(
        text, "location /"
    )
    assert "proxy_pass http://$app_shop_upstream;" in block(text, "location @app")
    assert "proxy_pass http://$app_shop_upstream;" in block(text, "location @switching")
    assert text.count("proxy_pass") == 2


def test_the_preview_address_gives_its_token_as_a_cookie_while_the_release_is_held(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    text = site(make_host, make_known)
    (pattern,) = re.findall(r'location ~ "(\^/\\\.preview.*)" \{', text)
    assert re.search(pattern.replace("(?<", "(?P<"), f"/.preview/{TOKEN}")
    for odd in (f"/.preview/{TOKEN}/", f"/.preview/{TOKEN[1:]}", f"/xpreview/{TOKEN}", "/.preview/../../shop"):
        assert not re.search(pattern.replace("(?<", "(?P<"), odd)
    place = block(text, f'location ~ "{pattern}"')
    (asked,) = re.findall(r"<(\w+)>", pattern)
    assert f"if (!-e /run/shop/preview/${asked}) {{\n            return 404;" in place
    assert f'"provision_preview=${asked}; Path=/; Secure; HttpOnly; SameSite=Lax"' in place
    assert place.rstrip().endswith("return 302 https://$host/;")


NGINX = {
    "binary_remote_addr",
    "realip_remote_addr",
    "cookie_provision_preview",
    "host",
    "http_upgrade",
    "http_x_preview",
    "http_x_provision_asks",
    "document_root",
    "realpath_root",
    "upstream_addr",
    "upstream_http_x_content_type_options",
    "upstream_http_x_frame_options",
    "upstream_http_referrer_policy",
    "upstream_http_permissions_policy",
    "remote_addr",
    "request_uri",
    "scheme",
    "uri",
}


@pytest.mark.parametrize("name", ["shop", "shop-api", "a-b-c"])
def test_each_variable_is_nginxs_or_of_the_sites_own(name: str, make_host: MakeHost, make_known: MakeFacts) -> None:
    """A variable's name has no hyphen: $shop-api is $shop and a text."""
    text = sites(make_host, make_known, app(name, STATIC))[name]
    used = set(re.findall(r"\$(\w+)", text)) - NGINX
    captured, made = set(re.findall(r"\(\?<(\w+)>", text)), set(made_in(text))
    assert used == captured | made
    assert all(each.startswith(f"app_{name.replace('-', '_')}_") for each in made)
    assert not re.findall(r"\$[a-z_]+-", text)


def test_an_app_with_a_hyphen_in_its_name_has_it_in_all_paths(make_host: MakeHost, make_known: MakeFacts) -> None:
    text = sites(make_host, make_known, app("shop-api", STATIC))["shop-api"]
    for line in (
        "upstream provision_shop-api {",
        "    server unix:/run/shop-api/current.sock max_fails=0;",
        'map "$http_x_preview,$cookie_provision_preview" $app_shop_api_token {',
        "    set $app_shop_api_upstream provision_shop-api;",
        "    set $app_shop_api_tree current;",
        "    if (-e /run/shop-api/preview/$app_shop_api_token) {",
        "        root /srv/shop-api/static/$app_shop_api_tree;",
        "    server unix:/run/shop-api/previous.sock max_fails=0 backup;",
        "        if (-f /var/lib/provision/apps/shop-api/maintenance) {",
        "        proxy_pass http://$app_shop_api_upstream;",
    ):
        assert f"\n{line}\n" in text
    assert "/shop_api" not in text


@pytest.mark.parametrize("names", [("shop", "blog"), ("shop", "shop-api"), ("shop", "shop-preview")])
def test_no_two_sites_have_an_upstream_or_a_variable_of_one_name(
    names: tuple[str, ...], make_host: MakeHost, make_known: MakeFacts
) -> None:
    found = sites(make_host, make_known, *map(app, names)).values()
    for each in (
        [name for text in found for name in upstreams(text)],
        [name for text in found for name in made_in(text)],
    ):
        assert len(each) == len(set(each))


@pytest.mark.parametrize("name", ["a" * 26, "http"])
def test_a_name_in_a_pattern_is_as_short_as_pcre_wants_it_and_not_nginxs_own(
    name: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    """32 characters, in all releases before 10.44; nginx does not start with a longer one."""
    names = re.findall(r"\(\?<(\w+)>", sites(make_host, make_known, app(name))[name])
    assert names
    assert max(map(len, names)) <= 32
    assert not {"http_cookie", "http_host", "http_user_agent"} & set(names)


LIMITED = app("shop", "source: /srv/git/shop, limits: {requests: 20, burst: 10, connections: 5}")


def test_a_client_has_the_limits_of_the_inventory_and_no_others(make_host: MakeHost, make_known: MakeFacts) -> None:
    plain = sites(make_host, make_known, app("shop"))["shop"]
    assert not re.findall("limit_|429|real_ip", plain)
    text = sites(make_host, make_known, LIMITED, more="trusted_proxies: [10.0.0.0/8, '2001:db8::/32']\n")["shop"]
    for line in (
        "limit_req_zone $app_shop_client zone=provision_shop_requests:10m rate=20r/s;",
        "limit_conn_zone $app_shop_client zone=provision_shop_connections:10m;",
        "    set_real_ip_from 10.0.0.0/8;",
        "    set_real_ip_from 2001:db8::/32;",
        "    error_page 429 @limited;",
    ):
        assert text.count(f"\n{line}\n") == 1, line
    # Once for each request, in the one location or the other.
    assert text.count("limit_req zone=provision_shop_requests burst=10 nodelay;") == 2
    assert text.count("limit_conn provision_shop_connections 5;") == 2


def test_answers_are_kept_only_where_the_inventory_says_so(make_host: MakeHost, make_known: MakeFacts) -> None:
    assert not re.findall("cache_path|proxy_cache|X-Cache", sites(make_host, make_known, app("shop"))["shop"])
    text = sites(make_host, make_known, app("shop", "source: /srv/git/shop, cache: 20m"))["shop"]
    assert "\nproxy_cache_path /var/lib/nginx/provision-shop levels=1:2 " in text
    # At a switch, two releases answer: nothing of that is kept.
    assert text.count("proxy_cache provision_shop_answers;") == 1
    assert text.count("add_header X-Provision-Release ") == 3 + 1


def test_whoever_a_proxy_speaks_for_is_never_the_server_itself(make_host: MakeHost, make_known: MakeFacts) -> None:
    """127.0.0.1 is told more, and has no limits: who is connected counts for that, and not what a header says."""
    text = sites(make_host, make_known, LIMITED, more="trusted_proxies: [10.0.0.0/8]\n")["shop"]
    asked = [line for line in text.splitlines() if re.search(r"map .*_(answer|client) |= 127", line)]
    assert [re.findall(r"\$(?:realip_)?remote_addr", line) for line in asked] == [["$realip_remote_addr"]] * 3


def block(text: str, head: str) -> str:
    """What is between the braces after the last line that begins with `head`."""
    rest = text[text.rindex(f"    {head} {{") :]
    return rest[: rest.index("\n    }\n")]


def test_maintenance_answers_503_in_place_of_its_app_alone(make_host: MakeHost, make_known: MakeFacts) -> None:
    location = block(site(make_host, make_known), "location @app")
    condition, _, proxied = location.partition("}")
    assert "if (-f /var/lib/provision/apps/shop/maintenance) {\n            return 503;" in condition
    assert "proxy_pass http://$app_shop_upstream;" in proxied
    assert site(make_host, make_known).count("/maintenance)") == 1


def test_the_maintenance_page_says_when_to_come_again_and_is_not_cached(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    page = block(site(make_host, make_known), "location @maintenance")
    for line in (
        "internal;",
        "default_type text/html;",
        "add_header Retry-After 120 always;",
        "add_header Cache-Control no-store always;",
    ):
        assert f"        {line}\n" in page
    assert "error_page 503 @maintenance;" in site(make_host, make_known)
    assert 'return 503 "<!doctype html>' in page


def test_the_maintenance_page_insists_on_https_where_the_app_does(make_host: MakeHost, make_known: MakeFacts) -> None:
    """A location with headers of its own takes over none of the server's."""
    for more, insists in (("", True), ("tls: {hsts: false}\n", False), ("tls: {issuer: self-signed}\n", False)):
        page = block(site(make_host, make_known, more), "location @maintenance")
        assert ("Strict-Transport-Security" in page) is insists


def test_the_inventory_says_whether_browsers_insist_on_https_and_not_the_app_as_well(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    """Both would be sent, and the app's come first; where the inventory says nothing, the app may."""
    for more, times in (("", 2), ("tls: {hsts: false}\n", 0), ("tls: {issuer: self-signed}\n", 0)):
        assert site(make_host, make_known, more).count("proxy_hide_header Strict-Transport-Security;") == times


def test_an_authority_is_answered_during_maintenance(make_host: MakeHost, make_known: MakeFacts) -> None:
    plain = site(make_host, make_known).partition("listen 443")[0]
    assert "/.well-known/acme-challenge/" in plain
    assert "maintenance" not in plain


def test_a_site_tells_whether_it_has_the_release_that_it_is_asked_for_and_never_which_one_it_has(
    make_host: MakeHost, make_known: MakeFacts
) -> None:
    found = site(make_host, make_known)
    assert outside.TELLS in found
    assert found.count("proxy_pass ") == found.count(f"proxy_hide_header {outside.ANSWER};"), "not what an app says"
    answers = re.search(r"(?ms)^map (\S+) \$app_shop_told \{$(.*?)^\}$", found)
    assert answers
    rows = re.findall(r'"~(.*)" (\w+);', answers[2])

    def told(asks: str, release: str) -> str:
        asked = f"{asks},/srv/shop/releases/{release}"
        return next((answer for pattern, answer in rows if re.search(pattern, asked)), "another")

    release, same = "20261121T230500-abc1234", "20261122T000000-abc1234"
    assert told(release, release) == "this"
    assert told(same, release) == "commit"
    assert told("20261121T230500-abc1235", release) == "another"
    for forged in (f"{release},/srv/shop/releases/{release}", ".*", f"x{release}", f"/srv/shop/releases/{release}"):
        assert told(forged, "20261101T000000-0000000") == "another"


def test_every_place_that_adds_a_header_adds_all_of_them(make_host: MakeHost, make_known: MakeFacts) -> None:
    """A location with headers of its own takes over none of the server's."""
    strict = (
        "limits: {requests: 5}, headers: {content_security_policy: \"default-src 'self'\", opener_policy: same-origin}"
    )
    text = sites(make_host, make_known, app("shop", f"source: /srv/git/shop, {strict}"))["shop"]
    names = (
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "Referrer-Policy",
        "Permissions-Policy",
        "Cross-Origin-Opener-Policy",
        "Content-Security-Policy",
    )
    places = [text.partition("listen 443")[2].partition("location")[0]]
    places += [block(text, f"location {where}") for where in ("@limited", "@maintenance")]
    places.append(text.partition('location ~ "^/\\.preview')[2].partition("location")[0])
    for place in places:
        assert [place.count(f"add_header {name} ") for name in names] == [1] * len(names), place


def test_a_header_is_left_out_on_request_and_its_quotes_are_nginxs(make_host: MakeHost, make_known: MakeFacts) -> None:
    more = (
        """source: /srv/git/shop, headers: {frame_options: none, permissions_policy: 'camera=("https://a.example")'}"""
    )
    text = sites(make_host, make_known, app("shop", more))["shop"]
    assert "X-Frame-Options" not in text
    assert r""""" "camera=(\"https://a.example\")";""" in text


@pytest.mark.parametrize(
    ("hsts", "sent"),
    [
        ("true", "max-age=63072000"),
        ("subdomains", "max-age=63072000; includeSubDomains"),
        ("preload", "max-age=63072000; includeSubDomains; preload"),
    ],
)
def test_subdomains_are_told_to_use_https_on_request(
    hsts: str, sent: str, make_host: MakeHost, make_known: MakeFacts
) -> None:
    text = site(make_host, make_known, f"tls: {{hsts: {hsts}}}\n")
    assert text.count(f'add_header Strict-Transport-Security "{sent}" always;') == 3
