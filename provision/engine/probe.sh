# shellcheck shell=sh disable=SC2154
set -u
export LC_ALL=C
umask 077

# The lock is free when it can be shared; it is let go at once, and does not hinder another who looks.
probe_lock() {
    generation=none
    if [ -r "$provision_generation" ]; then read -r generation <"$provision_generation"; fi
    printf 'generation\t%s\n' "$generation"
    if [ -e "$provision_lock" ] && ! flock -n -s "$provision_lock" true; then
        printf 'lock\t%s\n' "$(cat "$provision_holder" 2>/dev/null)"
    elif lease_held; then
        printf 'lock\t%s\n' "$(cat "$provision_lease" 2>/dev/null)"
    fi
}
