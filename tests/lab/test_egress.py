"""Where an app and its builds may connect to, with `hardening.egress`: asked as their users."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from provision import lab
from provision.lab import network
from tests.lab.conftest import LAB, SUITE, Controller, shell
from tests.lab.exposure import exposed
from tests.lab.refusals import ADDRESS, SERVER

METADATA = "169.254.169.254"
PORT = 8000
Make = Callable[..., Controller]
APP = "{source: git://10.213.0.1/none.git, module: shop:app, domains: [shop.test], python: system%s}"


class Answers(BaseHTTPRequestHandler):
    """A cloud's metadata, and any other machine."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def served() -> Iterator[None]:
    """A bare server, on which three ports are open; and this machine has the metadata's address."""
    lab.reset(SERVER, SUITE, used=True)
    for port in (80, 5432, 6379):
        shell(SERVER, f"systemd-run -q --unit open-{port} python3 -m http.server --bind 127.0.0.1 {port}")
    own = (f"{METADATA}/32", "dev", network.BRIDGE)
    subprocess.run(("ip", "address", "add", *own), check=True)
    # The last one is where `verify` asks, as clouds answer there.
    places = ((METADATA, PORT), (network.GATEWAY, PORT), (METADATA, 80))
    servers = [HTTPServer(place, Answers) for place in places]
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    yield
    for each in servers:
        each.shutdown()
        each.server_close()
    subprocess.run(("ip", "address", "delete", *own), check=True)
    lab.reset(SERVER, SUITE)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes inventories with the app shop, whose user is made, and which is not deployed."""
    path = tmp_path / "egress.yml"

    def made(hardening: str, egress: str = "") -> Controller:
        host = f"{{address: {ADDRESS}, agent: false, key: {LAB}/id_ed25519, known_hosts: {LAB}/known_hosts}}"
        app = APP % (f", egress: {egress}" if egress else "")
        path.write_text(f"hosts: {{{SERVER}: {host}}}\nroles: [base]\nhardening: {hardening}\napps: {{shop: {app}}}\n")
        return Controller(path)

    return made


def provision(controller: Controller) -> list[str]:
    """The ids of the changes that it made, the releases left out."""
    answer = controller("provision", SERVER, "--json")
    assert answer.status == 0, answer.stdout + answer.stderr
    return answer.changed(SERVER)


def reached(user: str) -> set[str]:
    """What a user of the server can connect to."""
    places = {
        "metadata": f"{METADATA}:{PORT}",
        "another machine": f"{network.GATEWAY}:{PORT}",
        "site": "127.0.0.1:80",
        "database": "127.0.0.1:5432",
        "cache": "127.0.0.1:6379",
    }

    asks = "; ".join(f"curl -s -m 3 -o /dev/null http://{place}/ && echo '{name}'" for name, place in places.items())
    said = shell(SERVER, f'setpriv --reuid={user} --regid=$(id -g {user}) --clear-groups sh -c "{asks}; true"')
    return set(said.splitlines())


ALL = {"metadata", "another machine", "site", "database", "cache"}


def test_an_app_reaches_what_the_inventory_gives_it_and_others_are_not_hurt(make: Make) -> None:
    provision(make("{}"))
    assert reached("shop") == reached("shop-build") == reached("root") == ALL
    controller = make("{egress: true}", "{local: [5432]}")
    planned = controller.plan(SERVER, "--app", "shop")
    assert provision(controller)[-1] == "egress:shop", planned.stdout
    assert reached("shop") == reached("shop-build") == {"another machine", "site", "database"}
    assert reached("root") == reached("nobody") == ALL
    again = controller("provision", SERVER, "--json").host(SERVER)
    assert (again["changed"], again["execs"]) == (0, 2)


def test_what_an_app_will_not_reach_is_said_before_and_networks_can_be_named(make: Make) -> None:
    controller = make("{egress: true}", "{to: []}")
    answer = controller("provision", SERVER, "--json")
    said = " ".join(answer.host(SERVER)["warnings"])
    assert "shop may not connect to what listens on the server: " in said
    assert "5432 python3" in said
    assert (reached("shop"), reached("shop-build")) == ({"site"}, {"another machine", "site"})
    provision(make("{egress: true}", f"{{to: [{network.GATEWAY}]}}"))
    assert reached("shop") == {"another machine", "site"}


def test_drift_is_mended_a_boot_brings_the_rules_back_and_without_the_key_they_go(make: Make) -> None:
    controller = make("{egress: true}")
    provision(controller)
    asks = ("verify", SERVER, "--json", "--only", "metadata")
    assert controller(*asks).failing(SERVER) == set()
    shell(SERVER, "nft delete table inet provision_app_shop")
    assert controller(*asks).failing(SERVER) == {"an_apps_user_reaches_no_metadata_address"}
    assert provision(controller) == ["egress:shop"]
    shell(SERVER, "echo >>/etc/systemd/system/provision-egress.service")
    assert provision(controller) == ["egress:shop"]
    assert exposed(SERVER) == {}
    lab.kill(SERVER)
    lab.start(SERVER)
    assert "provision_app_shop" in shell(SERVER, "nft list tables")
    assert controller("provision", SERVER, "--json").changed(SERVER) == []
    assert provision(make("{}")) == ["egress:shop"]
    left = "nft list tables; ls -d /etc/provision /etc/systemd/system/provision-egress.service 2>/dev/null || true"
    assert shell(SERVER, left) == ""
    provision(controller)
    removed = controller("remove", SERVER, "--app", "shop", "--yes", "--json")
    assert (removed.status, shell(SERVER, left)) == (0, ""), removed.stdout
