"""Independent scanners look at a hardened lab server, and print the table of docs/security.md.

    make audit [SUITE=bookworm]

The first server is made bare, and gets the sample app and all of `hardening`. The second one, a Debian 13, is where nmap and testssl.sh
run. Exit status 1 if a scanner finds more than it may.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.exposure import LIMIT, exposures
from provision import lab
from provision.lab import network

ROOT = Path(__file__).parents[1]
LAB = ROOT / ".lab"
AUDITED = ROOT / "benchmarks/audited.yml"
SECONDS = 1800
SIX = "fd00:213::{}"
LYNIS = 85
# What the server is for, in nmap's words.
OPEN = ["22", "80", "443"]
OURS = ("/sites-enabled/", "/provision/")


@dataclass(frozen=True)
class Figure:
    """What a scanner found: the command, its result, and whether that is good enough."""

    command: str
    result: str
    good: bool


@dataclass(frozen=True)
class Scanned:
    """The server that is scanned, the one that scans, and the folder of the scanners' programs."""

    server: str
    scanner: str
    programs: Path

    @property
    def address(self) -> str:
        return network.address(int(self.server.removeprefix("lab")))

    @property
    def six(self) -> str:
        return SIX.format(self.server.removeprefix("lab"))

    @property
    def domain(self) -> str:
        return f"sample.{self.server}.test"


def inside(name: str, command: str) -> str:
    """What a command prints in a lab server; it must succeed."""
    done = lab.shell(name, command)
    if done.returncode:
        raise SystemExit(f"{name}: {command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def program(*words: object) -> str:
    """What a program on this machine prints, whatever its exit status."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=SECONDS, check=False)
    return done.stdout + done.stderr


def hardened(server: str, python: str) -> None:
    """The server with the sample app and all of `hardening`."""
    text = (ROOT / "inventories/lab.yml").read_text().replace("../.lab/", f"{LAB}/")
    text = text.replace('python: "3.13.5"', f'python: "{python}"')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "audit.yml")
        path.write_text(f"{text}{AUDITED.read_text().replace('USER', 'admin')}")
        words = (sys.executable, "-m", "invoke", "deploy", "--host", server, "--inventory", str(path))
        subprocess.run(words, check=True, cwd=ROOT, timeout=SECONDS, stdin=subprocess.DEVNULL)


def ssh_audit(at: Scanned) -> Figure:
    said = program(at.programs / "ssh-audit", "-n", at.address)
    failures, warnings = said.count("[fail]"), said.count("[warn]")
    return Figure(
        "ssh-audit ADDRESS",
        f"{failures} failures, {warnings} warnings",
        "(gen) banner" in said and not failures + warnings,
    )


def sslyze(at: Scanned) -> Figure:
    said = program(
        at.programs / "sslyze",
        "--mozilla_config=intermediate",
        f"--certinfo_ca_file={LAB}/acme-root.pem",
        f"{at.domain}:443" + "{" + at.address + "}",
    )
    good = f"{at.domain}:443: OK - Compliant" in said
    return Figure("sslyze --mozilla_config intermediate DOMAIN", "compliant" if good else last(said, "FAILED"), good)


def last(said: str, word: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if word in line), "no result")


def testssl(at: Scanned) -> Figure:
    inside(at.scanner, f"grep -q {at.domain} /etc/hosts || echo '{at.address} {at.domain}' >>/etc/hosts")
    said = inside(
        at.scanner,
        f"testssl --color 0 --warnings batch --quiet --add-ca /root/acme-root.pem {at.domain} || true",
    )
    grade, score = re.search(r"Overall Grade\s+(\S+)", said), re.search(r"Final Score.*?(\d+)\s*$", said, re.MULTILINE)
    found = grade[1] if grade else "no grade"
    return Figure("testssl --add-ca CA DOMAIN", f"{found} ({score[1] if score else '?'})", found == "A+")


def lynis(at: Scanned) -> Figure:
    inside(at.server, "DEBIAN_FRONTEND=noninteractive apt-get install -qy lynis >&2")
    said = inside(at.server, "lynis audit system --quick --no-colors --quiet; cat /var/log/lynis-report.dat")
    found = re.search(r"^hardening_index=(\d+)", said, re.MULTILINE)
    for line in re.findall(r"^(?:suggestion|warning)\[\]=([^|]*\|[^|]*)", said, re.MULTILINE):
        print(f"  lynis: {line}")
    index = int(found[1]) if found else 0
    return Figure("lynis audit system", f"hardening index {index}", index >= LYNIS)


def gixy(at: Scanned) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "nginx.conf").write_text(inside(at.server, "nginx -T 2>/dev/null"))
        said = program(at.programs / "gixy", "-f", "json", f"{folder}/nginx.conf")
    issues, _ = json.JSONDecoder().raw_decode(said[said.index("[") :])
    for each in issues:
        print(f"  gixy: {each['plugin']}: {each['file']}: {each['reason']}")
    ours = [each for each in issues if any(folder in each["file"] for folder in OURS)]
    result = f"{len(ours)} in our files, {len(issues) - len(ours)} in nginx.conf, which is the distribution's"
    return Figure("nginx -T; gixy", result, not ours)


def rating(at: Scanned) -> Figure:
    found = exposures(lambda command: inside(at.server, command), "nginx.service")
    for unit, level in found.items():
        print(f"  systemd-analyze: {unit}: {level}")
    worst = max(found.values())
    return Figure("systemd-analyze security", f"{worst} at most, of {len(found)} units", worst <= LIMIT)


def ports(at: Scanned, six: bool) -> Figure:
    target = f"-6 {at.six}" if six else at.address
    said = inside(at.scanner, f"nmap -Pn -p- -T4 --min-rate 4000 --max-retries 1 -oG - {target}")
    found = re.findall(r"(\d+)/open/tcp", said)
    return Figure(f"nmap -p- ADDRESS, over IPv{6 if six else 4}", ", ".join(found) or "none", found == OPEN)


SCANNERS: dict[str, Callable[[Scanned], Figure]] = {
    "ssh-audit": ssh_audit,
    "sslyze": sslyze,
    "testssl.sh": testssl,
    "lynis": lynis,
    "gixy-ng": gixy,
    "systemd-analyze": rating,
    "nmap, IPv4": lambda at: ports(at, six=False),
    "nmap, IPv6": lambda at: ports(at, six=True),
}


def prepared(at: Scanned, suite: str, python: str) -> None:
    """Both servers, with IPv6 between them."""
    lab.up(count=2)
    lab.reset(at.server, suite)
    hardened(at.server, python)
    lab.reset(at.scanner, "trixie")
    for name in (at.server, at.scanner):
        inside(name, f"ip -6 address replace {SIX.format(name.removeprefix('lab'))}/64 dev host0 nodad")
    inside(
        at.scanner,
        "apt-get update -q >&2; DEBIAN_FRONTEND=noninteractive apt-get install -qy nmap testssl.sh bsdextrautils dnsutils >&2",
    )
    inside(at.scanner, f"cat >/root/acme-root.pem <<'END'\n{(LAB / 'acme-root.pem').read_text()}END")


def figures(at: Scanned, names: list[str]) -> Iterator[tuple[str, Figure]]:
    for name, scan in SCANNERS.items():
        if not names or name in names:
            yield name, scan(at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--suite", default="trixie")
    parser.add_argument("--python", default="system")
    parser.add_argument("--programs", type=Path, default=ROOT / ".venv-audit/bin")
    parser.add_argument("--server", default="lab1")
    parser.add_argument("--scanner", default="lab2")
    parser.add_argument("--as-it-is", action="store_true", help="scan what is there")
    parser.add_argument("names", nargs="*", help="scanners; all, if there are none")
    arguments = parser.parse_args()
    at = Scanned(arguments.server, arguments.scanner, arguments.programs)
    if not arguments.as_it_is:
        prepared(at, arguments.suite, arguments.python)
    found = dict(figures(at, arguments.names))
    print(f"\n| Scanner | Command | {arguments.suite} |\n| --- | --- | --- |")
    for name, figure in found.items():
        print(f"| {name} | `{figure.command}` | {figure.result}{'' if figure.good else ' (not good enough)'} |")
    raise SystemExit(0 if all(figure.good for figure in found.values()) else 1)


if __name__ == "__main__":
    main()
