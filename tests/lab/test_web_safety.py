"""What nginx says to browsers, and what it is itself allowed, on a real server."""

from subprocess import run

import pytest

from provision import lab
from provision.resources.nginx_sandbox import PROGRAM, ROOTED, content
from tests.lab import again
from tests.lab.conftest import Controller, shell
from tests.lab.refusals import ADDRESS, APP, DOMAIN, SERVER
from tests.lab.safe_site import POLICY

pytest_plugins = ("tests.lab.safe_site",)

SENT = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "bluetooth=(), hid=(), midi=(), serial=(), usb=()",
    "content-security-policy": POLICY,
}


def ask(path: str, *options: str, address: str = ADDRESS) -> tuple[int, list[tuple[str, str]]]:
    """The status, and all headers of an answer in their order, with names in lower case."""
    words = ("curl", "-sk", "-m", "20", "--resolve", f"{DOMAIN}:443:{address}", "-o", "/dev/null", "-D", "-", *options)
    said = run((*words, f"https://{DOMAIN}{path}"), capture_output=True, text=True, check=True, timeout=30).stdout
    lines = said.strip().splitlines()
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
    return int(lines[0].split()[1]), [each for each in headers if each[0] in {*SENT}]


@pytest.mark.parametrize(
    ("path", "status"), [("/health", 200), ("/files/a.txt", 200), ("/nothing", 404), ("/broken", 500)]
)
def test_every_answer_has_each_header_once(safe: Controller, path: str, status: int) -> None:
    assert ask(path) == (status, [*SENT.items()])


def test_what_the_app_says_itself_wins_and_is_said_once(safe: Controller) -> None:
    status, headers = ask("/own")
    own = {
        "x-frame-options": "DENY",
        "content-security-policy": "default-src 'none'",
        "referrer-policy": "no-referrer",
    }
    # But for how long browsers insist on HTTPS, which `tls.hsts` of the inventory says.
    assert status == 200
    assert sorted(headers) == sorted((SENT | own).items())


def test_nginxs_own_pages_have_them_too(safe: Controller) -> None:
    assert safe("maintenance.on", SERVER).status == 0
    assert ask("/health") == (503, [*SENT.items()])
    assert safe("maintenance.off", SERVER).status == 0
    assert ask("/health", "-H", "Content-Length: 99999999", "-X", "POST", "-d", "x") == (413, [*SENT.items()])
    shell(SERVER, "systemctl stop 'refusals@*.socket' 'refusals@*.service'")
    assert ask("/health") == (502, [*SENT.items()])
    shell(SERVER, "systemctl start refusals@$(basename $(readlink /run/refusals/current.sock) .sock).socket")
    assert ask("/health")[0] == 200


def test_the_modern_profile_speaks_tls_1_3_alone(safe: Controller) -> None:
    def connects(version: str) -> bool:
        words = ("openssl", "s_client", "-connect", f"{ADDRESS}:443", "-servername", DOMAIN, version)
        return run(words, input="", capture_output=True, text=True, timeout=20).returncode == 0

    assert (connects("-tls1_3"), connects("-tls1_2")) == (True, False)


def mark(controller: Controller, wanted: str) -> Controller:
    """The same inventory, in which nginx's sandbox is asked for or not, beside it."""
    return controller.with_text(
        f"{controller.inventory.read_text()}hardening: {{nginx: {wanted}}}\n", f"nginx-{wanted}"
    )


def unconfined() -> bool:
    """nginx serves, and in no sandbox of ours."""
    there = "ls /etc/systemd/system/nginx.service.d 2>/dev/null; grep NoNewPrivs: /proc/$(cat /run/nginx.pid)/status"
    return ask("/health")[0] == 200 and shell(SERVER, there).split() == ["NoNewPrivs:", "0"]


ENTERS, LEAVES = {"sandbox:nginx", f"file:{PROGRAM}"}, {"sandbox:nginx", f"absent:{PROGRAM}"}
OTHERS = "/etc/nginx/conf.d/others.conf"


def owners() -> set[str]:
    """Whose nginx's processes are."""
    return {*shell(SERVER, "ps -o user= -C nginx").split()}


def test_nginx_does_in_its_sandbox_and_without_root_all_that_it_has_to_do(safe: Controller) -> None:
    boxed = mark(safe, "true")
    assert {*boxed.deploy(SERVER).changed(SERVER)} == ENTERS
    assert boxed.plan(SERVER).status == 0
    assert boxed("verify", SERVER, "--json").failing(SERVER) == set()
    assert owners() == {"www-data"}
    rated = shell(SERVER, "systemd-analyze security --no-pager nginx | tail -n 1")
    assert float(rated.split(":")[1].split()[0]) <= 1.5, rated
    # As logrotate does.
    shell(SERVER, "logrotate --force /etc/logrotate.d/nginx; sleep 0.5")
    assert [ask(path)[0] for path in ("/health", "/files/a.txt")] == [200, 200]
    assert '"GET /health' in shell(SERVER, "cat /var/log/nginx/access.log")
    assert shell(SERVER, "stat -c %U /var/log/nginx/access.log; systemctl reload nginx") == "www-data"
    shell(SERVER, "nsenter -t $(cat /run/nginx.pid) -m sh -c '! touch /etc/nginx/no /usr/no /home/no 2>/dev/null'")
    renewed = boxed("tls.renew", SERVER, "--force")
    assert renewed.status == 0, renewed.stdout + renewed.stderr
    assert served() == shell(SERVER, f"openssl x509 -noout -serial -in /etc/ssl/provision/{APP}/fullchain.pem")
    assert keys_of("www-data") == keys_of("nobody") == "denied"
    shell(SERVER, "systemctl kill -s KILL nginx; sleep 0.5; systemctl start nginx")
    assert boxed.plan(SERVER).status == 0
    with_site_of_another(boxed)
    assert {*mark(safe, "false").deploy(SERVER).changed(SERVER)} == LEAVES
    assert unconfined()
    assert (
        shell(
            SERVER,
            "ls -d /run/provision-nginx /usr/local/lib/provision-nginx 2>/dev/null; getent group provision-nginx || true",
        )
        == ""
    )


def served() -> str:
    """The serial number of the certificate that the site has."""
    asked = f"openssl s_client -connect {ADDRESS}:443 -servername {DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    return run(("sh", "-c", asked), capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def keys_of(user: str) -> str:
    """What a process of this user, which is none of nginx's, gets to know of the keys that nginx reads."""
    return shell(
        SERVER,
        f"runuser -u {user} -- cat /run/provision-nginx/{APP}/privkey.pem >/dev/null 2>&1 && echo read || echo denied",
    )


def with_site_of_another(boxed: Controller) -> None:
    """Beside what somebody else has in nginx, its main process is root's, and stops in order when it changes its sandbox."""
    shell(SERVER, f"echo 'map $uri $others {{ default 1; }}' >{OTHERS}")
    try:
        planned = boxed.plan(SERVER)
        assert f"as root, because of {OTHERS}" in planned.stdout
        assert boxed.deploy(SERVER).changed(SERVER) == ["sandbox:nginx"]
        assert owners() == {"root", "www-data"}
        assert shell(SERVER, "stat -c %U /run/nginx.pid") == "root"
        assert ask("/health")[0] == 200
    finally:
        shell(SERVER, f"rm {OTHERS}")
    assert boxed.deploy(SERVER).changed(SERVER) == ["sandbox:nginx"]
    assert owners() == {"www-data"}
    killed = "journalctl -u nginx --no-pager -g 'timed out' --since -2min -q || true"
    assert shell(SERVER, killed) == "", "each stopped when it was asked to"
    assert boxed.plan(SERVER).status == 0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("proxy_cache_path /srv/odd keys_zone=odd:1m;", "does what its sandbox forbids: proxy_cache_path /srv/odd"),
        ("access_log /srv/odd.log;", "nginx -t fails in its sandbox"),
    ],
)
def test_a_site_that_a_sandbox_would_break_goes_on_without_one(safe: Controller, line: str, why: str) -> None:
    shell(SERVER, f"echo '{line}' >/etc/nginx/conf.d/odd.conf; systemctl reload nginx")
    try:
        with again.comparing("nginx's process"):
            before = shell(SERVER, "cat /run/nginx.pid")
            answer = mark(safe, "true")("deploy", SERVER, "--json")
            assert answer.status == 1
            assert why in answer.host(SERVER)["error"]
            assert unconfined()
            assert shell(SERVER, "cat /run/nginx.pid") == before, "it was not restarted"
    finally:
        shell(SERVER, "rm -rf /etc/nginx/conf.d/odd.conf /srv/odd /srv/odd.log; systemctl reload nginx")


DROP_IN, STAMPS = "/etc/systemd/system/nginx.service.d/provision.conf", "/var/lib/provision/stamps"
OLDER = "[Service]\nNoNewPrivileges=yes\n"


@pytest.mark.parametrize(
    ("there", "noted"),
    [
        pytest.param("", None, id="no sandbox before"),
        pytest.param(OLDER, None, id="an older sandbox", marks=pytest.mark.long),
        pytest.param(content(ROOTED), "", id="a run that was killed before the restart", marks=pytest.mark.long),
    ],
)
def test_nginx_that_does_not_come_up_in_its_sandbox_runs_as_before(
    safe: Controller, there: str, noted: str | None
) -> None:
    def put(text: str, path: str) -> None:
        shell(SERVER, f"mkdir -p $(dirname {path}); cat >{path} <<'END'\n{text}END")

    if there:
        put(there, DROP_IN)
    shell(SERVER, "systemctl daemon-reload; systemctl restart nginx" if there == OLDER else "true")
    if noted is not None:
        put(noted, f"{STAMPS}/nginx-sandbox.before")
    # Somebody's own step before nginx starts, of which nginx -t knows nothing: it writes where the sandbox lets nobody write.
    put("[Service]\nExecStartPre=/bin/sh -c 'date >/etc/odd'\n", "/run/systemd/system/nginx.service.d/odd.conf")
    shell(SERVER, "systemctl daemon-reload")
    try:
        answer = mark(safe, "true")("deploy", SERVER, "--json")
        assert answer.status == 1
        assert "does not start in its sandbox, and runs as before" in answer.host(SERVER)["error"]
        assert "Read-only file system" in answer.stdout + answer.stderr
        if there == OLDER:
            assert shell(SERVER, f"cat {DROP_IN}") == OLDER.strip()
            assert shell(SERVER, "grep NoNewPrivs: /proc/$(cat /run/nginx.pid)/status").split() == ["NoNewPrivs:", "1"]
            assert ask("/health")[0] == 200
        else:
            assert unconfined()
        assert lab.shell(SERVER, f"ls {STAMPS}/nginx-sandbox*").stdout == ""
    finally:
        shell(SERVER, "rm -rf /run/systemd/system/nginx.service.d /etc/odd; systemctl daemon-reload")
    assert "sandbox:nginx" in mark(safe, "true").deploy(SERVER).changed(SERVER)
    assert {*mark(safe, "false").deploy(SERVER).changed(SERVER)} == LEAVES
    assert unconfined()
