"""`make test-lab` runs every file of the lab tests, each in one lane."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

LAB = Path(__file__).parents[1] / "lab"
CALL = re.compile(r"^[{ ]*(?:run|on lab\d) ((?:[a-z_]+ ?)+)", re.MULTILINE)


def test_each_file_of_the_lab_tests_stands_in_exactly_one_lane() -> None:
    in_lanes = Counter(" ".join(CALL.findall((LAB / "lanes.sh").read_text())).split())
    assert in_lanes == Counter(path.stem.removeprefix("test_") for path in LAB.glob("test_*.py"))


def test_each_file_of_the_lab_tests_has_tests_that_are_not_long() -> None:
    words = (sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "not long", "-p", "no:cacheprovider", LAB)
    listed = subprocess.run(words, cwd=LAB.parents[1], capture_output=True, text=True, check=True).stdout
    found = {line.partition("::")[0] for line in listed.splitlines() if "::" in line}
    assert found == {f"tests/lab/{path.name}" for path in LAB.glob("test_*.py")}


def test_a_server_that_was_given_another_debian_gets_its_own_back() -> None:
    """The tests that come after it in the lane are for that one."""
    for path in LAB.glob("test_*.py"):
        text = path.read_text()
        other = re.search(r'lab\.reset\(SERVER, "', text)
        assert not other or re.search(r"yield .*(\n.*){1,3}lab\.reset\(SERVER, SUITE", text), path.name
