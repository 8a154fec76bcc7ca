"""What one client may ask of an app, and who counts as one, on a real server."""

from collections import Counter
from subprocess import run

from tests.lab.conftest import shell
from tests.lab.refusals import ADDRESS, DOMAIN, SERVER, Declared

pytest_plugins = ("tests.lab.refusals",)

LIMITS = {"requests": 5, "burst": 20, "connections": 100}
AT_ONCE = f"-sk --resolve {DOMAIN}:443:{ADDRESS} -o /dev/null -w '%{{http_code}}\\n' --parallel --parallel-max 20"


def here(command: str) -> str:
    """What a command prints on this machine, which is one client of the server."""
    done = run(command, shell=True, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def clients() -> list[str]:
    """Who asked last, by nginx's log."""
    return [line.split()[0] for line in shell(SERVER, "tail -n 2 /var/log/nginx/access.log").splitlines()]


def test_a_burst_of_one_client_is_cut_off_and_another_is_not_hurt(deployed: Declared) -> None:
    controller = deployed({"limits": LIMITS})
    controller.deploy(SERVER)
    assert controller.plan(SERVER).status == 0
    # The server, by its own address, is another client.
    asks = f"curl -sk --resolve {DOMAIN}:443:{ADDRESS} -o /dev/null -w '%{{http_code}}\\n' https://{DOMAIN}/health"
    loop = f"for each in $(seq 20); do {asks}; sleep 0.25; done >/run/calm"
    shell(SERVER, f"cat >/run/calm.sh <<'END'\n{loop}\nEND\nsystemd-run -q --unit calm sh /run/calm.sh")
    burst = Counter(here(f"curl {AT_ONCE} 'https://{DOMAIN}/health?[1-300]'").split())
    assert {*burst} == {"200", "429"}, burst
    assert LIMITS["burst"] <= burst["200"] < 150, burst
    told = here(f"curl -sk --resolve {DOMAIN}:443:{ADDRESS} -D - 'https://{DOMAIN}/health?[1-40]'")
    assert "retry-after: 1" in told.lower()
    shell(SERVER, "while systemctl is-active -q calm; do sleep 0.2; done")
    assert shell(SERVER, "cat /run/calm").split() == ["200"] * 20


def test_only_a_trusted_proxy_says_who_the_client_is(deployed: Declared) -> None:
    ask = f"-sk --resolve {DOMAIN}:443:{ADDRESS} -o /dev/null -w '%{{http_code}} '"
    forged = f"curl {ask} -H 'X-Forwarded-For: 198.51.100.7' 'https://{DOMAIN}/health?[1-2]'"
    deployed({"limits": LIMITS}).deploy(SERVER)
    here(forged)
    assert "198.51.100.7" not in clients()
    deployed({"limits": LIMITS}, trusted_proxies=["10.213.0.1"]).deploy(SERVER)
    here(forged)
    assert clients() == ["198.51.100.7"] * 2
    # Each client of the proxy has limits of its own; who comes by another way is not believed.
    for client in ("198.51.100.8", "198.51.100.9"):
        said = here(f"curl {ask} -H 'X-Forwarded-For: 127.0.0.1, {client}' 'https://{DOMAIN}/health?[1-10]'")
        assert Counter(said.split()) == {"200": 10}, said
    said = here(f"curl {ask} -H 'X-Forwarded-For: 127.0.0.1' -H 'X-Provision-Asks: yes' -D - https://{DOMAIN}/health")
    assert "x-provision-release: /" not in said.lower()
    shell(SERVER, forged)
    assert "198.51.100.7" not in clients()
