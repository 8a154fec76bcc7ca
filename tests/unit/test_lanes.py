"""`make test-lab` runs every file of the lab tests, each in one lane."""

import re
from collections import Counter
from pathlib import Path

LAB = Path(__file__).parents[1] / "lab"
CALL = re.compile(r"^[{ ]*(?:run|on lab\d) ((?:[a-z_]+ ?)+)", re.MULTILINE)


def test_each_file_of_the_lab_tests_stands_in_exactly_one_lane() -> None:
    in_lanes = Counter(" ".join(CALL.findall((LAB / "lanes.sh").read_text())).split())
    assert in_lanes == Counter(path.stem.removeprefix("test_") for path in LAB.glob("test_*.py"))
