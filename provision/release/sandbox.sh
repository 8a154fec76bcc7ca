# shellcheck shell=sh disable=SC2154
# Single commands in a sandbox (release/sandbox.py). sandbox_default is what an app has that has no settings of its own yet.

# sandbox_of APP FILE: the properties of a unit of the app's, a line each. The file has the sandbox that the app or one of its slots has.
sandbox_of() {
    layout_app "$1"
    if [ -e "$2" ]; then cat "$2"; else printf '%s' "$sandbox_default"; fi
    printf '%s\n' "User=$1" "Group=$1" "ReadWritePaths=$app_shared"
}

# sandbox_run PROPERTIES WORD...: systemd-run with the properties before the words, which are more of its options, and the command. It
# waits, and exits as the command does.
sandbox_run() {
    properties=$1
    shift
    while IFS= read -r property; do set -- -p "$property" "$@"; done <<END_OF_PROPERTIES
$(printf '%s\n' "$properties" | tac)
END_OF_PROPERTIES
    systemd-run --quiet --wait --pipe --collect --service-type=exec "$@"
}

# sandbox_hint APP [SHARED] <LOG: what follows the error of a program that the sandbox may have ended: the key to set; where the app may write
# (SHARED, which a build has not); or that somebody killed it; empty if nothing looks like it.
sandbox_hint() {
    awk -v app="$1" -v shared="${2:-}" '
        /SIGSYS|status=31\/SYS|Bad system call|^signal 31$/ { call = 1 }
        /Unable to allocate section memory|ffi_prep_closure|cannot enable executable|executable memory/ { memory = 1 }
        /Operation not permitted|Errno 1\]/ { denied = 1 }
        /Read-only file system|unable to open database file|attempt to write a readonly database/ { reads = 1 }
        /status=9\/KILL/ { killed = 1 }
        END {
            key = "apps." app ".unsandbox"
            if (call) printf "; a system call that the sandbox forbids ended it (SIGSYS): if the app needs it, set %s: [SystemCallFilter]", key
            else if (memory) printf "; the sandbox forbids memory that is written and executed: if the app needs it, set %s: [MemoryDenyWriteExecute]", key
            else if (denied) printf "; if it is the sandbox that does not permit it, set %s to the directive, such as [SystemCallFilter] or [MemoryDenyWriteExecute]", key
            else if (reads && shared) printf "; a release can only be read: name the folder in apps.%s.shared (such as [data, logs]), or let the app write to %s by a full path, or to /tmp", app, shared
            else if (killed) printf "; it was killed: for want of memory (apps.%s.memory_max), or by another process of its user", app
        }'
}
