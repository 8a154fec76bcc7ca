"""invoke secrets.edit, show, set, rekey, as a user types them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provision.inventory import age, secrets_file

FILE = Path("inventories/prod.secrets.yml.age")
CANARY = "kanarienvogel-4711"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an inventory, and a user who may read its secrets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VISUAL", raising=False)
    (tmp_path / "home/.ssh").mkdir(parents=True)
    key = tmp_path / "home/.ssh/id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "tasks.py").write_text("from provision.tasks import namespace\n")
    (tmp_path / "inventories").mkdir()
    # The inventory refers to a secret that is not there yet: the tasks do not load it.
    (tmp_path / "inventories/prod.yml").write_text("hosts: {web1: {address: !secret ADDRESS}}\n")
    (tmp_path / "inventories/prod.recipients").write_text(key.with_suffix(".pub").read_text())
    return tmp_path


def invoke(*words: str, given: str = "", editor: str = "") -> subprocess.CompletedProcess[str]:
    if editor:
        Path("editor").write_text(f"#!/bin/sh\n{editor}\n")
        Path("editor").chmod(0o755)
    return subprocess.run(
        (sys.executable, "-m", "invoke", *words),
        input=given,
        env={**os.environ, "EDITOR": str(Path("editor").absolute())},
        capture_output=True,
        text=True,
        timeout=60,
    )


def in_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("provision-*")}


def test_a_secret_is_set_from_standard_input_listed_and_revealed() -> None:
    ran = invoke("secrets.set", "--key", "TOKEN", "--host", "prod", given=f"{CANARY}\n")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"TOKEN is set in {FILE}\n", "")
    invoke("secrets.set", "--key", "PEM", "--host", "web1", given="first line\nsecond\n\n")
    assert secrets_file.read(FILE) == {"TOKEN": CANARY, "PEM": "first line\nsecond\n"}
    assert invoke("secrets.show", "--host", "prod").stdout == "TOKEN\nPEM\n"
    revealed = f"TOKEN: '{CANARY}'\nPEM: 'first line\\nsecond\\n'\n"
    assert invoke("secrets.show", "--host", "prod", "--reveal").stdout == revealed
    assert invoke("secrets.show", "--host", "prod", "--key", "TOKEN", "--reveal").stdout == f"{CANARY}\n"
    assert not [path for path in Path().rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def test_what_cannot_be_done_is_one_line(project: Path) -> None:
    secrets_file.write(FILE, f"TOKEN: {CANARY}\n")
    before = FILE.read_bytes()
    for words, said in {
        ("secrets.show",): "whose secrets? add --host NAME: an inventory, or a group or host in one",
        (
            "secrets.set",
            "--host",
            "prod",
        ): "which secret? add --key NAME; its value is asked for, or read from standard input",
        (
            "secrets.set",
            "--key",
            "PIN",
            "--host",
            "prod",
        ): "PIN has fewer than 4 characters, which cannot be hidden in what is printed; make it longer",
        (
            "secrets.set",
            "--key",
            "A-B",
            "--host",
            "prod",
        ): "A-B: not the name of an environment variable; use letters, digits and _ only",
        ("secrets.show", "--key", "TOKN", "--host", "prod"): f'{FILE} has no TOKN; did you mean "TOKEN"?',
        ("secrets.show", "--inventory", "none.yml"): "none.yml: there is no such file; correct the path",
    }.items():
        ran = invoke(*words, given="123")
        assert (words, ran.returncode, ran.stdout + ran.stderr) == (words, 1, f"{said}\n")
    assert FILE.read_bytes() == before


def test_a_value_that_is_no_text_is_one_line() -> None:
    ran = subprocess.run(
        (sys.executable, "-m", "invoke", "secrets.set", "--key", "TOKEN", "--host", "prod"),
        input=b"\xff\xfe binary",
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=60,
    )
    said = b"the value is not UTF-8 text; encode it, for example as base64\n"
    assert (ran.returncode, ran.stdout, ran.stderr.removeprefix(b"TOKEN: ")) == (1, b"", said)


def test_without_recipients_nothing_is_asked_and_the_error_says_how_to_begin() -> None:
    Path("inventories/prod.recipients").unlink()
    ran = invoke("secrets.edit", "--host", "prod", editor="touch ran")
    assert (ran.returncode, ran.stderr) == (
        1,
        "inventories/prod.recipients: there is no such file of public keys; begin with your own:"
        " cp ~/.ssh/id_ed25519.pub inventories/prod.recipients\n",
    )
    assert not Path("ran").exists()


def test_what_the_editor_leaves_is_encrypted_and_nothing_else_of_it_is_left() -> None:
    before = in_memory()
    editor = (
        f'stat -c "%a %n" "$1" >seen; cat "$1" >>seen; cp "$1" "$1~"; printf "TOKEN: {CANARY}\\n" >>"$1"; rm editor'
    )
    ran = invoke("secrets.edit", "--host", "prod", editor=editor)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{FILE} is written\n", "")
    assert secrets_file.read(FILE) == {"TOKEN": CANARY}
    assert Path("seen").read_text().startswith("600 /dev/shm/provision-")
    assert in_memory() == before
    assert not [path for path in Path().rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def test_an_editor_that_changes_nothing_writes_nothing() -> None:
    secrets_file.write(FILE, f"TOKEN: {CANARY}\n")
    before = FILE.read_bytes()
    ran = invoke("secrets.edit", "--host", "prod", editor="true")
    assert (ran.returncode, ran.stdout) == (0, f"{FILE} was not changed\n")
    assert FILE.read_bytes() == before


@pytest.mark.parametrize(
    ("editor", "said"),
    [
        ("exit 3", "the editor {editor} failed (exit status 3); nothing was changed"),
        (f'echo "A: {CANARY}: x" >"$1"', f"{FILE}: line 1: not YAML; write NAME: value, and quote a value that has \": \","
         f' "#" or quotes in it; {FILE} is as it was'),
        ('rm "$1"', f"the editor left no UTF-8 text; {FILE} is as it was"),
    ],
)  # fmt: skip
def test_an_editor_that_fails_or_leaves_bad_yaml_changes_nothing(editor: str, said: str) -> None:
    secrets_file.write(FILE, f"TOKEN: {CANARY}\n")
    before, memory = FILE.read_bytes(), in_memory()
    ran = invoke("secrets.edit", "--host", "prod", editor=editor)
    assert (ran.returncode, ran.stderr) == (1, said.format(editor=Path("editor").absolute()) + "\n")
    assert FILE.read_bytes() == before
    assert in_memory() == memory


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_decrypted_is_gone_after_a_signal(number: int) -> None:
    secrets_file.write(FILE, f"TOKEN: {CANARY}\n")
    memory = in_memory()
    Path("editor").write_text("#!/bin/sh\ntouch open\nexec sleep 30\n")
    Path("editor").chmod(0o755)
    task = subprocess.Popen(
        # A process in the background of a shell ignores SIGINT, and so do its children.
        ("env", "--default-signal=INT", sys.executable, "-m", "invoke", "secrets.edit", "--host", "prod"),
        env={**os.environ, "EDITOR": str(Path("editor").absolute())},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not Path("open").exists():
        assert task.poll() is None
        time.sleep(0.05)
    assert in_memory() != memory
    os.killpg(task.pid, number)
    assert task.wait(20) != 0
    assert in_memory() == memory
    assert secrets_file.read(FILE) == {"TOKEN": CANARY}


def test_rekey_encrypts_for_the_recipients_as_they_are_now(project: Path) -> None:
    secrets_file.write(FILE, f"TOKEN: {CANARY}\n")
    other = project / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    with Path("inventories/prod.recipients").open("a") as recipients:
        recipients.write(other.with_suffix(".pub").read_text())
    ran = invoke("secrets.rekey", "--host", "prod")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"{FILE} is encrypted for the keys in inventories/prod.recipients")
    other.rename(project / "home/.ssh/id_ed25519")
    assert age.decrypt(FILE) == f"TOKEN: {CANARY}\n"
