"""HTTP/3 on a real server (Debian 13): what browsers are told, what is open for it, and what a deploy and a reload do to a connection."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from subprocess import run

import pytest

from provision import lab
from tests.lab import refusals
from tests.lab.conftest import SUITE, Controller, shell
from tests.lab.quic import Answered, connected
from tests.lab.refusals import ADDRESS, DOMAIN, SERVER, Declared
from tests.lab.repository import Repository
from tests.lab.safe_site import MAIN

WORKERS = "pgrep -f 'nginx: worker process$'"
LISTENS = "ss -Hlun 'sport = :443' | wc -l"


@dataclass
class Site:
    """The server's inventories, with HTTP/3 and without."""

    declared: Declared
    repository: Repository
    values: dict[str, object] = field(default_factory=lambda: {"python": "system", "health": {"watch": 0}})

    def controller(self, http3: bool) -> Controller:
        tls = refusals.lab_values()["tls"] | ({"http3": True} if http3 else {})
        return self.declared(self.values, tls=tls, hardening={"firewall": True, "nginx": True})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A bare Debian 13 with the app."""
    repository = Repository.create(f"http3-{SERVER}", tmp_path_factory.mktemp("repository") / "tree")
    repository.commit({"main.py": MAIN, "requirements.txt": refusals.REQUIREMENTS})
    lab.reset(SERVER, "trixie", used=True)
    made = Site(Declared(tmp_path_factory.mktemp("inventory"), repository), repository)
    made.controller(http3=True).deploy(SERVER)
    yield made
    repository.remove()
    lab.reset(SERVER, SUITE, used=True)


def ask(path: str = "/health") -> Answered:
    async def once() -> Answered:
        async with connected(ADDRESS, DOMAIN) as client:
            return await client.get(DOMAIN, path)

    return asyncio.run(once())


def over_tcp() -> str:
    """The headers of an answer over HTTP/2."""
    words = ("curl", "-sk", "-m", "20", "--resolve", f"{DOMAIN}:443:{ADDRESS}", "-o", "/dev/null", "-D", "-")
    return run((*words, f"https://{DOMAIN}/health"), capture_output=True, text=True, check=True, timeout=30).stdout


def test_the_app_answers_over_http3_and_a_second_deploy_changes_nothing(site: Site) -> None:
    answer = ask()
    assert (answer[":status"], answer["x-content-type-options"]) == ("200", "nosniff")
    assert '"greeting":"hello"' in answer.body
    assert 'alt-svc: h3=":443"; ma=86400' in over_tcp()
    controller = site.controller(http3=True)
    again = controller.deploy(SERVER).host(SERVER)
    assert (again["changes"], again["execs"]) == ([], 2)
    assert controller("verify", SERVER, "--json").failing(SERVER) == set()
    assert ":443" not in controller("audit", SERVER).stdout


@pytest.mark.long
def test_a_switch_is_under_an_open_connection_as_nginx_is_not_reloaded(site: Site) -> None:
    async def around() -> tuple[Answered, Answered]:
        async with connected(ADDRESS, DOMAIN) as client:
            before = await client.get(DOMAIN, "/health")
            site.repository.commit({"main.py": f"{MAIN}\n# next\n", "requirements.txt": refusals.REQUIREMENTS})
            deploy = asyncio.create_task(asyncio.to_thread(site.controller(http3=True).deploy, SERVER))
            asked = 0
            while not deploy.done():
                assert (await client.get(DOMAIN, "/health"))[":status"] == "200"
                asked += 1
                await asyncio.sleep(0.05)
            assert any(each.startswith("activation:") or "release" in each for each in deploy.result().changed(SERVER))
            print(f"{asked} requests over one connection while the deploy ran")
            return before, await client.get(DOMAIN, "/health")

    workers = shell(SERVER, WORKERS)
    before, after = asyncio.run(around())
    assert before.body != after.body
    assert shell(SERVER, WORKERS) == workers


def test_a_reload_takes_a_connection_with_it_and_a_new_one_is_answered(site: Site) -> None:
    async def around() -> str:
        async with connected(ADDRESS, DOMAIN) as client:
            await client.get(DOMAIN, "/health")
            shell(SERVER, "systemctl reload nginx; sleep 1")
            assert "200" in over_tcp()
            try:
                return (await client.get(DOMAIN, "/health"))[":status"]
            except (TimeoutError, ConnectionError) as error:
                return type(error).__name__

    print("a request over the old connection:", asyncio.run(around()))
    assert ask()[":status"] == "200"


@pytest.mark.long
def test_without_the_key_nobody_is_told_and_nothing_is_open(site: Site) -> None:
    plain = site.controller(http3=False)
    assert plain.deploy(SERVER).changed(SERVER) == ["files:nginx", "service:nginx", "firewall:nftables"]
    assert "alt-svc" not in over_tcp().lower()
    assert shell(SERVER, LISTENS) == "0"
    assert "udp dport { 443 }" not in shell(SERVER, "nft list table inet provision")
    assert plain.plan(SERVER).status == 0
