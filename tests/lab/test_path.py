"""The whole path on a bare server: from nothing to HTTPS, and what comes after."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from provision import lab
from provision.lab import folder, source
from tests.lab.conftest import ALONE, ROOT, SUITE, Built, Controller, https, shell

SERVER = os.environ.get("PROVISION_TEST_SERVER", "lab1")


def test_a_bare_server_gets_a_python_that_pyenv_built(built: Built) -> None:
    changes = {change["id"]: change["summary"] for change in built.answer.host(SERVER)["changes"]}
    assert changes["python:3.13.5"] == "build Python 3.13.5 with pyenv"
    assert built.answer.host(SERVER)["execs"] == 3
    assert shell(SERVER, "/srv/sample/current/.venv/bin/python -VV").startswith("Python 3.13.5")
    assert json.loads(https(SERVER, "/health").stdout)["status"] == "ok"
    print(f"from nothing to HTTPS with a Python build, on {SUITE}: {built.seconds:.1f} s")


@contextmanager
def served(files: Path) -> Iterator[str]:
    """A mirror of source archives: a folder served on the lab's bridge."""
    with ThreadingHTTPServer(("10.213.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(files))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://10.213.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_a_source_archive_with_a_wrong_checksum_is_not_built(controller: Controller, tmp_path: Path) -> None:
    """The build above left all that a build needs; python.org, which python-build asks next, is out of reach."""
    archive = tmp_path / "mirror" / source.checksum(folder.current())
    archive.parent.mkdir()
    text = controller.inventory.read_text()
    text = text.replace('python: "3.13.5"', 'python: {version: "3.13.5", optimized: true, cache: false}')
    shell(SERVER, "cp -a /etc/hosts /root/hosts; echo 10.213.0.1 www.python.org >>/etc/hosts")
    try:
        with served(archive.parent) as mirror:
            there = controller.with_text(f"{text}mirrors: {{python: '{mirror}'}}\n")
            nothing = there("deploy", SERVER, "--json")
            archive.write_text("something else\n")
            wrong = there("deploy", SERVER, "--json")
    finally:
        shell(SERVER, "cat /root/hosts >/etc/hosts; rm /root/hosts")
    assert (nothing.status, wrong.status) == (1, 1)
    assert nothing.host(SERVER)["error"].startswith(
        f"Python 3.13.5 was not built: its source cannot be fetched from {mirror} or python.org (curl: "
    )
    assert wrong.host(SERVER)["error"] == (
        f"Python 3.13.5 was not built: the source archive {mirror}/{archive.name} has a wrong checksum, "
        f"{hashlib.sha256(archive.read_bytes()).hexdigest()}: put the right one there, "
        "or name another place with mirrors.python"
    )
    assert shell(SERVER, "ls -d /opt/pyenv/versions/*optimized* /var/tmp/provision-build* 2>/dev/null || true") == ""


def test_a_bare_server_gets_its_python_from_the_cache_and_serves_https(controller: Controller) -> None:
    """On an idle machine this takes less than a minute (docs/performance.md); a busy one gets another."""
    lab.reset(SERVER, SUITE)
    begun = time.monotonic()
    answer = controller.deploy(SERVER)
    page = https(SERVER, "/")
    seconds = time.monotonic() - begun
    changes = {change["id"]: change["summary"] for change in answer.host(SERVER)["changes"]}
    assert changes["python:3.13.5"].startswith("place Python 3.13.5 from the controller's cache")
    assert "<html" in page.stdout
    assert seconds <= (120 if ALONE else 300)
    print(f"from nothing to HTTPS with the cached Python, on {SUITE}: {seconds:.1f} s")


def test_a_second_deploy_changes_nothing_and_says_so(controller: Controller) -> None:
    again = controller.deploy(SERVER).host(SERVER)
    assert (again["status"], again["changed"], again["changes"]) == ("ok", 0, [])
    assert again["execs"] <= 2
    assert controller.plan(SERVER).status == 0


def test_a_hand_edit_of_the_site_is_the_only_diff_and_is_undone_with_a_reload(controller: Controller) -> None:
    site = "/etc/nginx/sites-available/sample.conf"
    workers = shell(SERVER, "pgrep -u www-data nginx | sort")
    shell(SERVER, f"sed -i 's/client_max_body_size 10m/client_max_body_size 11m/' {site}")
    plan = controller.plan(SERVER)
    diffs = [change["diff"] for change in plan.host(SERVER)["changes"] if change["diff"]]
    assert plan.status == 2
    assert plan.changed(SERVER) == ["files:nginx", "service:nginx"]
    assert len(diffs) == 1
    assert [line for line in diffs[0].splitlines() if re.match(r"[+-] ", line)] == [
        "-    client_max_body_size 11m;",
        "+    client_max_body_size 10m;",
    ]
    assert controller.deploy(SERVER).changed(SERVER) == plan.changed(SERVER)
    assert shell(SERVER, f"grep -c 11m {site} || true") == "0"
    time.sleep(1)
    assert not set(shell(SERVER, "pgrep -u www-data nginx | sort").split()) & set(workers.split())
    assert controller.plan(SERVER).status == 0


def test_what_the_plan_shows_is_what_the_apply_does(controller: Controller) -> None:
    changed = controller.with_text(
        controller.inventory.read_text().replace("ENVIRONMENT: production", "ENVIRONMENT: staging")
    )
    shown = changed("deploy", SERVER, "--plan", "--json")
    assert shown.status == 0
    assert shown.host(SERVER)["execs"] == 2
    done = changed.deploy(SERVER)
    assert (
        done.changed(SERVER)
        == shown.changed(SERVER)
        == ["file:/etc/sample/env", "check:sample", "migration:sample", "activation:sample"]
    )
    assert "ENVIRONMENT" in shell(SERVER, "cat /etc/sample/env")


def test_the_app_sees_the_clients_address_and_https(controller: Controller) -> None:
    seen = json.loads(https(SERVER, "/whoami", "", "-H", "X-Forwarded-For: 1.2.3.4").stdout)
    assert (seen["client"], seen["scheme"], seen["host"]) == ("10.213.0.1", "https", f"sample.{SERVER}.test")


def test_the_edge_is_as_it_should_be() -> None:
    head = https(SERVER, "/", "", "-I").stdout.lower()
    assert head.startswith("http/2 200")
    assert "strict-transport-security: max-age=63072000" in head
    css = https(SERVER, "/static/style.css", "", "-I", "-H", "Accept-Encoding: gzip").stdout.lower()
    assert "server: nginx" in css
    assert "content-encoding: gzip" in css
    assert "x-request-id" not in css, "the app was not asked"
    assert https(SERVER, "/", "", "--tls-max", "1.1").returncode != 0
    assert https(SERVER, "/", f"unknown.{SERVER}.test", "-k").returncode != 0


def test_the_data_outlives_a_restart_of_the_server(controller: Controller) -> None:
    https(SERVER, "/api/notes", "", "--json", '{"title": "kept", "body": "over a reboot"}')
    lab.reboot(SERVER)
    deadline = time.monotonic() + 30
    while https(SERVER, "/ready").returncode and time.monotonic() < deadline:
        time.sleep(0.5)
    assert "kept" in https(SERVER, "/api/notes").stdout
    assert controller.plan(SERVER).host(SERVER)["status"] != "failed"


def test_a_deploy_and_its_verification(controller: Controller) -> None:
    controller.deploy(SERVER)
    verified = controller("verify", SERVER)
    assert verified.status == 0, verified.stdout + verified.stderr


def test_a_renewed_certificate_is_served_without_anyones_help(controller: Controller) -> None:
    serial = "openssl x509 -noout -serial"
    served = (
        f"openssl s_client -connect 127.0.0.1:443 -servername sample.{SERVER}.test </dev/null 2>/dev/null | {serial}"
    )
    before = shell(SERVER, served)
    environment = shell(SERVER, "systemctl show certbot.service -p Environment --value")
    shell(SERVER, f"env {environment} certbot renew --force-renewal --no-random-sleep-on-renew -q")
    time.sleep(1)
    after = shell(SERVER, served)
    assert after != before
    assert after == shell(SERVER, f"{serial} -in /etc/letsencrypt/live/sample/fullchain.pem")
    assert controller.plan(SERVER).status == 0


def test_packages_wait_for_whoever_holds_dpkgs_lock(controller: Controller) -> None:
    """The lock is a record lock (fcntl(2)), which flock(1) cannot take; the pack is amd64's struct flock."""
    lock = "/var/lib/dpkg/lock-frontend"
    hold = (
        f"use Fcntl; open(F, '>', '{lock}'); my $all = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0); "
        "fcntl(F, F_SETLK, $all) or die; sleep 6"
    )
    shell(SERVER, "dpkg --purge --force-depends openssl 2>&1")
    holder = threading.Thread(target=shell, args=(SERVER, f"perl -e {shlex.quote(hold)}"))
    holder.start()
    held = f'until grep -q "POSIX.*:$(stat -c %i {lock}) " /proc/locks; do sleep 0.05; done'
    shell(SERVER, f"timeout 5 sh -c {shlex.quote(held)}")
    begun = time.monotonic()
    answer = controller.deploy(SERVER)
    holder.join()
    assert "packages:base" in answer.changed(SERVER)
    assert time.monotonic() - begun > 4


@pytest.mark.long
def test_a_server_behind_another_is_reached_through_it(controller: Controller) -> None:
    through = controller.with_text(
        controller.inventory.read_text() + f"hosts: {{{SERVER}: {{proxy_jump: admin@10.213.0.12}}}}\n"
    )
    answer = through.plan(SERVER)
    assert (answer.status, answer.host(SERVER)["error"]) == (0, None)


@pytest.mark.long
def test_an_installed_package_has_all_that_the_tasks_need(controller: Controller, tmp_path: Path) -> None:
    run = partial(subprocess.run, check=True, capture_output=True, text=True, cwd=tmp_path)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)])
    run([sys.executable, "-m", "venv", "venv"])
    run(["venv/bin/pip", "install", "--quiet", str(next(tmp_path.glob("provision-*.whl")))])
    (tmp_path / "tasks.py").write_text("from provision.tasks import namespace\n")
    answer = run(["venv/bin/invoke", "plan", "--host", SERVER, "--inventory", str(controller.inventory), "--json"])
    assert json.loads(answer.stdout)["hosts"][SERVER]["changes"] == []
