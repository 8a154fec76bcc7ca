"""Files of logins for package indexes and Git servers."""

from pathlib import Path

import pytest

from provision.controller.redact import Mask
from provision.inventory import TLS, App, Host, Mirrors, Source
from provision.inventory.netrc import logins, passwords

TEXT = b"# for the build\nmachine a.example.com\n  login jo\n  password p@ss/1\ndefault login me password other1\n"


def test_each_login_is_a_line() -> None:
    found = logins(Path("netrc"), TEXT)
    assert found == ("machine a.example.com login jo password p@ss/1\ndefault login me password other1\n")
    assert passwords(found) == {"p@ss/1", "other1"}
    assert passwords("") == set()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "netrc has no logins"),
        (b"https://example.com\n", "is not a netrc file"),
        (b"\xff\xfe", "is not a netrc file"),
    ],
)
def test_what_is_none_is_refused_in_one_line(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        logins(Path("netrc"), text)
    assert str(raised.value).endswith("write lines: machine HOST login USER password PASSWORD")
    assert "\n" not in str(raised.value)


def test_passwords_are_hidden_from_output() -> None:
    app = App.model_construct(netrc_text=logins(Path("netrc"), TEXT), source=Source.model_construct())
    mask = Mask(Host.model_construct(apps={"shop": app}, tls=TLS.model_construct(), mirrors=Mirrors.model_construct()))
    assert mask("said p@ss/1 and other1") == "said ******** and ********"


@pytest.mark.parametrize("login", [b'login u password "p q"', b"password p", b"login u"])
def test_a_login_that_netrc_readers_would_take_for_another_is_refused(login: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"^logins has a login for a\.test that is empty or has a space in it"
    ) as raised:
        logins(Path("logins"), b"machine a.test " + login + b"\n")
    assert "p q" not in str(raised.value)
