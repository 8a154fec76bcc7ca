# shellcheck shell=sh

# In: NUMBER "NAME NAME...". Out: name, in a record for each installed package. One dpkg-query for all.
# shellcheck disable=SC2016 # dpkg-query's own variables
package_probe() {
    items=$(cat)
    {
        printf '%s\n' "$items" | cut -f2 | tr ' ' '\n' | sort -u | xargs -r dpkg-query -W -f='${db:Status-Abbrev}\t${Package}\n' 2>/dev/null
        printf '%s\n' "$items" | sed 's/^/I\t/'
    } | awk -F '\t' -v OFS='\t' '
        $1 ~ /^.i $/ { installed[$2] = 1; next }
        $1 == "I" { count = split($3, names, " "); for (i = 1; i <= count; i++) if (names[i] in installed) print $2, "name=" names[i] }'
}

package_apt() {
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"
}

# package_install NAME...: wait for a first boot that is still installing packages. Update the index only if there is none, or if it
# is out of date.
package_install() {
    if command -v cloud-init >/dev/null; then timeout 600 cloud-init status --wait >/dev/null || true; fi
    set -- -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --no-install-recommends install "$@"
    if ! ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; then
        package_update
        package_apt "$@" || package_unread
    elif ! package_apt "$@"; then
        package_update
        package_apt "$@" || package_unread
    fi
}

# package_update: read the index again. Sets unread: the first source that could not be read, and why (apt itself goes on).
package_update() {
    said=$(package_apt update 2>&1) || true
    printf '%s\n' "$said"
    unread=$(printf '%s\n' "$said" | awk '/^Err:/ { source = $2; next } source { sub(/^ +/, ""); print source ": " $0; exit }')
}

# package_unread: an installation failed; a source that could not be read is the reason.
package_unread() {
    if [ -n "$unread" ]; then fail "apt cannot read $unread: look at the server's DNS (/etc/resolv.conf), its network, and apt's sources"; fi
    return 1
}
