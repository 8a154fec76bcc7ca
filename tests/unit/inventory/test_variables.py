"""An app's environment variables, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.inventory import dotenv
from tests.inventories import APP, HOST, errors, host, inventory, write


def test_values_of_the_environment_stay_as_they_are_written() -> None:
    text = HOST + APP + "    environment: {A: 1.10, B: 007, C: True, D: no, E: 'a b', F: 1_0, G: 12:30:00}\n"
    assert host(text).apps["shop"].env == {
        "A": "1.10",
        "B": "007",
        "C": "true",
        "D": "no",
        "E": "a b",
        "F": "1_0",
        "G": "12:30:00",
    }


def test_a_database_is_in_the_environment_and_its_parts_in_values() -> None:
    text = f"{HOST}{APP}    database: {{engine: postgresql, driver: asyncpg}}\n"
    url = "postgresql+asyncpg://shop@/shop?host=/run/postgresql"
    assert host(text).apps["shop"].env == {"DATABASE_URL": url}
    values = "{A: '{database.user}@{database.host}:{database.port}/{database.name}', B: '{database.x}', DATABASE_URL: sqlite://}"
    parts = {"A": "shop@/run/postgresql:5432/shop", "B": "{database.x}", "DATABASE_URL": "sqlite://"}
    assert host(f"{text}    environment: {values}\n").apps["shop"].env == parts
    assert host(f"{HOST}{APP}    environment: {{A: '{{database.url}}'}}\n").apps["shop"].env == {"A": "{database.url}"}


def test_a_redis_is_in_the_environment_and_its_parts_in_values() -> None:
    socket = "/run/provision-redis/shop/redis.sock"
    assert host(f"{HOST}{APP}    cache: redis\n").apps["shop"].env == {"REDIS_URL": f"unix://{socket}"}
    text = f"{HOST}{APP}    cache: {{engine: redis, answers: 10m}}\n    environment: {{A: 'redis+socket://{{cache.socket}}', REDIS_URL: other}}\n"
    shop = host(text).apps["shop"]
    assert (shop.env, shop.cache.answers) == ({"A": f"redis+socket://{socket}", "REDIS_URL": "other"}, "10m")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("redis", (64 * 1024**2, "allkeys-lru")),
        ("{engine: redis, memory: 2G, persistent: true}", (2 * 1024**3, "noeviction")),
        ("{engine: redis, eviction: volatile-ttl, persistent: true}", (64 * 1024**2, "volatile-ttl")),
    ],
)
def test_what_a_redis_holds_and_forgets(written: str, found: tuple[int, str]) -> None:
    cache = host(f"{HOST}{APP}    cache: {written}\n").apps["shop"].cache
    assert (cache.limit, cache.policy, cache.answers) == (*found, None)


def test_a_size_alone_is_what_nginx_keeps() -> None:
    shop = host(f"{HOST}{APP}    cache: 100m\n    environment: {{A: '{{cache.url}}'}}\n").apps["shop"]
    assert (shop.env, shop.cache.engine, shop.cache.answers) == ({"A": "{cache.url}"}, None, "100m")


NO_LINE = "not NAME=value; correct that line, and quote a value of several lines"
CONTROL = "the value has a control character other than tab and newline; encode it, for example as base64"
ENV_FILE = "# shop\nA=file\nB='file value'\nexport C=file\nD=${A}-more\n"


def test_environment_wins_over_secrets_and_those_over_the_env_file() -> None:
    write(ENV_FILE, "env/shop.env")
    text = HOST + APP + "    env_file: env/shop.env\n    secrets: [B, C]\n    environment: {C: here}\n"
    shop = host(text, environ={"B": "secret", "C": "secret", "X": "unasked"}).apps["shop"]
    assert shop.env == {"A": "file", "B": "secret", "C": "here", "D": "${A}-more"}


def test_an_env_file_is_taken_as_it_is_and_nothing_of_this_machine_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As systemd takes an EnvironmentFile: a dollar sign is a dollar sign, in and out of quotes."""
    monkeypatch.setenv("LEAK", "of-this-machine")
    write("A=${LEAK}\nB='${LEAK}'\nC=\"${LEAK}\"\nD=$LEAK\nE=${NOT_SET}\nF=${NOT_SET:-else}\nG=pa$$word\n", "shop.env")
    shop = host(HOST + APP + "    env_file: shop.env\n").apps["shop"]
    assert shop.env == {
        "A": "${LEAK}",
        "B": "${LEAK}",
        "C": "${LEAK}",
        "D": "$LEAK",
        "E": "${NOT_SET}",
        "F": "${NOT_SET:-else}",
        "G": "pa$$word",
    }


def test_secrets_are_in_no_representation_and_no_error() -> None:
    secret = "hunter2-hunter2"
    write(f"A={secret}\n", "shop.env")
    environment = f"    environment: {{B: {secret}}}\n    env_file: shop.env\n    secrets: [C]\n"
    index = f"mirrors: {{index: 'https://user:{secret}@packages.example.com/simple'}}\n"
    loaded = inventory(HOST + APP + environment + index, {"C": secret})
    assert set(loaded.hosts["web1"].apps["shop"].env.values()) == {secret}
    assert secret not in repr(loaded)
    assert secret not in str(loaded)
    for wrong in (
        APP + f"    environment: {{B: [{secret}]}}\n",
        APP + f"    environment: {secret}\n",
        APP + f'    environment: {{B: "{secret}\\r"}}\n',
        APP + f"    environment: {{B: !{secret}}}\n",
        APP + f"    secrets: [C={secret}]\n",
        APP + f"    secrets: {{C: {secret}}}\n",
        APP + "    env_file: broken.env\n",
        APP.replace("https://git", f"'https://u:{secret}@ git").replace("shop.git", "shop.git'"),
        f"mirrors: {{index: '{secret}'}}\n",
        f"mirrors: {{index: [{secret}]}}\n",
    ):
        write(f"A=1\n{secret}\n", "broken.env")
        for line in errors(HOST + wrong):
            assert secret not in line


READ = {
    "A=b": "b",
    "A = b": "b",
    "export A=b": "b",
    "  A=b c  ": "b c",
    "A=": "",
    "A= # a comment": "",
    "A=''": "",
    'A=""': "",
    "A=b # a comment": "b",
    "A=b#c": "b#c",
    "A=#b": "#b",
    "A='b # c' # a comment": "b # c",
    'A="b # c" # a comment': "b # c",
    "A=b\\nc": "b\\nc",
    "A='b\\nc'": "b\\nc",
    'A="b\\nc"': "b\nc",
    'A="b\\tc\\\\d\\"e"': 'b\tc\\d"e',
    "A='it\\'s'": "it's",
    'A="pa\\$$word"': "pa\\$$word",
    "A='pa$$word'": "pa$$word",
    "A=it's": "it's",
    'A=b"c"': 'b"c"',
    "A=b=c": "b=c",
    'A="one\n two\n"': "one\n two\n",
    "A='one\n# two\n'": "one\n# two\n",
    "A=b\\\n": "b\\",
    "A=1\n#A=2\n\n ; A".replace(" ; A", ""): "1",
    "A=1\nA=2": "2",
    "\ufeffA=b": "b",
    "# shop\r\nA=b\r\nB='x'\r\n": "b",
    'A="one\r\ntwo"\r\n': "one\ntwo",
    "A=żółć": "żółć",
    "A='b'\t": "b",
}
"""What is written, and the value of A."""


@pytest.mark.parametrize(("written", "value"), READ.items(), ids=repr)
def test_an_env_file_is_read_as_the_manual_says(written: str, value: str) -> None:
    assert dotenv.variables(Path("shop.env"), written.encode())["A"] == value


def test_a_value_that_would_not_arrive_is_refused() -> None:
    assert dotenv.variable_value("x" * 130_000)
    for value, why in (
        ("x" * 130_001, "longer than 130 KB"),
        ("\udcff", "not UTF-8 text"),
        ("a\x00", "control character"),
    ):
        with pytest.raises(ValueError, match=why):
            dotenv.variable_value(value)


def test_a_line_of_an_env_file_that_is_none_is_refused_by_number() -> None:
    path = Path("shop.env").absolute()
    for content, message in (
        ("A=1\nnot a line\n", f"{path}:2: {NO_LINE}"),
        ("A=1\n\n\n  B\n", f"{path}:4: {NO_LINE}"),
        ("A=1\r\n\r\nB\r\n", f"{path}:3: {NO_LINE}"),
        ('A="1\n2\n', f"{path}:1: {NO_LINE}"),
        ("A='1'2\n", f"{path}:1: {NO_LINE}"),
        ('A="\\a"\n', f"{path}:1: {CONTROL}"),
        ("B=1\nA=\x1b[0m\n", f"{path}:2: {CONTROL}"),
        ("A-B=1\n", f"{path}:1: not the name of an environment variable; use letters, digits and _ only"),
        ("\n\nexport 1A=1\n", f"{path}:3: not the name of an environment variable; use letters, digits and _ only"),
        ("IFS=,\n", f"{path}:1: IFS is set by the shell itself; choose another name"),
        ("PROVISION_RELEASE=1\n", f"{path}:1: PROVISION_RELEASE is set by the toolkit itself; choose another name"),
    ):
        write(content, "shop.env")
        assert errors(HOST + APP + "    env_file: shop.env\n") == [f"prod.yml:9: apps.shop.env_file: {message}"]
