# shellcheck shell=sh
# What DNS says of domains, as the server sees it.

# In: NUMBER ADDRESS "NAME NAME...". Out: the records of domains_records.
domains_probe() { while IFS='	' read -r number address names; do domains_records "$number" "$address" "$names"; done; }

# domains_records NUMBER ADDRESS "NAME NAME...": a record with here (the server's addresses, and ADDRESS), and one with domain and
# addresses for each name.
domains_records() {
    printf '%s\there=%s\n' "$1" "$(hostname -I 2>/dev/null || ip -o addr | awk '{ sub("/.*", "", $4); print $4 }' | tr '\n' ' ') $(domains_addresses "$2")"
    for name in $3; do printf '%s\tdomain=%s\taddresses=%s\n' "$1" "$name" "$(domains_addresses "$name")"; done
}

# domains_addresses NAME: also those of a family that the server itself has not: -A says so, and where getent does not know that (glibc
# before 2.35), `hosts` has the IPv6 addresses, if there are any.
domains_addresses() {
    status=0
    found=$(timeout 10 getent -A ahosts "$1" 2>/dev/null) || status=$?
    if [ "$status" = 64 ]; then found=$(timeout 10 getent hosts "$1"; timeout 10 getent ahosts "$1"); fi
    printf '%s\n' "$found" | awk 'NF { print $1 }' | sort -u | tr '\n' ' '
}
