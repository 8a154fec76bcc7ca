# shellcheck shell=sh disable=SC2030,SC2031,SC2034,SC2154
# An app takes over from another, which it was before it had another name. Requests wait in the new one's socket while the old one ends,
# and its shared folder changes hands: it is renamed, and belongs to the new user, once no process of either user is alive that could
# write there. The site of the old app leads to the new one until nginx reads that of the new one.
#
# Reads what activation.sh reads. Sets taken_from (the old app), which activation_undo looks at, and waits (the process that keeps the
# new one's socket open, if there is one).

# In: NUMBER OLD and what slot_probe reads. Out: takes (from whom it has begun to take over), serves (yes: it has had the traffic) and
# apart (yes: the old one's shared folder cannot be renamed); and what slot_probe says.
takeover_probe() {
    while IFS='	' read -r number old rest; do
        layout_app "$old"
        shared=$app_shared above=$app_home apart=
        if [ -L "$shared" ]; then apart=yes; fi
        layout_app "${rest%%	*}"
        for folder in "$above" "$app_home" "$app_shared"; do
            if [ -d "$shared" ] && [ -d "$folder" ] && [ "$(stat -c %m "$shared")" != "$(stat -c %m "$folder")" ]; then apart=yes; fi
        done
        printf '%s\ttakes=%s\tserves=%s\tapart=%s\n' "$number" "$(cat "$app_takes_over" 2>/dev/null)" "$(takeover_serves)" "$apart"
        printf '%s\t%s\n' "$number" "$rest" | slot_probe
    done
}

takeover_serves() { if [ -L "$app_current" ]; then echo yes; fi; }

# takeover_run OLD [MIGRATION]: the migration is a script. An app that has the traffic already has the data, too.
takeover_run() {
    if [ -n "$(takeover_serves)" ]; then
        activation_run
        return 0
    fi
    taken_from=$1 migration=${2:-} waits=
    # What a run that was killed left waiting.
    for slot in blue green; do slot_stop "$app" "$slot"; done
    takeover_open
    rm -f "$app_current_socket"
    activation_slots
    slot_prepare
    mark_write "$app" takes-over "$taken_from"
    trap takeover_back EXIT
    takeover_wait
    takeover_end_old
    takeover_move "$taken_from" "$app"
    # A script that ends does so alone; errors end it, as in a change of its own.
    set +e
    (
        trap - EXIT
        set -e
        eval "$migration"
    )
    migrated=$?
    set -e
    if [ "$migrated" != 0 ]; then exit 1; fi
    layout_app "$app"
    activation_before
    takeover_open
    activation_take_over
    release_prune
    activation_after
    activation_finished
}

# takeover_wait: from here on, requests for the old app wait in the socket of the new slot. Nothing of the app's runs there.
takeover_wait() {
    point "$app_current_socket" "$new.sock"
    process_kill_all "$app"
    slot_by_manager wait "$app" "$new"
    socket=$app_current_socket maintenance=$app_maintenance
    (
        layout_app "$taken_from"
        if [ -e "$app_maintenance" ]; then (umask 022 && : >"$maintenance"); fi
        process_stop_all "$taken_from"
        if [ -d "$app_sockets" ]; then point "$app_current_socket" "$socket"; fi
    )
}

# takeover_open: the new slot may start.
takeover_open() { for each in $process_managers; do "${each}_slot_open" "$app"; done; }

# takeover_end_old: what the old app answers has fifteen seconds to end, or its own limit; then nothing of it runs.
takeover_end_old() {
    (
        app=$taken_from
        layout_app "$app"
        if [ "$drain" -gt 15 ]; then drain=15; fi
        for old in blue green; do
            if slot_is_running "$app" "$old"; then activation_drain; fi
            slot_stop "$app" "$old"
            slot_at_boot "$app" "$old" no
        done
        for each in $process_managers; do "${each}_jobs_stop" "$app"; done
        for unit in $(command_units "$app"); do systemctl stop "$unit" || true; done
        rm -f "$root/var/spool/cron/crontabs/$app"
        process_kill_all "$app"
    )
}

# takeover_move FROM TO: the database and the shared folder of one app become those of the other, whose own has nothing in it that matters: it has not
# served. Neither has a process now that could change what root looks at here: what keeps the socket open is none of the app's, and nothing
# else of its user was there to get hold of it. What is not the old user's own, such as a file of root's that has a second name there, stays
# as it is.
takeover_move() {
    layout_app "$1"
    source=$app_shared
    layout_app "$2"
    process_kill_all "$1"
    process_kill_all "$2" "$waits"
    if [ -d "$source" ]; then
        # The folders that were made for the links of the release (links.sh), and that its check did not need.
        if [ -d "$app_shared" ]; then
            (cd / && setpriv --reuid="$2" --regid="$2" --clear-groups find "$app_shared" -mindepth 1 -type d -empty -delete) </dev/null >/dev/null 2>&1 || true
        fi
        if [ -e "$app_shared" ] && ! rmdir "$app_shared" 2>/dev/null; then
            aside=$app_home/shared-$(date -u +%Y%m%dT%H%M%S)
            mv -T "$app_shared" "$aside"
            notice "$2: $app_shared was not empty before $2 had the data of $1: it is now $aside"
        fi
        mv -T "$source" "$app_shared"
        sync "$app_home" "${source%/*}"
    fi
    if postgresql_ours "$1"; then postgresql_move "$1" "$2"; fi
    find "$app_shared" -xdev -user "$1" -exec chown -h "$2" {} +
    find "$app_shared" -xdev -group "$1" -exec chgrp -h "$2" {} +
    layout_app "$app"
}

# takeover_back: the old app has its data, its processes and the traffic again.
takeover_back() {
    set +e
    layout_app "$app"
    slot_stop "$app" "$new"
    waits=
    takeover_open
    process_stop_all "$app"
    for each in $process_managers; do "${each}_jobs_stop" "$app"; done
    for unit in $(command_units "$app"); do systemctl stop "$unit"; done
    layout_app "$taken_from"
    if [ ! -d "$app_shared" ]; then takeover_move "$app" "$taken_from"; fi
    (
        app=$taken_from
        layout_app "$app"
        new=$(readlink "$app_active_slot")
        point "$app_current_socket" "$new.sock"
        slot_start "$app" "$new"
        slot_at_boot "$app" "$new" yes
        process_restart_all "$new"
    )
    layout_app "$app"
    rm -f "$app_current_socket" "$app_takes_over"
}
