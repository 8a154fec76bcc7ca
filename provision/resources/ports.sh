# shellcheck shell=sh

# In: NUMBER PROGRAM PORT PORT.... Out: port, program, process (its id) and unit (empty if it is of none), for the first port that
# another program listens on.
ports_probe() {
    while IFS='	' read -r number wanted ports; do
        for port in $ports; do
            # users:(("apache2",pid=712,fd=4),("apache2",pid=711,fd=4))
            holder=$(ss -Hltnp "sport = :$port" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\),.*/\1 \2/p' | grep -v "^$wanted " | head -n 1)
            if [ -n "$holder" ]; then
                printf '%s\tport=%s\tprogram=%s\tprocess=%s\tunit=%s\n' "$number" "$port" "${holder% *}" "${holder##* }" \
                    "$(sed -n 's|.*/\([^/]*\.service\)$|\1|p' "/proc/${holder##* }/cgroup" 2>/dev/null | head -n 1)"
                break
            fi
        done
    done
}
