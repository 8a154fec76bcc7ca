# shellcheck shell=sh

# In: NUMBER. Out: now, in seconds since 1970.
clock_probe() { while read -r number; do printf '%s\tnow=%s\n' "$number" "$(date +%s)"; done; }
