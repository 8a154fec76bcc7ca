#!/bin/sh
# The lab tests, as `make test-lab` runs them: two lanes in parallel, each with servers of its own, first beside the whole path, which
# builds the Python of most tests; then the tests that need all servers. `pytest tests/lab` runs the same tests one after another.
set -u
python=${1:-.venv/bin/python}
out=$(mktemp -d)
keep=${PROVISION_KEEP_LAB:-}
export PROVISION_KEEP_LAB=1
trap '[ -n "$keep" ] || "$python" -m invoke lab.down; rm -rf "$out"' EXIT
trap 'exit 130' INT TERM

# files NAME...: the paths of the tests.
files() { printf 'tests/lab/test_%s.py\n' "$@"; }

# run NAME...
# shellcheck disable=SC2046 # the paths are words
run() { "$python" -m pytest -q --durations=12 $(files "$@"); }

# on SERVER NAME...: with the lab as it is, because the other lane may be making a server bare.
on() {
    server=$1
    shift
    # shellcheck disable=SC2046
    env PROVISION_LANE=1 PROVISION_TEST_SERVER="$server" "$python" -m pytest -q --durations=12 $(files "$@")
}

failed=0
"$python" -m invoke lab.up --count 3 || exit 1
on lab2 neighbours moving doctor remove secrets attacks >"$out/early" 2>&1 &
early=$!
on lab1 path remove_all || failed=1
wait "$early" || failed=1
cat "$out/early"

on lab3 releases supervisor python private_index private pushed >"$out/releases" 2>&1 &
releases=$!
{
    lane=0
    on lab1 drift recovery files services system swap refused_plans refused_releases sources access guest || lane=1
    on lab2 commands apps verify sandbox debian hostile_app || lane=1
    exit "$lane"
} >"$out/others" 2>&1 &
others=$!
wait "$others" || failed=1
cat "$out/others"
wait "$releases" || failed=1
cat "$out/releases"

run fleet faults lab image hostile_server || failed=1
exit "$failed"
