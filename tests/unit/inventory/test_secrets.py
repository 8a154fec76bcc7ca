"""Secrets in a file that age encrypts, and references to them: real keys, real encryption."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from provision.errors import InventoryError
from provision.inventory import age, load, references, secrets_file
from provision.inventory.explain import discreet
from provision.inventory.nodes import Node
from provision.inventory.problems import Location
from tests import pem
from tests.inventories import APP, HOST, errors, host, inventory, source, write

FILE, RECIPIENTS = Path("prod.secrets.yml.age"), Path("prod.recipients")
CANARY = "kanarienvogel-4711"


def ssh_key(name: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new SSH key in this test's home."""
    path = Path(os.environ["HOME"], ".ssh", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path], check=True)
    return path


@pytest.fixture
def key() -> Path:
    """The user's SSH key, which may read the secrets."""
    path = ssh_key("id_ed25519")
    RECIPIENTS.write_text(f"# the team\n\n{path.with_name(f'{path.name}.pub').read_text()}")
    return path


def refused(text: str) -> str:
    with pytest.raises(InventoryError) as caught:
        secrets_file.parse(text, FILE)
    return str(caught.value)


def files_with(text: str, folder: Path = Path()) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_what_is_written_for_an_ssh_key_is_read_with_it(kind: str) -> None:
    RECIPIENTS.write_text(ssh_key(f"id_{kind}", kind).with_suffix(".pub").read_text())
    text = f"A: {CANARY}\nB: |\n  one line\n  another\n"
    secrets_file.write(FILE, text)
    assert FILE.read_text().startswith("-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert secrets_file.read(FILE) == {"A": CANARY, "B": "one line\nanother\n"}
    assert files_with(CANARY) == []


def test_an_age_identity_reads_from_a_file_a_variable_or_the_default_place() -> None:
    identity = pyrage.x25519.Identity.generate()
    RECIPIENTS.write_text(f"{identity.to_public()}\n")
    Path("key.txt").write_text(f"# created: today\n{identity}\n")
    secrets_file.write(FILE, "A: hunter2\n", {age.KEY_FILE: "key.txt"})
    assert secrets_file.read(FILE, {age.KEY: str(identity)}) == {"A": "hunter2"}
    default = Path(age.DEFAULT_FILE).expanduser()
    default.parent.mkdir(parents=True)
    default.write_text(str(identity))
    assert secrets_file.read(FILE, {}) == {"A": "hunter2"}


def test_each_recipient_reads_and_one_that_was_removed_does_not_any_more(key: Path) -> None:
    other = pyrage.x25519.Identity.generate()
    mine = RECIPIENTS.read_text()
    RECIPIENTS.write_text(f"{mine}{other.to_public()}\n")
    secrets_file.write(FILE, "A: hunter2\n")
    assert pyrage.decrypt(FILE.read_bytes(), [other]) == b"A: hunter2\n"
    RECIPIENTS.write_text(mine)
    secrets_file.write(FILE, age.decrypt(FILE))
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(FILE.read_bytes(), [other])
    assert secrets_file.read(FILE) == {"A": "hunter2"}


def test_without_a_key_that_opens_it_the_error_says_what_was_tried(key: Path) -> None:
    secrets_file.write(FILE, "A: hunter2\n")
    for each in (key, key.with_suffix(".pub")):
        each.unlink()
    ask = "let someone who can read it add your public key to prod.recipients and run `invoke secrets.rekey`"
    none = "none of your keys opens it (there are none: no PROVISION_AGE_KEY_FILE, ~/.config/provision/age.txt or"
    with pytest.raises(InventoryError) as caught:
        secrets_file.read(FILE, {})
    assert str(caught.value) == f"{FILE}: {none} ~/.ssh/id_ed25519); {ask}"
    ssh_key("id_ed25519")
    ssh_key("id_rsa", "rsa", "locked")
    tried = "tried: ~/.ssh/id_ed25519, ~/.ssh/id_rsa, whose passphrase can be asked for on a terminal only"
    with pytest.raises(InventoryError) as caught:
        secrets_file.read(FILE, {})
    assert str(caught.value) == f"{FILE}: none of your keys opens it ({tried}); {ask}"


def test_the_passphrase_of_an_ssh_key_is_asked_for_on_a_terminal(monkeypatch: pytest.MonkeyPatch, key: Path) -> None:
    secrets_file.write(FILE, "A: hunter2\n")
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "opensesame", "-f", key], check=True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    answers = {"passphrase of ~/.ssh/id_ed25519: ": "opensesame"}
    monkeypatch.setattr("getpass.getpass", answers.__getitem__)
    assert secrets_file.read(FILE, {}) == {"A": "hunter2"}
    age._unlocked.cache_clear()
    monkeypatch.setattr("getpass.getpass", lambda prompt: "wrong")
    with pytest.raises(InventoryError, match=r"^~/.ssh/id_ed25519: the passphrase is not the right one; try again$"):
        secrets_file.read(FILE, {})


@pytest.mark.parametrize("damage", ["flip", "cut", "garbage", "empty"])
def test_a_file_that_was_tampered_with_is_one_line(damage: str, key: Path) -> None:
    secrets_file.write(FILE, f"A: {CANARY}\n")
    lines = FILE.read_text().splitlines()
    body = lines[-2]
    flipped = [*lines[:-2], ("B" if body[0] != "B" else "C") + body[1:], lines[-1]]
    contents = {"flip": "\n".join(flipped) + "\n", "cut": "\n".join(lines[:4]), "garbage": CANARY, "empty": ""}
    FILE.write_text(contents[damage])
    with pytest.raises(InventoryError) as caught:
        secrets_file.read(FILE)
    assert str(caught.value) == f"{FILE}: damaged, or not encrypted with age; get it from Git again"


def test_secrets_are_not_written_for_nobody_and_not_away_from_who_writes_them(key: Path) -> None:
    secrets_file.write(FILE, "A: hunter2\n")
    before = FILE.read_bytes()
    cases = {
        "": "prod.recipients: no public key in it; write one a line (age1..., ssh-ed25519 ...)",
        "# none\nnonsense\n": "prod.recipients:2: not a public key that age knows; write one that begins with age1,"
        " ssh-ed25519 or ssh-rsa",
        f"{pyrage.x25519.Identity.generate().to_public()}\n": "prod.recipients: none of your keys is in it, so you could not"
        " read the secrets again; add yours",
    }
    for content, message in cases.items():
        RECIPIENTS.write_text(content)
        with pytest.raises(InventoryError) as caught:
            secrets_file.write(FILE, "A: hunter3\n")
        assert str(caught.value) == message
    RECIPIENTS.unlink()
    with pytest.raises(InventoryError, match=r"cp ~/.ssh/id_ed25519.pub prod.recipients$"):
        secrets_file.write(FILE, "A: hunter3\n")
    assert FILE.read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["home", FILE.name]


SHORT = "fewer than 4 characters, which cannot be hidden in what is printed; make it longer"
YAML = 'not YAML; write NAME: value, and quote a value that has ": ", "#" or quotes in it'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"- {CANARY}\n", "not a mapping; write NAME: value, one a line"),
        (f"{{A: {CANARY}}}\n", "not a mapping; write NAME: value, one a line"),
        (
            f"A: 1234\n{CANARY}: x\n",
            "line 2: not a name and a value; write NAME: value, the name of letters, digits and _",
        ),
        (f"A: {CANARY}\nA: {CANARY}\n", "line 2: A is written twice; keep one"),
        (f"A: [{CANARY}]\n", "line 1: the value of A is not text; quote it"),
        (f"A: !x {CANARY}\n", "line 1: the value of A is not text; quote it"),
        ("\nPIN: 123\n", f"line 2: PIN has {SHORT}"),
        ("A:\n", f"line 1: A has {SHORT}"),
        (f"A: {CANARY}: x\n", f"line 1: {YAML}"),
        (f"A: *{CANARY}\n", f"line 1: {YAML}"),
        (
            f'A: "{CANARY}\\e"\n',
            "line 1: A: the value has a control character other than tab and newline; encode it, for example as base64",
        ),
    ],
)
def test_what_is_not_names_and_values_is_refused_by_line_and_quotes_nothing(text: str, message: str) -> None:
    assert refused(text) == f"{FILE}: {message}"


def test_a_value_is_text_as_it_is_written() -> None:
    assert secrets_file.parse("A: 007.10\nB: true\nC: 'a bc'\n", FILE) == {"A": "007.10", "B": "true", "C": "a bc"}


@pytest.mark.parametrize("value", ["hunter3", 'quote"d \\ # : x', "one\ntwo\n", "żółć 🐤", "  blanks  "])
def test_one_secret_is_set_and_the_rest_stays(value: str) -> None:
    text = "# ours\nA: hunter2 # of the shop\nB: |\n  one\n  two\n# end\nC: hunter2"
    for name in "ABCD":
        new = secrets_file.changed(text, FILE, name, value)
        before = secrets_file.parse(text, FILE)
        assert secrets_file.parse(new, FILE) == {**before, name: value}
        assert [line for line in new.splitlines() if line.startswith("#")] == ["# ours", "# end"]


SETTINGS = """\
    secrets: [TOKEN]
    environment:
      URL: !secret DATABASE_URL
      HERE: !env FROM_HERE
      PRINTED: !command [printf, 'from-a-%s\\n', command]
tls: {email: !secret EMAIL}
"""
STORED = "DATABASE_URL: postgresql://db\nEMAIL: ops@example.com\nTOKEN: of-the-file\nUNUSED: unused\n"


def test_references_lead_to_the_file_the_environment_and_a_command(key: Path) -> None:
    secrets_file.write(FILE, STORED)
    found = host(HOST + APP + SETTINGS, environ={"FROM_HERE": "of-the-environment", "TOKEN": "not-this-one"})
    assert found.apps["shop"].env == {
        "TOKEN": "of-the-file",
        "URL": "postgresql://db",
        "HERE": "of-the-environment",
        "PRINTED": "from-a-command",
    }
    assert found.tls.email == "ops@example.com"
    assert found.hidden == {"postgresql://db", "of-the-environment", "from-a-command", "ops@example.com"}
    for value in found.hidden - {"ops@example.com"}:
        assert value not in repr(found)


def test_an_including_file_overrides_the_secrets_of_what_it_includes(key: Path) -> None:
    text = "A: of-common\nB: of-common\n"
    Path("common.recipients").write_text(RECIPIENTS.read_text())
    secrets_file.write(Path("common.secrets.yml.age"), text)
    secrets_file.write(FILE, "A: of-prod\n")
    write(APP + "    environment: {X: !secret A}\n    secrets: [B]\n", "common.yml")
    assert host("include: common.yml\n" + HOST).apps["shop"].env == {"X": "of-prod", "B": "of-common"}


def test_what_is_overridden_is_not_asked_for() -> None:
    text = APP + "    environment: {A: !secret NONE, B: !env NONE, C: !command [false]}\n"
    over = "    apps: {shop: {environment: {A: a, B: b, C: c}}}\n"
    assert host(text + HOST + over).apps["shop"].env == {"A": "a", "B": "b", "C": "c"}


def test_a_command_runs_once_for_all_that_refer_to_it() -> None:
    command = "!command [sh, -c, 'echo x >>ran; echo printed']"
    text = APP + f"    environment: {{A: {command}, B: {command}}}\n" + HOST + "  web2: 203.0.113.11\n"
    assert inventory(text).hosts["web2"].apps["shop"].env == {"A": "printed", "B": "printed"}
    assert Path("ran").read_text() == "x\n"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!secret DATABASE_ULR", 'there is no DATABASE_ULR in prod.secrets.yml.age; did you mean "DATABASE_URL"?'),
        ("!secret OTHER", "there is no OTHER in prod.secrets.yml.age; add it with `invoke secrets.set --key OTHER`"),
        ("!env OTHER", "OTHER is not set in the environment of this machine; export OTHER=..."),
        ("!env PIN", f"the value of !env PIN has {SHORT}"),
        (f"!secret {CANARY}", "after !secret comes a name, such as !secret DB_PASSWORD"),
        (f"!env [{CANARY}]", "after !env comes a name, such as !env DB_PASSWORD"),
        (f"!command {CANARY}", "after !command comes a list of words, such as !command [pass, show, shop/db]"),
        ("!command []", "after !command comes a list of words, such as !command [pass, show, shop/db]"),
        (f"!command [sh, -c, 'echo {CANARY}; echo {CANARY} >&2; exit 3']",
         "the command sh failed (exit status 3); run it by itself to see why"),
        (f"!command [/none, {CANARY}]", "the command /none cannot be run; install it, or correct its name"),
        ("!command [printf, '\\377']", "the command printf printed what is not UTF-8 text; let it print text"),
        ("!command [echo, abc]", f"the value of !command echo has {SHORT}"),
        ("!command [sleep, 5]", "the command sleep has not ended after 0.2 seconds; run it by itself to see why"),
    ],
)  # fmt: skip
def test_a_reference_to_nothing_is_one_line(
    value: str, message: str, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "COMMAND_SECONDS", 0.2)
    secrets_file.write(FILE, STORED)
    text = HOST + APP + f"    environment:\n      URL: {value}\n"
    assert errors(text, {"PIN": "123"}) == [f"prod.yml:10: apps.shop.environment.URL: {message}"]


def test_without_a_file_the_error_says_how_to_begin() -> None:
    why = "there is no A, because there is no file prod.secrets.yml.age; add it with `invoke secrets.set --key A`"
    assert errors(HOST + APP + "    environment: {A: !secret A}\n") == [f"prod.yml:9: apps.shop.environment.A: {why}"]


def test_a_name_in_secrets_that_is_nowhere_is_one_line(key: Path) -> None:
    secrets_file.write(FILE, STORED)
    where = "prod.yml:9: apps.shop.secrets[0]"
    near = 'TOKN is neither in prod.secrets.yml.age nor set in the environment of this machine; did you mean "TOKEN"?'
    assert errors(HOST + APP + "    secrets: [TOKN]\n") == [f"{where}: {near}"]


@pytest.mark.parametrize(
    "setting",
    ["timezone: !env X", "port: !env X", "agent: !env X", "roles: !env X", "user: !env X", "packages: [!env X]",
     "tls: {issuer: !env X}", "tls: !env X", "apps: !env X", "locale: !env X", "proxy_jump: !env X",
     "apps: {shop: {source: !env X}}", "apps: {shop: {static: !env X}}", "apps: {shop: {environment: !env X}}",
     "apps: {shop: {processes: {worker: !env X}}}", "rollout: {batch: !env X}", "mirrors: {index: !env X}"],
)  # fmt: skip
def test_no_error_repeats_a_value_that_was_referred_to(setting: str) -> None:
    secret = "Kanarien vogel\n4711"
    found = errors(HOST + f"    {setting}\n" + APP, {"X": secret})
    assert found
    assert all(line.startswith("prod.yml:") for line in found)
    assert not any(word in line for line in found for word in ("anarien", "vogel", "4711"))


def test_an_error_that_has_a_part_of_a_secret_is_left_out_as_a_whole() -> None:
    node = Node(Location(Path("prod.yml"), 1, "user"), CANARY, CANARY, "!secret USER")
    whole = "the value of !secret USER cannot stand here; docs/inventory.md says what can"
    assert discreet('"KANARIEN" is not a user name', node, (), frozenset({CANARY})) == whole
    assert discreet("not a user name", node, (), frozenset({CANARY})) == "not a user name"


def test_two_apps_with_one_secret_domain_are_one_line_without_it() -> None:
    two = APP + APP.replace("apps:\n", "").replace("shop", "blog")
    text = HOST + two.replace("[shop.example.com]", "[!env X]").replace("[blog.example.com]", "[!env X]")
    found = errors(text, {"X": "hidden.example.org"})
    assert found
    assert not any("hidden" in line for line in found)


def test_the_path_of_a_file_is_no_secret() -> None:
    why = "!secret A is a value, and this is the path of a file; write the path"
    assert errors(HOST + "    key: !secret A\n") == [f"prod.yml:4: hosts.web1.key: {why}"]


def test_a_secret_may_stand_in_place_of_a_files_content(key: Path) -> None:
    folder = Path("tls")
    folder.mkdir()
    pem.write(folder, "shop", "shop.example.com")
    chain, private = ((folder / f"shop.{end}").read_text() for end in ("pem", "key"))
    deploy_key = key.read_text()
    (folder / "shop.key").unlink()
    text = ""
    for name, value in {"TLS_KEY": private, "DEPLOY": deploy_key, "DOTENV": f"A={CANARY}\nB=2"}.items():
        text = secrets_file.changed(text, FILE, name, value.removesuffix("\n"))
    secrets_file.write(FILE, text)
    tls = "tls: {issuer: files, certificate: !command [cat, tls/shop.pem], key: !secret TLS_KEY}\n"
    app = source("deploy_key: !secret DEPLOY").replace(HOST, "    env_file: !secret DOTENV\n")
    found = host(HOST + app + tls)
    shop = found.apps["shop"]
    assert (found.tls.chain, found.tls.private_key) == (chain, private)
    assert (shop.source.private_key, shop.env) == (deploy_key, {"A": CANARY, "B": "2"})
    assert found.hidden == frozenset()


def test_what_stands_in_place_of_a_file_and_cannot_is_refused_without_it(key: Path) -> None:
    secrets_file.write(FILE, f"A: {CANARY}\n")
    assert errors(HOST + APP + "    env_file: !secret A\n") == [
        "prod.yml:9: apps.shop.env_file: !secret A:1: not NAME=value; correct that line, and quote a value of several lines"
    ]
    assert errors(source("deploy_key: !secret A")) == [
        "prod.yml:3: apps.shop.source.deploy_key: !secret A is not a private key; name the file without .pub, or write generate"
    ]


def test_an_inventory_without_references_opens_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    FILE.write_text("not even encrypted")
    assert load(write(HOST + APP), {}).hosts["web1"].hidden == frozenset()
