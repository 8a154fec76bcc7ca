"""Any bytes that a server says give a value or the host's error, and no control character reaches a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console as Terminal

from provision import roles
from provision.engine import apply, facts, probe
from provision.engine.plan import examine, plan
from provision.engine.probe import Observation
from provision.engine.resource import State
from provision.errors import ProbeError, ProvisionError
from provision.release import status
from provision.release.facts import KNOWN
from provision.report.console import Console
from provision.run.ask import HostOutput, read
from provision.untrusted import UNSAFE, line, visible
from tests.unit.conftest import TEN_LINES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provision.inventory import Host
    from tests.unit.conftest import Known

QUICK = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
KEYS = [
    "system",
    "version",
    "init",
    "architecture",
    "cpus",
    "memory",
    "login",
    "home",
    "now",
    "name",
    "app",
    "id",
    "commit",
    "folder",
    "state",
    "settings",
    "release",
    "token",
    "path",
    "what",
    "domains",
    "source",
    "runs",
    "type",
    "mode",
    "owner",
    "group",
    "value",
    "content",
    "slot",
    "current",
    "fingerprint",
    "health",
    "copies",
    "down",
    "unfinished",
    "wrong",
    "enabled",
    "active",
    "since",
    "workers",
    "days",
    "maintenance",
    "updates",
    "public",
    "tree",
    "key",
    "left",
    "expires",
]
VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "-", "0", "1", "-1", "9" * 30, "nan", "../../etc", "{", "[" * 5000, "\x1b]0;x\x07", "debian", "systemd"]
    ),
)
FIELDS = st.one_of(st.text(max_size=12), st.builds("{}={}".format, st.sampled_from(KEYS), VALUES))
NAMES = st.sampled_from(
    [fact.name for fact in roles.FACTS] + ["0", "1", "2", "generation", "lock", "-1", "٣", "99999999"]
)
LINES = st.lists(
    st.builds(lambda name, fields: "\t".join((name, *fields)), NAMES, st.lists(FIELDS, max_size=12)), max_size=8
)
ANSWERS = st.one_of(
    st.binary(max_size=200).map(lambda said: visible(said.decode(errors="replace"))),
    st.builds(
        lambda lines, ends: "".join(f"{each}\n" for each in (*lines, *ends)),
        LINES,
        st.sampled_from([facts.PARTS * ["end"], probe.PARTS * ["end"]]),
    ),
)


def heard(call: Callable[..., object], *words: Any) -> None:
    """A value, or an error of the host in one line without control characters."""
    try:
        call(*words)
    except ProvisionError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
    assert not UNSAFE.search(said)


@QUICK
@given(ANSWERS)
@example("end\nend\n")
@example("system\tsystem=ubuntu\tversion=x\nend\nend\n")
@example("generation\nend\nend\n")
def test_any_facts_are_a_value_or_an_error(said: str) -> None:
    heard(facts.parse, said, roles.FACTS)


@QUICK
@given(ANSWERS)
@example("generation\n" + probe.PARTS * "end\n")
@example("-1\tx=y\n" + probe.PARTS * "end\n")
def test_any_states_are_a_value_or_an_error(said: str) -> None:
    heard(probe.parse, said, 3)


@QUICK
@given(st.lists(st.lists(FIELDS, max_size=12).map(tuple), max_size=4).map(tuple))
@example((("thing=/etc", "stays=a\x1b[2J"), ("thing=\x07",), ("heir=yes", "owner=\x1b 1", "kept=\x9b")))
def test_any_state_of_any_resource_is_a_plan_or_an_error(
    make_host: Callable[..., Host], make_known: Callable[..., Known], rows: Any
) -> None:
    """Also to a look at what would stop a run (`doctor`), and where apps or the toolkit leave."""
    host, known = make_host(), make_known()
    renamed = make_host(TEN_LINES.replace("module:", "renamed_from: store\n    module:"))
    facts = known.facts.with_(KNOWN, ("shop", "talk"))
    found = (
        *roles.everything(host, facts, known.wanted),
        *roles.everything(renamed, facts, known.wanted),
        *roles.left(host, facts, known.wanted),
        *roles.examined(host, facts, known.wanted),
    )
    seen = Observation((State(rows),), "none")
    for one in {(one.ref, type(one)): one for one in found}.values():
        heard(plan, [one], seen)
        heard(examine, [one], seen)


@QUICK
@given(st.lists(st.text(max_size=40), max_size=5))
@example(["begin\t-1\tx"])
@example(["begin\t٣\tx"])
@example(["out\t7\tx"])
def test_any_event_is_one_of_the_run_or_an_error(lines: list[str]) -> None:
    heard(lambda: [event for event in apply.events(iter(lines), 1, 3) if event.change < 3])


@QUICK
@given(st.lists(FIELDS, max_size=12).map("\t".join))
def test_any_answer_to_a_question_is_rows_or_the_hosts_error(make_host: Callable[..., Host], said: str) -> None:
    host = make_host()
    parsers: tuple[Callable[[Sequence[str]], Any], ...] = (
        lambda lines: status.releases(host.name, lines),
        lambda lines: status.apps(host, lines),
        lambda lines: status.deploy_keys(host, lines),
        lambda lines: status.maintenance(lines).items(),
        lambda lines: status.unlisted(host, lines),
    )
    good = HostOutput("web2", ())
    for parse in parsers:
        answers, _ = read((HostOutput(host.name, (said,)), good), lambda answer, parse=parse: parse(answer.lines))  # type: ignore[misc]
        assert [one.host for one in answers] == [host.name, "web2"]
        assert answers[1].error is None


@given(
    st.lists(
        st.one_of(st.text(max_size=60), st.sampled_from(["mark\t7", "mark\t-1", "mark\t٣", "", "mark\t" + "9" * 400])),
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None, database=None)
def test_any_line_of_a_log_or_of_a_command_is_a_line(said: list[str]) -> None:
    output = status.CommandOutput("mark")
    for each in said:
        assert "".join(output.shown(each)) in (each, "")
        shown = status.log_line(each, ("shop@blue", "web:shop"))
        assert shown is None or len(shown) <= len(each) + 2
    assert output.status is None or 0 <= output.status < 1000


@given(st.text())
@settings(max_examples=60, deadline=None, database=None)
def test_what_is_shown_has_no_control_characters(said: str) -> None:
    assert not UNSAFE.search(visible(said))
    assert "\n" not in line(said)
    assert len(line(said, 10)) <= 10 + len("...")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("a\rb", "a\\x0db"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202etxt", "\\u202etxt"),
        ("a\tb\nc é", "a\tb\nc é"),
    ],
)
def test_a_control_character_is_shown_escaped(said: str, shown: str) -> None:
    assert visible(said) == shown


def test_the_console_writes_no_escape_codes_of_a_server() -> None:
    console, written = Console(), io.StringIO()
    console.terminal = Terminal(file=written, force_terminal=True, soft_wrap=True, highlight=False)
    console.reconnecting("web1", "\x1b]0;owned\x07\x9b2J\rgone")
    assert "\\x1b]0;owned\\x07\\x9b2J\\x0dgone" in written.getvalue()
    assert "\x1b]" not in written.getvalue()


@pytest.mark.parametrize(
    "row",
    ["managed\tapp=shop\tpath=/etc/../root/.profile", "managed\tapp=../x\tpath=/etc/x", "python\tname=../../other"],
)
def test_a_name_that_leaves_its_folder_is_the_hosts_error(row: str) -> None:
    good = "system\tsystem=debian\tversion=12\tinit=systemd\tarchitecture=x86_64\tcpus=1\tmemory=1\tlogin=a\thome=/home/a\tnow=1"
    with pytest.raises(ProbeError, match="cannot be used"):
        facts.parse(f"{good}\n{row}\nend\nend\n", roles.FACTS)
