# shellcheck shell=sh disable=SC2154
# A lease: a fleet's run holds each of its servers, from before its first change to its end, for as long as the controller says
# that it lives. What the fleet activates is unconfirmed until all servers have got that far. If the lease ends first, the
# server undoes it by itself; so it does after a boot, which no lease outlives.
# Every wait here is limited by the lease: it ends by itself.

# lease_now: sets now, in seconds since the boot, which no change of the clock moves.
lease_now() {
    read -r now _ </proc/uptime
    now=${now%.*}
}

# lease_extend SECONDS: the file's time is the end of the lease.
lease_extend() {
    lease_now
    touch -d "@$((now + $1))" "$provision_lease"
}

# lease_held: whether a fleet holds the server.
lease_held() {
    lease_now
    [ -e "$provision_lease" ] && [ "$(stat -c %Y "$provision_lease")" -gt "$now" ]
}

# lease_is FLEET: whether this fleet holds the server.
lease_is() { lease_held && [ "$(cut -f 3 "$provision_lease")" = "$1" ]; }

# lease_allows FLEET: whether a run may begin (FLEET is empty for one that is of no fleet); if not, print the event that says why.
lease_allows() {
    if lease_held; then
        if lease_is "$1"; then return 0; fi
        printf 'locked\t\t%s\n' "$(cat "$provision_lease")"
    elif [ -n "$1" ]; then
        printf 'expired\t\t\n'
    elif [ -e "$provision_undo" ]; then
        systemctl start --no-block provision-undo.service
        printf 'locked\t\t%s\t%s\t%s\n' 'the server itself (taking back what a fleet did not confirm)' \
            "$(date -u -r "$provision_undo" +%Y-%m-%dT%H:%M:%SZ)" undo
    elif [ -e "$provision_access_undo" ]; then
        systemctl start --no-block provision-access.service
        printf 'locked\t\t%s\t%s\t%s\n' 'the server itself (taking back a change to its access that no login confirmed)' \
            "$(date -u -r "$provision_access_undo" +%Y-%m-%dT%H:%M:%SZ)" undo
    else
        return 0
    fi
    return 1
}

# lease_keep FLEET GENERATION SECONDS WHO TASK: take the lease, or find it again if there is no GENERATION; then keep it for as
# long as lines come. Each of them has its answer, the first being that to the lease itself.
lease_keep() {
    if [ -n "$2" ]; then lease_take "$@"; fi
    while lease_is "$1"; do
        printf 'held\n'
        if ! read -r word; then
            # The connection ended. A controller that lives comes back soon.
            if lease_is "$1"; then lease_extend 15; fi
            exit 0
        fi
        case $word in
        beat) lease_extend "$3" ;;
        confirm) lease_confirm "$1" ;;
        end)
            rm -f "$provision_lease"
            found_leave
            exit 0
            ;;
        esac
    done
    printf 'expired\t\t\n'
}

# lease_take FLEET GENERATION SECONDS WHO TASK
lease_take() {
    mkdir -p "$provision_runs"
    exec 9>>"$provision_lock"
    run_lock 1
    if ! lease_is "$1"; then lease_allows '' || exit 0; fi
    run_is_current "$2"
    printf '%s\t%s\t%s\n' "$4 ($5)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >"$provision_lease"
    lease_extend "$3"
    exec 9>&-
}

# lease_confirm FLEET: what it has activated stays.
lease_confirm() {
    exec 9>>"$provision_lock"
    flock 9
    if lease_is "$1" && [ -e "$provision_undo" ]; then lease_settle; fi
    exec 9>&-
}

# lease_unconfirmed <program: what is activated from here on is undone by the program, unless it is confirmed. The program comes
# last: it is the mark.
lease_unconfirmed() {
    mkdir -p "$provision_unconfirmed"
    put "$provision_undo_unit" root root 644 <<END_OF_UNIT
[Unit]
Description=provision: take back what a fleet did not confirm
After=multi-user.target
ConditionPathExists=$provision_undo

[Service]
ExecStart=/bin/sh $provision_undo
Restart=on-abnormal
END_OF_UNIT
    mkdir -p "${provision_undo_at_boot%/*}"
    point "$provision_undo_at_boot" "$provision_undo_unit"
    put "$provision_undo" root root 600
    systemctl restart --no-block provision-undo.service
}

# lease_await RUN WHO TASK: the program waits for the end of the lease, and takes the lock.
lease_await() {
    mkdir -p "$provision_runs"
    exec 9>>"$provision_lock"
    while :; do
        while lease_held; do sleep 1; done
        flock 9
        if ! lease_held; then break; fi
        flock -u 9
    done
    if [ ! -e "$provision_undo" ]; then exit 0; fi
    mkdir -p "$provision_runs/$1"
    : >"$provision_runs/$1/events"
    printf '%s\t%s\t%s\n' "the server itself (undo of $3 by $2)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >"$provision_holder"
}

# lease_settle: nothing is left to confirm. The program goes first: without it, the rest does nothing.
lease_settle() {
    rm -f "$provision_undo"
    sync "$provision_unconfirmed"
    rm -f "$provision_undo_at_boot" "$provision_undo_unit"
    if [ "${settles:-}" != self ]; then systemctl stop --no-block provision-undo.service; fi
}
