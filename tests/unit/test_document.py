from __future__ import annotations

import json
from typing import Any

from provision.engine.resource import Change, Ref
from provision.release.status import DeployKey
from provision.report.document import checks, document, failure, listing
from provision.run.ask import HostOutput
from provision.run.result import Result
from provision.run.verification import Check, Outcome

CHANGE = Change(Ref("file", "/etc/nginx/nginx.conf"), "write /etc/nginx/nginx.conf", "a script", "a library", "a diff")
LAB1 = Result(
    host="lab1",
    status="changed",
    ok=103,
    changed=1,
    execs=3,
    seconds=0.4,
    releases={"shop": "20261121T230500-abc1234"},
    changes=(CHANGE,),
)


def read(*results: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document("deploy", results, 0.61234))
    return found


def test_the_document_is_as_the_design_has_it() -> None:
    found = read(LAB1)
    assert (found["task"], found["ok"], found["seconds"]) == ("deploy", True, 0.612)
    assert list(found) == ["task", "ok", "seconds", "hosts"]
    lab1 = found["hosts"]["lab1"]
    (change,) = lab1.pop("changes")
    assert (change["id"], change["summary"]) == (CHANGE.id, CHANGE.summary)
    expected = {
        "status": "changed",
        "ok": 103,
        "changed": 1,
        "failed": 0,
        "skipped": 0,
        "execs": 3,
        "seconds": 0.4,
        "release": "20261121T230500-abc1234",
        "error": None,
    }
    assert {key: lab1[key] for key in expected} == expected


def test_no_script_is_in_the_document() -> None:
    text = document("deploy", [LAB1], 0.1)
    assert "a script" not in text
    assert "a library" not in text


def test_one_host_with_an_error_is_not_ok() -> None:
    found = read(LAB1, Result("lab2", "unreachable", error="lab2 does not answer"))
    assert found["ok"] is False
    assert list(found["hosts"]) == ["lab1", "lab2"]
    assert found["hosts"]["lab2"]["status"] == "unreachable"
    assert found["hosts"]["lab2"]["error"] == "lab2 does not answer"
    assert found["hosts"]["lab2"]["changes"] == []


def test_a_host_of_two_apps_has_its_releases_by_app_and_no_single_one() -> None:
    host = read(Result("lab1", "ok", releases={"shop": "one", "blog": "two"}))["hosts"]["lab1"]
    assert host["release"] is None
    assert host["releases"] == {"shop": "one", "blog": "two"}


def test_the_tokens_of_what_is_held_are_there_by_app() -> None:
    assert read(LAB1)["hosts"]["lab1"]["previews"] == {}
    host = read(Result("lab1", "changed", previews={"shop": "0123456789abcdef0123456789abcdef"}))["hosts"]["lab1"]
    assert host["previews"] == {"shop": "0123456789abcdef0123456789abcdef"}


def test_a_task_that_reached_no_host_is_a_document_too() -> None:
    found = json.loads(failure("deploy", ["prod.yml:3: what is wrong"], 0.01))
    assert found == {
        "task": "deploy",
        "ok": False,
        "seconds": 0.01,
        "hosts": {},
        "errors": ["prod.yml:3: what is wrong"],
    }


def test_a_list_has_each_hosts_rows_under_the_tasks_name_and_is_not_ok_with_an_error() -> None:
    answers = (HostOutput("web1", ("a line",)), HostOutput("web2", error="web2 does not answer"))
    key = DeployKey("web1", "shop", "git@git.example.com:shop.git", "ssh-ed25519 AAAA shop@web1")
    found = json.loads(listing("deploy-key", answers, [key]))
    row = {"app": "shop", "repository": "git@git.example.com:shop.git", "public": "ssh-ed25519 AAAA shop@web1"}
    assert found == {
        "task": "deploy-key",
        "ok": False,
        "hosts": {
            "web1": {"error": None, "deploy-key": [row]},
            "web2": {"error": "web2 does not answer", "deploy-key": []},
        },
    }
    assert json.loads(listing("releases", answers[:1], []))["ok"] is True


def test_checks_are_there_by_host_with_those_that_could_not_be_reached() -> None:
    good, bad = Check("web1", "nginx", "passed", 0.1), Check("web1", "https", "failed", 0.2, "no answer")
    outcome = Outcome({"away": "away does not answer"}, 1, (good, bad, Check("web2", "nginx", "skipped", 0.0, "none")))
    found = json.loads(checks(outcome, 1.23456))
    assert list(found) == ["task", "ok", "seconds", "hosts"]
    assert (found["task"], found["ok"], found["seconds"]) == ("verify", False, 1.235)
    assert found["hosts"] == {
        "away": {"status": "unreachable", "checks": [], "error": "away does not answer"},
        "web1": {
            "status": "failed",
            "checks": [
                {"id": "nginx", "outcome": "passed", "seconds": 0.1, "reason": ""},
                {"id": "https", "outcome": "failed", "seconds": 0.2, "reason": "no answer"},
            ],
            "error": "1 of 2 checks failed",
        },
        "web2": {
            "status": "ok",
            "checks": [{"id": "nginx", "outcome": "skipped", "seconds": 0.0, "reason": "none"}],
            "error": None,
        },
    }


def test_checks_that_ended_early_say_why() -> None:
    found = json.loads(checks(Outcome({}, 2, (), "web1: ssh: the connection ended"), 0.1))
    assert (found["ok"], found["hosts"], found["errors"]) == (False, {}, ["web1: ssh: the connection ended"])
