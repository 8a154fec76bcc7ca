#!/bin/sh
# The lab tests, as `make test-lab` runs them: lanes in parallel, each with a server of its own, then the tests that need all servers.
# The first lane begins with the whole path, which builds the Python of most tests; the others, with tests that need none. Of tests that are marked `long` it runs none, unless PROVISION_ALL
# is set. `pytest tests/lab` runs all of them, one after another.
set -u
python=${1:-.venv/bin/python}
out=$(mktemp -d)
keep=${PROVISION_KEEP_LAB:-}
marks=$([ -n "${PROVISION_ALL:-}" ] || echo 'not long')
export PROVISION_KEEP_LAB=1
trap '[ -n "$keep" ] || "$python" -m invoke lab.down; rm -rf "$out"' EXIT
trap 'exit 130' INT TERM

# files NAME...: the paths of the tests.
files() { printf 'tests/lab/test_%s.py\n' "$@"; }

# run NAME...
# shellcheck disable=SC2046 # the paths are words
run() { "$python" -m pytest -q -m "$marks" --durations=12 $(files "$@"); }

# on SERVER NAME...: with the lab as it is, because the other lane may be making a server bare.
on() {
    server=$1
    shift
    # shellcheck disable=SC2046
    env PROVISION_LANE="$lane" PROVISION_TEST_SERVER="$server" "$python" -m pytest -q -m "$marks" --durations=12 $(files "$@")
}

failed=0
"$python" -m invoke lab.up --count 4 || exit 1
{
    lane=waits status=0
    on lab2 neighbours moving remove secrets backups shared attacks || status=1
    on lab2 commands apps verify sandbox hostile_app || status=1
    on lab2 releases || status=1
    exit "$status"
} >"$out/second" 2>&1 &
second=$!
{
    lane=waits status=0
    on lab3 hardened audit lockout egress from_outside web_safety quic renewal || status=1
    on lab3 bootstrap limits kept_answers database durability cache valkey wildcard || status=1
    on lab3 access guest adopt doctor python private_index pushed build shared_folders hostile_server || status=1
    exit "$status"
} >"$out/third" 2>&1 &
third=$!
lane=builds
on lab1 path || failed=1
on lab1 real_apps remove_all drift recovery services system files swap refused_plans refused_releases sources packaging || failed=1
on lab1 supervisor private image || failed=1
wait "$third" || failed=1
wait "$second" || failed=1
cat "$out/third" "$out/second"

run fleet database_host remote_backups faults lab || failed=1
exit "$failed"
