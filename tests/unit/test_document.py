from __future__ import annotations

import json
from typing import Any

from provision.engine.resource import Change, Ref
from provision.report.document import document, failure
from provision.run.result import Result

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
