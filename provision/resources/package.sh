# shellcheck shell=sh disable=SC2154

# In: NUMBER "NAME NAME...". Out: name, in a record for each installed package; held, for each that is not, and that apt was told to
# leave so. One dpkg-query for all.
# shellcheck disable=SC2016 # dpkg-query's own variables
package_probe() {
    items=$(cat)
    {
        printf '%s\n' "$items" | cut -f2 | tr ' ' '\n' | sort -u | xargs -r dpkg-query -W -f='${db:Status-Abbrev}\t${Package}\n' -- 2>/dev/null
        printf '%s\n' "$items" | sed 's/^/I\t/'
    } | awk -F '\t' -v OFS='\t' '
        $1 ~ /^.i $/ { said[$2] = "name="; next }
        $1 ~ /^h/ { said[$2] = "held="; next }
        $1 == "I" { count = split($3, names, " "); for (i = 1; i <= count; i++) if (names[i] in said) print $2, said[names[i]] names[i] }'
}

# In: NUMBER "NAME NAME...". Out: busy (a program that uses apt or dpkg, and its process), interrupted=yes (dpkg), and booting=yes (cloud-init
# is not done with the first boot), where it is so; and where one of the packages is not installed, what sources_known says.
package_state_probe() {
    IFS='	' read -r number names || return 0
    holder=$(package_holder "$root/var/lib/dpkg/lock-frontend" "$root/var/lib/dpkg/lock")
    if [ -n "$holder" ]; then
        printf '%s\tbusy=%s (process %s)\n' "$number" "$(tr '\0\t\n' ' ' 2>/dev/null <"/proc/$holder/cmdline" | cut -c 1-60)" "$holder"
    fi
    if package_is_interrupted; then printf '%s\tinterrupted=yes\n' "$number"; fi
    if package_is_booting; then printf '%s\tbooting=yes\n' "$number"; fi
    if package_lacks "$names"; then sources_known | sed "s/^/$number	/"; fi
}

# package_lacks "NAME NAME...": whether one of them is not installed.
# shellcheck disable=SC2016,SC2086 # dpkg-query's own variables; the names are words
package_lacks() {
    set -- $1
    [ "$#" -gt 0 ] && [ "$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' -- "$@" 2>/dev/null | sed -n 's/^.i  *//p' | sort -u | grep -c .)" -lt "$(printf '%s\n' "$@" | sort -u | grep -c .)" ]
}

# package_is_booting: whether cloud-init is at work on the first boot, and may be about to install packages.
package_is_booting() { [ -e "$root/run/cloud-init/enabled" ] && [ ! -e "$root/run/cloud-init/result.json" ]; }

# package_apt WORD...: apt-get, when no other program uses apt; what dpkg left undone is finished first.
package_apt() {
    resumed=
    package_await
    until apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"; do
        if [ -n "$(package_holder)" ]; then
            package_await
        elif [ -z "$resumed" ] && package_is_interrupted; then
            package_resume
            resumed=yes
        else
            return 1
        fi
    done
}

# package_holder [LOCK...]: the process that has one of these locks, or apt's on its lists or its archives (DPkg::Lock::Timeout waits
# for dpkg's alone).
package_holder() {
    stat -c %i -- "$root/var/lib/apt/lists/lock" "$root/var/cache/apt/archives/lock" "$@" 2>/dev/null |
        awk 'NR == FNR { locks[$1] = 1; next } $2 == "POSIX" { sub(/.*:/, "", $6); if ($6 in locks) { print $5; exit } }' - /proc/locks
}

# package_await: until apt's locks are free; ten minutes at most.
package_await() {
    deadline=$(($(date +%s) + 600)) told=
    while holder=$(package_holder) && [ -n "$holder" ]; do
        if [ -z "$told" ]; then
            told=yes
            notice "another program is using apt ($(tr '\0' ' ' 2>/dev/null <"/proc/$holder/cmdline" | cut -c 1-60), process $holder): it is waited for"
        fi
        if [ "$(date +%s)" -ge "$deadline" ]; then fail "process $holder has been using apt for ten minutes: end it, then run again"; fi
        sleep 1
    done
}

# package_is_interrupted: whether dpkg's last run was killed (apt-get looks at the same files).
package_is_interrupted() {
    for file in "$root"/var/lib/dpkg/updates/[0-9]*; do if [ -e "$file" ]; then return 0; fi; done
    return 1
}

package_resume() {
    notice "dpkg was interrupted on this server, by a power cut perhaps: dpkg --configure -a finishes what it began"
    dpkg --force-confdef --force-confold --configure -a || fail "dpkg was interrupted, and dpkg --configure -a fails; its reason stands above"
}

# package_install NAME...: wait for a first boot that is still installing packages. What comes with them is noted, also if it fails.
package_install() {
    if command -v cloud-init >/dev/null; then
        if package_is_booting; then notice "cloud-init is not done with this server's first boot: it is waited for, ten minutes at most"; fi
        timeout 600 cloud-init status --wait >/dev/null || true
    fi
    package_await
    package_note
    package_before "$@"
    trap package_note EXIT
    package_get "$@"
    trap - EXIT
    package_note
}

# package_states: STATE NAME, for each package that dpkg has, or has files of.
# shellcheck disable=SC2016 # dpkg-query's own variables
package_states() { dpkg-query -W -f='${db:Status-Abbrev} ${binary:Package}\n' | sed 's/^.\(.\)[^ ]* */\1 /' | grep -v '^n '; }

# package_before NAME...: note what there is, what somebody has asked apt for, and what is asked for now.
package_before() {
    if [ ! -d "$provision_found" ]; then return 0; fi
    rm -f "$provision_found/leaving"
    # What Debian's packages leave when they go.
    found_folder "$root/var/www/html"
    found_folder "$root/var/lib/letsencrypt"
    {
        printf 'asked %s\n' "$@"
        apt-mark showmanual 2>/dev/null | sed 's/^/manual /'
        package_principals
        package_states
    } | put "$provision_found/before" root root 600
}

# package_principals: each user and group of the system, as user:NAME or group:NAME.
package_principals() {
    getent passwd | sed 's/:.*//; s/^/user:/'
    getent group | sed 's/:.*//; s/^/group:/'
}

# package_note: since the note of what there was, these came: NAME, then asked or needed, and rest where files of it were there (as of a
# package that had been removed). If that run was killed, what else came since counts, too. What was needed before, and is asked for only
# now, and by nobody else, is asked.
package_note() {
    if [ ! -e "$provision_found/before" ]; then return 0; fi
    {
        if [ -e "$provision_found/packages" ]; then
            awk '
                NR == FNR { if ($1 == "asked") asked[$2] = 1; else if ($1 == "manual") manual[$2] = 1; next }
                { name = $1; sub(/:.*/, "", name); if ($2 == "needed" && name in asked && !(name in manual)) $2 = "asked"; print }' \
                "$provision_found/before" "$provision_found/packages"
        fi
        package_states | awk '
            NR == FNR { if ($1 == "asked") asked[$2] = 1; else if ($1 != "manual") was[$2] = $1; next }
            $1 != "c" && was[$2] !~ /[^c]/ { name = $2; sub(/:.*/, "", name); print $2, (name in asked ? "asked" : "needed"), was[$2] == "c" ? "rest" : "new" }' \
            "$provision_found/before" -
    } | sort -u -k 1,1 | put "$provision_found/packages" root root 600
    cut -d ' ' -f 1 "$provision_found/packages" >"$provision_found/.names"
    package_principals | grep -vxF -f "$provision_found/before" | while IFS=: read -r kind name; do
        package=$(grep -lw -e "$name" /var/lib/dpkg/info/*.postinst | sed 's|.*/||; s|\.postinst$||' | grep -xF -f "$provision_found/.names" | head -n 1)
        if [ -n "$package" ]; then printf '%s %s %s\n' "$kind" "$name" "$package" >>"$provision_found/principals"; fi
    done
    rm -f "$provision_found/before"
}

# package_get NAME...: update the index only if there is none, or if it is out of date.
package_get() {
    set -- -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --no-install-recommends install -- "$@"
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
    package_await
    said=$(package_apt update 2>&1) || true
    printf '%s\n' "$said"
    unread=$(printf '%s\n' "$said" | awk '/^Err:/ { source = $2; next } source { sub(/^ +/, ""); print source ": " $0; exit }')
}

# package_unread: an installation failed; a source that could not be read is the reason.
package_unread() {
    if [ -n "$unread" ]; then fail "apt cannot read $unread: look at the server's DNS (/etc/resolv.conf), its network, and apt's sources"; fi
    return 1
}
