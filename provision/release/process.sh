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

# process_hint: sandbox_hint for the current process, by the last minute of its log. Only systemd has the sandbox.
process_hint() {
    if [ "$by" = systemd ]; then systemd_process_log "$app" "$process" -60s | sandbox_hint "$app" "$app_shared"; fi
}

# process_kill_all APP [PROCESS]: kill whatever still runs as the app's user but this process, also what has left its session. Fails if that
# does not end it, as root then cannot rely on what it sees in the app's folder.
process_kill_all() {
    case $(id -u "$1" 2>/dev/null) in '' | 0) return 0 ;; esac
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        alive=
        for each in /proc/[0-9]*; do
            if [ "${each#/proc/}" != "${2:-}" ] && [ "$(stat -c %U "$each" 2>/dev/null)" = "$1" ] && kill -KILL "${each#/proc/}" 2>/dev/null; then alive=yes; fi
        done
        if [ -z "$alive" ] && { [ -n "${2:-}" ] || process_kill_at_once "$1"; }; then return 0; fi
        sleep 0.1
    done
    fail "$1: processes of the user $1 go on, however often they are killed: end them (ps -u $1), then run again"
}

# process_kill_at_once APP: a process that forks all the time is in no list when that is read. So the user kills all of its own, which the
# kernel does at once (kill(2), -1). Fails if one of them has killed this one first.
process_kill_at_once() {
    setpriv --reuid="$1" --regid="$(id -g "$1")" --clear-groups --no-new-privs --inh-caps=-all sh -c 'kill -KILL -1' </dev/null >/dev/null 2>&1
}

# process_keep: restart the processes, as some do not run; the traffic stays where it is.
process_keep() {
    process_restart_all "$(slot_live "$app")" || fail "$app: $process does not keep running$(process_hint)"
}

# In: NUMBER PATH. Out: nothing; a file that is to go needs no look.
process_probe_removed() { cat >/dev/null; }
