"""invoke verify: a correct server passes, and each fault is found by the checks that are for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import lab
from tests import pem
from tests.lab.conftest import SUITE, Controller, https, sampled, seed, shell

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab2")

UNIT = "sample@$(basename $(readlink /run/sample/current.sock) .sock)"
MAIN = f"$(systemctl show -p MainPID --value {UNIT})"
DROP_IN = "/etc/systemd/system/sample@.service.d"
CODE = "/srv/sample/current/sample_app/alembic.ini"
SOCKET = "/run/sample/$(readlink /run/sample/current.sock)"
KEY = "$(readlink -f /etc/ssl/provision/sample/privkey.pem)"
OTHER = f"sample@$(test {UNIT} = sample@blue && echo green || echo blue)"
EARLIER = "setpriv --reuid=sample --regid=sample --init-groups env PROVISION_RELEASE=20200101T000000-0000000 sleep 600"
PROGRAMS = """
    processes: {worker: sleep infinity, mailer: sleep infinity}
    schedules: {tick: {at: "03:00", run: "true"}}
"""
KILLS = ("--disruptive", "--yes")
HELD = "flock /run/provision/lock sleep 30 >/dev/null 2>&1 &"
SITE = "/etc/nginx/sites-available/sample.conf"
SETTINGS = "/etc/nginx/provision/settings.conf"

TLS = {
    "clients_trust_the_certificate_for_every_domain",
    "the_certificate_names_exactly_the_apps_domains",
    "the_certificate_does_not_expire_soon",
    "the_certificate_is_the_issuers",
    "nginx_serves_the_certificate_that_is_on_disk",
}
SITES = {
    "every_domain_answers_the_health_check_over_https",
    "http_leads_to_https",
    "browsers_are_told_to_stay_with_https_where_the_inventory_says_so",
    "tls_1_1_is_refused",
    "a_name_that_is_not_served_gets_no_answer",
}


def drop_in(*lines: str) -> str:
    words = " ".join(["[Service]", *lines])
    return f"mkdir -p {DROP_IN} && printf '%s\\n' {words} >{DROP_IN}/test.conf && systemctl daemon-reload"


NO_DROP_IN = f"rm -r {DROP_IN} && systemctl daemon-reload"

MARK = "/var/lib/provision/apps/sample/unfinished"
BREAKAGES = {
    "files are open to others": (
        f"chmod 644 /etc/sample/env && chmod 640 {KEY} && chown sample {CODE} && chmod 755 /run/sample && chmod 666 {SOCKET}",
        f"chmod 640 /etc/sample/env && chmod 600 {KEY} && chown root {CODE} && chmod 750 /run/sample && chmod 660 {SOCKET}",
        {
            "the_environment_is_readable_by_root_and_the_app_alone",
            "the_private_key_is_roots_alone",
            "the_app_cannot_write_its_code_its_python_or_its_configuration",
            "the_socket_is_in_a_folder_of_roots_that_nginx_can_enter",
            "only_nginx_can_reach_the_socket",
        },
    ),
    "units would not start at boot, or should not, and an activation was cut off": (
        f"systemctl disable --quiet {UNIT}.socket certbot.timer sample-worker && "
        f"cd /etc/systemd/system && cp {UNIT}.socket {OTHER}.socket && systemctl enable --quiet {OTHER}.socket && "
        f"systemctl disable --quiet --now sample-tick.timer && echo RELEASE >{MARK}",
        f"systemctl enable --quiet {UNIT}.socket certbot.timer sample-worker && systemctl disable --quiet {OTHER}.socket && "
        f"rm /etc/systemd/system/{OTHER}.socket && "
        f"systemctl enable --quiet --now sample-tick.timer && rm {MARK}",
        {
            "the_last_activation_was_finished",
            "the_service_is_enabled",
            "certificates_are_renewed_by_a_timer",
            "every_process_runs_the_active_release_and_starts_at_boot",
            "every_schedule_has_a_next_time",
            "only_one_slot_runs",
        },
    ),
    "a process is stopped, one is of an earlier release, and one is left that the inventory no longer has": (
        "systemctl stop sample-mailer && cd /etc/systemd/system && cp sample-worker.service sample-gone.service && "
        f"{{ {EARLIER} >/dev/null 2>&1 & echo $! >/run/earlier; }}",
        "systemctl start sample-mailer && rm /etc/systemd/system/sample-gone.service && kill $(cat /run/earlier)",
        {
            "every_process_runs_the_active_release_and_starts_at_boot",
            "nothing_is_left_of_processes_that_the_inventory_no_longer_has",
            "nothing_runs_as_the_apps_user_but_its_active_release",
        },
    ),
    "nginx is stopped": (
        "systemctl stop nginx",
        "systemctl start nginx",
        {"nginx_is_enabled_and_running", *TLS, *SITES},
    ),
    "nginx would not start again": (
        "echo nonsense >/etc/nginx/sites-enabled/test.conf",
        "rm /etc/nginx/sites-enabled/test.conf",
        {"nginxs_configuration_is_valid"},
    ),
    "nginx speaks TLS 1.1 and no HSTS": (
        f"cp -p {SITE} /root/site && cp -p {SETTINGS} /root/settings && sed -i '/Strict-Transport/d' {SITE} && "
        f"sed -i -e 's/^ssl_protocols.*/ssl_protocols TLSv1.1 TLSv1.2;/' -e 's/^ssl_ciphers.*/ssl_ciphers ALL:@SECLEVEL=0;/' {SETTINGS} "
        "&& systemctl reload nginx && sleep 2",
        f"cp -p /root/site {SITE} && cp -p /root/settings {SETTINGS} && systemctl reload nginx",
        {"tls_1_1_is_refused", "browsers_are_told_to_stay_with_https_where_the_inventory_says_so"},
    ),
    "the certificate is self-signed": (
        "ln -sfn placeholder/sample /etc/ssl/provision/sample && systemctl reload nginx && sleep 2",
        "ln -sfn /etc/letsencrypt/live/sample /etc/ssl/provision/sample && systemctl reload nginx",
        {"clients_trust_the_certificate_for_every_domain", "the_certificate_is_the_issuers"},
    ),
    "the service is root's": (
        f"{drop_in('User=root', 'CapabilityBoundingSet=~')} && systemctl restart {UNIT}",
        f"{NO_DROP_IN} && systemctl restart {UNIT}",
        {"the_service_runs_as_the_apps_user"},
    ),
    "a worker is missing": (
        f"kill -TTOU {MAIN} && sleep 1.5",
        f"kill -TTIN {MAIN}",
        {"the_service_has_as_many_workers_as_configured"},
    ),
}


@pytest.fixture(scope="module")
def deployed(sample: str, pythons: Path, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    path = tmp_path_factory.mktemp("verify") / "test.yml"
    path.write_text(sample + PROGRAMS.lstrip("\n"))
    seed(path, pythons)
    lab.reset(SERVER, SUITE, used=True)
    controller = Controller(path)
    controller.deploy(SERVER)
    return controller


@pytest.fixture
def broken(deployed: Controller, request: pytest.FixtureRequest) -> Iterator[set[str]]:
    """The server with one fault: the names of the checks that must fail."""
    breaks, mends, wrong = BREAKAGES[request.param]
    try:
        shell(SERVER, breaks)
        yield wrong
    finally:
        shell(SERVER, mends)


def failed(controller: Controller, only: str = "", *options: str) -> set[str]:
    """The names of the checks that failed, without test_ and their host."""
    answer = controller("verify", SERVER, "--json", *options, *(["--only", only] if only else []))
    found = answer.failing(SERVER)
    assert answer.status == bool(found), answer.stderr
    return found


def test_a_deployed_server_passes(deployed: Controller) -> None:
    answer = deployed("verify", SERVER)
    assert answer.status == 0, answer.stdout
    assert "38 passed" in answer.stdout
    assert f"test_the_service_runs_as_the_apps_user[{SERVER}-sample] PASSED" in answer.stdout


@pytest.mark.parametrize("broken", sampled(list(BREAKAGES), 3), indirect=True)
def test_what_is_wrong_is_found(deployed: Controller, broken: set[str]) -> None:
    assert failed(deployed, "") == broken


@pytest.mark.long
def test_a_service_that_does_not_come_back_is_found_and_brought_back(deployed: Controller) -> None:
    shell(SERVER, drop_in("Restart=no"))
    try:
        assert failed(deployed, "sigkill", *KILLS) == {"the_service_comes_back_after_a_sigkill_of_its_main_process"}
    finally:
        shell(SERVER, NO_DROP_IN)
    assert failed(deployed, "", *KILLS) == set()


@pytest.mark.parametrize(
    "holds",
    [HELD, "end=$(($(cut -d. -f1 /proc/uptime) + 60)); cp holder lease; touch -d @$end lease; rm holder;"],
    ids=["a run", "a fleet"],
)
def test_nothing_is_killed_unless_that_is_asked_for_and_nobody_changes_the_server(
    deployed: Controller, holds: str
) -> None:
    before = shell(SERVER, f"echo {MAIN}")
    (line,) = deployed("verify", SERVER, "--disruptive").stderr.splitlines()
    assert line == "verify --disruptive kills each app's main process, and there is no terminal to ask on: add --yes"
    assert failed(deployed) == set()
    shell(
        SERVER,
        f"cd /run/provision; printf 'jo@desk (deploy)\\tnow\\trun\\n' >holder; {holds}",
    )
    try:
        answer = deployed("verify", SERVER, "--json", "--only", "sigkill", *KILLS)
    finally:
        shell(SERVER, "pkill -f '^sleep 30'; rm -f /run/provision/lease")
    (check,) = answer.host(SERVER)["checks"]
    assert "jo@desk (deploy) is changing this server: nothing was killed" in check["reason"]
    assert shell(SERVER, f"echo {MAIN}") == before


@pytest.mark.long
def test_a_certificate_of_ones_own_is_installed_replaced_and_given_up_again(
    deployed: Controller, tmp_path: Path
) -> None:
    own = f"tls: {{issuer: files, certificate: {tmp_path}/own.pem, key: {tmp_path}/own.key, root_ca: {tmp_path}/own-root.pem}}\n"
    text = deployed.inventory.read_text()
    assert "\ntls:" not in text
    deployed.deploy(SERVER)
    try:
        given = deployed.with_text(text + own)
        for _ in range(2):
            pem.write(tmp_path, "own", *(f"*.lab{number}.test" for number in range(1, 10)))
            planned = given("plan", SERVER)
            answer = given("deploy", SERVER, "--json")
            assert answer.changed(SERVER) == ["certificate:/etc/ssl/provision/sample", "service:nginx-certificates"]
            trusted = https(SERVER, "/health", "", "--cacert", f"{tmp_path}/own-root.pem")
            assert trusted.returncode == 0, trusted.stderr
            secret = (tmp_path / "own.key").read_text().splitlines()[1]
            assert secret not in "".join((planned.stdout, planned.stderr, answer.stdout, answer.stderr))
            assert given("plan", SERVER).status == 0
            assert failed(given, "") == set()
        refused = deployed.with_text(text + own.replace("own.key", "other.key"), "refused")
        pem.write(tmp_path, "other", f"sample.{SERVER}.test")
        (line,) = refused("deploy", SERVER).stderr.splitlines()
        assert line.endswith(f"other.key is not the key of the certificate in {tmp_path}/own.pem; name its own")
    finally:
        deployed.with_text(text).deploy(SERVER)
    assert https(SERVER, "/health").returncode == 0
    assert failed(deployed, "certificate") == set()


def test_a_server_that_is_off_is_one_line(deployed: Controller, sample: str) -> None:
    away = "hosts: {away: {address: 192.0.2.1, connect_timeout: 1}}\n"
    answer = deployed.with_text(sample + away, "off")("verify", "away")
    assert answer.status == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("away: 192.0.2.1 port 22 does not answer (")
    assert answer.stderr.count("\n") == 1
