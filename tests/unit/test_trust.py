from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from provision.engine.resource import State
from provision.resources.trust import FOLDER, TrustedCertificates

if TYPE_CHECKING:
    from collections.abc import Callable


ONE, TWO = (f"-----BEGIN{part}" for part in Path(__file__).with_name("ca.pem").read_text().split("-----BEGIN")[1:])


def name(certificate: str) -> str:
    return f"provision-{hashlib.sha256(certificate.encode()).hexdigest()}.crt"


def file(certificate: str, trusted: str = "yes") -> dict[str, str]:
    return {"name": name(certificate), "trusted": trusted}


def test_each_certificate_is_written_to_a_file_of_its_own_and_the_rest_goes() -> None:
    change = TrustedCertificates((ONE, TWO)).plan(State.of(file(ONE), {"name": "provision.crt", "trusted": "no"}), {})
    assert change is not None
    assert change.summary == "certificate authorities: trust 1 of mirrors.ca_bundle, trust 1 no longer"
    assert f"put {FOLDER}/{name(TWO)} root root 644" in change.script
    assert f"put {FOLDER}/{name(ONE)}" not in change.script
    assert change.script.endswith(f"trust_only {name(ONE)} {name(TWO)}")


def test_what_is_trusted_is_right_and_what_is_there_but_not_trusted_is_not() -> None:
    state = State.of(file(ONE), file(TWO))
    assert TrustedCertificates((TWO, ONE)).plan(state, {}) is None
    assert TrustedCertificates((ONE, TWO)).plan(State.of(file(ONE), file(TWO, "no")), {})
    assert TrustedCertificates(()).plan(State(), {}) is None


def test_without_a_bundle_what_an_earlier_one_brought_is_trusted_no_longer() -> None:
    change = TrustedCertificates(()).plan(State.of(file(ONE)), {})
    assert change is not None
    assert (change.summary, change.script) == ("certificate authorities: trust 1 no longer", "trust_only")


def test_the_probe_knows_whether_programs_find_a_certificate(
    tmp_path: Path, observe: Callable[..., tuple[State, ...]]
) -> None:
    own, system = tmp_path / FOLDER.lstrip("/"), tmp_path / "etc/ssl/certs"
    wanted = TrustedCertificates((ONE, TWO))
    own.mkdir(parents=True)
    system.mkdir(parents=True)
    assert observe(wanted) == ((),)
    for certificate in (ONE, TWO):
        (own / name(certificate)).write_text(certificate)
    (own / "provision.crt").write_text(ONE)
    (system / "ca-certificates.crt").write_text(ONE)
    files = [*sorted((name(ONE), name(TWO))), "provision.crt"]
    assert observe(wanted) == (State.of(*({"name": each, "trusted": "no"} for each in files)),)
    (system / "one.pem").symlink_to(own / name(ONE))
    subprocess.run(["openssl", "rehash", system], check=True)
    assert observe(wanted) == (
        State.of(*({"name": each, "trusted": "yes" if each == name(ONE) else "no"} for each in files)),
    )
    (own / name(ONE)).write_text(f"{ONE}# edited\n")
    assert "yes" not in observe(wanted)[0].all("trusted")
