from __future__ import annotations

import base64
import html
import json
import subprocess
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from provision.controller.redact import Mask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.inventory import Host

INVENTORY = """\
hosts: {web1: 203.0.113.10}
mirrors: {index: "https://reader:index-password@packages.example.com/simple"}
apps:
  shop:
    source: https://git.example.com/shop.git
    module: shop.main:app
    domains: [shop.example.com]
    env_file: shop.env
    secrets: [FROM_HERE]
    environment:
      LOG_LEVEL: debugging
      DATABASE_URL: postgresql://shop:database-password@db.example.com/shop
      API_TOKEN: a-token-in-the-inventory
"""


@pytest.fixture
def mask(make_host: Callable[..., Host], tmp_path: Path) -> Mask:
    (tmp_path / "shop.env").write_text(
        "FROM_FILE=file.value+with(signs)\nLONGER=file.value+with(signs)-and-more\nPIN=123\nPEM='one-line-of-a-key\nanother-line'\n"
    )
    return Mask(make_host(INVENTORY, {"FROM_HERE": "value-from-here"}))


@pytest.mark.parametrize(
    "secret",
    [
        "file.value+with(signs)",
        "file.value+with(signs)-and-more",
        "value-from-here",
        "one-line-of-a-key",
        "another-line",
        "database-password",
        "a-token-in-the-inventory",
        "index-password",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(secret: str, mask: Mask) -> None:
    assert mask(f"before {secret}, and {secret}after") == "before ********, and ********after"


@pytest.mark.parametrize(
    "text", ["", "debugging", "shop.example.com", "postgresql://shop", "db.example.com", "123", "FROM_FILE"]
)
def test_what_is_no_secret_stays(text: str, mask: Mask) -> None:
    assert mask(text) == text


def test_what_an_env_file_has_under_an_ordinary_name_stays_in_plans_if_it_is_short(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "shop.env").write_text("LEVEL=info\nLONG=a-long-value\nA_TOKEN=tok1\n")
    host = make_host(INVENTORY, {"FROM_HERE": "here"})
    text = "info a-long-value tok1 here"
    assert Mask(host)(text) == "******** ******** ******** ********"
    assert Mask(host, for_plans=True)(text) == "info ******** ******** ********"


REFERRED = INVENTORY.replace("    env_file: shop.env\n", "").replace("LOG_LEVEL: debugging", "LOG_LEVEL: !env LEVEL")


def test_a_value_that_was_referred_to_is_hidden_under_any_name(make_host: Callable[..., Host]) -> None:
    mask = Mask(make_host(REFERRED, {"FROM_HERE": "value-from-here", "LEVEL": "kanarienvogel"}))
    assert mask("a kanarienvogel b") == "a ******** b"


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "Basic "])
@pytest.mark.parametrize("after", ["", "@", "@h", "@host"])
def test_a_secret_inside_of_what_is_encoded_is_hidden(before: str, after: str, make_host: Callable[..., Host]) -> None:
    secret = "kanarienvogel-4711"
    mask = Mask(make_host(REFERRED, {"FROM_HERE": "value-from-here", "LEVEL": secret}))
    encoded = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    shown = mask(encoded)
    assert "********" in shown
    left = shown.replace("********", "")
    assert len(left) <= len(before + after) * 4 / 3 + 6


def test_what_a_line_with_a_secret_replaces_is_hidden_in_a_diff(make_host: Callable[..., Host]) -> None:
    mask = Mask(make_host(REFERRED, {"FROM_HERE": "value-from-here", "LEVEL": "kanarienvogel"}))
    head = "--- /etc/a\n+++ /etc/a\n"
    text = head + "@@ -1 +1 @@\n-token old-one;\n+token kanarienvogel;\n@@ -9 +9 @@\n-old\n+new"
    assert mask.diff(text) == head + "@@ -1 +1 @@\n-********\n+token ********;\n@@ -9 +9 @@\n-old\n+new"
    assert mask.diff(head + "@@ -1 +1 @@\n-old\n+new") == head + "@@ -1 +1 @@\n-old\n+new"


def test_a_host_without_secrets_masks_nothing(make_host: Callable[..., Host]) -> None:
    assert Mask(make_host())("hello, any text") == "hello, any text"


def test_a_private_key_is_hidden_line_by_line(make_host: Callable[..., Host], tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    text = INVENTORY.replace("https://git.example.com/shop.git", "{repository: 'git@h:s', deploy_key: key}")
    (tmp_path / "shop.env").touch()
    mask = Mask(make_host(text, {"FROM_HERE": "value-from-here"}))
    lines = (tmp_path / "key").read_text().splitlines()[1:-1]
    assert {mask(line) for line in lines if len(line) >= 16} == {"********"}


@pytest.mark.parametrize(
    ("index", "secrets"),
    [
        ("https://reader:p%40ss%2Fword@packages.example.com/simple", ["p%40ss%2Fword", "p@ss/word"]),
        ("https://a-token-alone@packages.example.com/simple", ["a-token-alone"]),
        ("https://a-token-alone:@packages.example.com/simple", ["a-token-alone"]),
    ],
)
def test_the_password_of_an_index_is_hidden_as_written_and_as_meant(
    make_host: Callable[..., Host], index: str, secrets: list[str]
) -> None:
    mask = Mask(make_host(f'hosts: {{web1: 203.0.113.10}}\nmirrors: {{index: "{index}"}}\n'))
    for secret in secrets:
        assert mask(f"before {secret}after") == "before ********after"


@pytest.mark.parametrize(
    "spelled",
    [
        repr,
        json.dumps,
        lambda value: urllib.parse.quote(value, safe=""),
        lambda value: repr(value.encode()),
        html.escape,
    ],
)
def test_a_secret_is_hidden_however_a_program_writes_it(
    spelled: Callable[[str], str], make_host: Callable[..., Host]
) -> None:
    secret = "quo\"te'd\\and\u00e9 <&>\nsecond line"
    mask = Mask(make_host(INVENTORY.replace("    env_file: shop.env\n", ""), {"FROM_HERE": secret}))
    shown = mask(spelled(secret))
    assert "********" in shown
    assert "second" not in shown
