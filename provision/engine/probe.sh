# shellcheck shell=sh
set -u
export LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

# The lock is free when it can be shared; it is let go at once, and does not hinder another who looks.
probe_lock() {
    generation=none
    if [ -r /var/lib/provision/generation ]; then read -r generation </var/lib/provision/generation; fi
    printf 'generation\t%s\n' "$generation"
    if [ -e /run/provision/lock ] && ! flock -n -s /run/provision/lock true; then
        printf 'lock\t%s\n' "$(cat /run/provision/holder 2>/dev/null)"
    fi
}
