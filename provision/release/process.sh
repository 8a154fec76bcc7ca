# shellcheck shell=sh disable=SC2154
# The processes that an app has beside its slots: they run what the link to the active slot names.
# Reads app, and processes: their names, with spaces between them. Sets process, the one at hand.

# process_state APP NAME MANAGER
process_state() { "${3}_process_state" "$1" "$2"; }

# process_down APP SLOT NAME,NAME...|-: those that do not run under the slot's manager.
process_down() {
    if [ "$3" = - ]; then return 0; fi
    by=$(slot_manager_of "$1" "$2") down=
    for name in $(printf '%s' "$3" | tr , ' '); do
        if [ "$(process_state "$1" "$name" "$by")" != active ]; then down="$down $name"; fi
    done
    printf '%s\n' "${down# }"
}

# process_stop_all APP [MANAGER]: under every manager but that one.
process_stop_all() {
    for each in $process_managers; do
        if [ "$each" != "${2:-}" ]; then "${each}_processes_stop" "$1"; fi
    done
}

# process_restart_all SLOT: the processes change over to what the active slot runs, under that slot's manager, and must run
# for a second.
process_restart_all() {
    by=$(slot_manager_of "$app" "$1")
    process_stop_all "$app" "$by"
    for process in $processes; do "${by}_process_restart" "$app" "$process" || return 1; done
    if [ -n "$processes" ]; then sleep 1; fi
    for process in $processes; do
        if [ "$(process_state "$app" "$process" "$by")" != active ]; then
            "${by}_process_log" "$app" "$process"
            return 1
        fi
    done
}

# process_keep: those that do not run are started again; the app has the traffic as before.
process_keep() {
    process_restart_all "$(slot_live "$app")" || fail "$app: $process does not keep running"
}

# In: NUMBER PATH. Nothing is asked about what is to go.
process_probe_removed() { cat >/dev/null; }
