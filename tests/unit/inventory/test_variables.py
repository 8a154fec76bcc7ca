"""An app's environment variables, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.inventories import APP, HOST, errors, host, inventory, write

if TYPE_CHECKING:
    import pytest


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
        APP + f'    environment: {{B: "{secret}\\n"}}\n',
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


def test_a_line_of_an_env_file_that_is_none_is_refused_by_number() -> None:
    path = Path("shop.env").absolute()
    for content, message in (
        ("A=1\nnot a line\n", f"line 2 of {path} is not NAME=value; correct that line"),
        ("A=1\nB\n", f"line 2 of {path} is not NAME=value; correct that line"),
        (
            'A="1\n2"\n',
            f"line 1 of {path}: the value has a line break or a NUL; put it in one line, for example as base64",
        ),
        (
            "A-B=1\n",
            f"line 1 of {path}: not the name of an environment variable; use letters, digits and _ only",
        ),
    ):
        write(content, "shop.env")
        assert errors(HOST + APP + "    env_file: shop.env\n") == [f"prod.yml:9: apps.shop.env_file: {message}"]
