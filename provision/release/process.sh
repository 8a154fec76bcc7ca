# shellcheck shell=sh disable=SC2154
# The processes that an app has beside its slots. They run the release of the active slot, from units that are the slot's own.
# Reads app. Sets process: the current one.

# process_state APP NAME MANAGER
process_state() { "${3}_process_state" "$1" "$2"; }

# process_down APP SLOT: those of the slot's release that do not run.
process_down() {
    by=$(slot_manager_of "$1" "$2") down=
    for name in $("${by}_processes" "$1" "$2"); do
        if [ "$(process_state "$1" "$name" "$by")" != active ]; then down="$down $name"; fi
    done
    printf '%s\n' "${down# }"
}

# process_stop_all APP [MANAGER]: under every process manager but that one.
process_stop_all() {
    for each in $process_managers; do
        if [ "$each" != "${2:-}" ]; then "${each}_processes_stop" "$1"; fi
    done
}

# process_restart_all SLOT: move the processes to the active slot's release, units and process manager; they must keep running
# for a second.
process_restart_all() {
    by=$(slot_manager_of "$app" "$1")
    process_stop_all "$app" "$by"
    "${by}_processes_write" "$app" "$1" || return 1
    processes=$("${by}_processes" "$app" "$1")
    for process in $processes; do "${by}_process_restart" "$app" "$process" || return 1; done
    if [ -n "$processes" ]; then sleep 1; fi
    for process in $processes; do
        if [ "$(process_state "$app" "$process" "$by")" != active ]; then
            "${by}_process_log" "$app" "$process"
            return 1
        fi
    done
}

# process_kill_all APP [PROCESS]: kill whatever still runs as the app's user, also what has left its session, until nothing does but this
# process.
process_kill_all() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        alive=
        for each in /proc/[0-9]*; do
            if [ "${each#/proc/}" != "${2:-}" ] && [ "$(stat -c %U "$each" 2>/dev/null)" = "$1" ] && kill -KILL "${each#/proc/}" 2>/dev/null; then alive=yes; fi
        done
        if [ -z "$alive" ]; then return 0; fi
        sleep 0.1
    done
}

# process_keep: restart the processes, as some do not run; the traffic stays where it is.
process_keep() {
    process_restart_all "$(slot_live "$app")" || fail "$app: $process does not keep running"
}

# In: NUMBER PATH. Out: nothing; a file that is to go needs no look.
process_probe_removed() { cat >/dev/null; }
