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
