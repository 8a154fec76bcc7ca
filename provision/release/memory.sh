# shellcheck shell=sh disable=SC2154
# Memory for two slots at once.

# In: NUMBER APP. Out: free (KiB, with free swap), and used (KiB, by the slot that has the traffic; 0 if none runs).
memory_probe() {
    free=$(memory_free)
    while IFS='	' read -r number app; do
        layout_app "$app"
        slot=$(slot_current)
        printf '%s\tfree=%s\tused=%s\n' "$number" "$free" "$(if [ -n "$slot" ]; then memory_used "$app" "$slot"; else echo 0; fi)"
    done
}

# memory_used APP SLOT: what a slot's processes share with nothing on the disk, in KiB: from the control group, if it has one of its own.
memory_used() {
    for group in "$root"/sys/fs/cgroup/system.slice "$root"/sys/fs/cgroup/memory/system.slice; do
        for stat in "$group"/system-*.slice/"$1@$2.service"/memory.stat; do
            if [ -r "$stat" ]; then
                awk '$1 == "anon" || $1 == "total_rss" { printf "%d", $2 / 1024 }' "$stat"
                return 0
            fi
        done
    done
    echo "$(($(slot_memory "$(slot_pid "$1" "$2" 2>/dev/null || echo 0)") / 1024))"
}

# memory_free: what processes can still have, in KiB. A container's limit may be below what /proc/meminfo says.
memory_free() {
    set --
    for name in memory.max memory/memory.limit_in_bytes memory.stat memory/memory.stat; do
        if [ -r "$root/sys/fs/cgroup/$name" ]; then set -- "$@" "$root/sys/fs/cgroup/$name"; fi
    done
    awk '
        FILENAME ~ /(max|limit_in_bytes)$/ { limit = $1 }
        $1 == "MemAvailable:" || $1 == "SwapFree:" { free += $2 }
        $1 == "anon" || $1 == "total_rss" { used = $2 }
        END {
            if (limit ~ /^[0-9]+$/ && (limit - used) / 1024 < free) free = (limit - used) / 1024
            printf "%d", (free > 0 ? free : 0)
        }' "$root/proc/meminfo" "$@" 2>/dev/null
}
