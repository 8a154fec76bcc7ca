# shellcheck shell=sh disable=SC2154
# What there is on a server that could let somebody in or make somebody root, each with where it comes from as far as dpkg knows.

# audit: a record for each thing; its key kind says what it is (listens, login, sudo, unit, cron, suid), and release/audit.py what its other keys are.
audit() {
    audit_listens
    audit_logins
    audit_sudo
    audit_units
    audit_cron
    audit_suid
    echo kind=end
}

# audit_packages: in: paths, one a line. Out: PATH PACKAGE, with a tab between them, for each that has a package. dpkg may know a path with or without /usr.
audit_packages() {
    sed 's|^/usr/|/|; s|.*|&\n/usr&|' | xargs -r -d '\n' dpkg-query -S -- 2>/dev/null |
        sed -n 's|^\([a-z0-9][^ :,]*\)[^ ]*\(, .*\)\{0,1\}: \(/.*\)$|\3\t\1|p' | while IFS='	' read -r path package; do
        printf '%s\t%s\n' "$path" "$package"
        case $path in /usr/*) printf '%s\t%s\n' "${path#/usr}" "$package" ;; *) printf '/usr%s\t%s\n' "$path" "$package" ;; esac
    done
}

# audit_changed: in: paths of packages. Out: those whose content is not what their package had.
audit_changed() {
    while read -r path; do if [ -f "$path" ]; then printf '%s\n' "$path"; fi; done | xargs -r -d '\n' md5sum |
        awk 'NR == FNR { path = $0; sub(/^[0-9a-f]+  /, "", path); sum[path] = $1; next }
            { path = $0; sub(/^[0-9a-f]+  /, "/", path)
              if (path in sum && sum[path] != $1) print path
              if (("/usr" path) in sum && sum["/usr" path] != $1) print "/usr" path
              other = path; if (sub(/^\/usr\//, "/", other) && other in sum && sum[other] != $1) print other }' - "$root"/var/lib/dpkg/info/*.md5sums | sort -u
}

# audit_with_packages KIND: in: PATH REST, with a tab between them. Out: records with path, package and changed, and REST.
audit_with_packages() {
    things=$(cat)
    if [ -z "$things" ]; then return 0; fi
    packages=$(printf '%s\n' "$things" | cut -f 1 | audit_packages)
    {
        printf '%s\n' "$packages" | cut -f 1 | audit_changed | sed 's/^/C\t/'
        printf '%s\n' "$packages" | sed 's/^/P\t/'
        printf '%s\n' "$things" | sed 's/^/T\t/'
    } | awk -F '\t' -v kind="$1" '
        $1 == "C" { changed[$2] = "yes" }
        $1 == "P" { package[$2] = $3 }
        $1 == "T" { rest = $0; sub(/^T\t[^\t]*\t?/, "", rest); print "kind=" kind "\tpath=" $2 "\tpackage=" package[$2] "\tchanged=" changed[$2] (rest == "" ? "" : "\t" rest) }'
}

# audit_listens: path, package, protocol, address (with the port), process, unit.
audit_listens() {
    if ! command -v ss >/dev/null; then echo 'kind=lacks	what=ss' && return 0; fi
    ss -Hlntuwp | while read -r protocol _ _ _ address _ users; do
        process=$(printf '%s' "$users" | sed -n 's/[^=]*pid=\([0-9]*\).*/\1/p') program='' unit=''
        if [ -n "$process" ]; then
            # With a newline in its path, a program would be taken for another.
            program=$(readlink -n "/proc/$process/exe" | tr '\000-\037\177' '?' | sed 's/ (deleted)$//')
            unit=$(sed -n 's#^[0-9]*:\(name=systemd\)\{0,1\}:.*/\([^/]*\.\(service\|scope\)\)$#\2#p' "/proc/$process/cgroup" 2>/dev/null | head -n 1)
        fi
        printf '%s\tprotocol=%s\taddress=%s\tprocess=%s\tunit=%s\n' "${program:--}" "$protocol" "$address" "$process" "$unit"
    done | sort -u | audit_with_packages listens
}

# audit_logins: user, uid, password (yes, or none: it is empty), and keys (their number), of users with a shell.
audit_logins() {
    files=$(sshd -T 2>/dev/null | sed -n 's/^authorizedkeysfile //p')
    while IFS=: read -r user _ uid _ _ home shell; do
        case $shell in */nologin | */false | */sync) continue ;; esac
        case $(getent shadow "$user" | cut -d : -f 2) in '') password=none ;; '!'* | '*'*) password='' ;; *) password=yes ;; esac
        keys=0
        for file in ${files:-.ssh/authorized_keys .ssh/authorized_keys2}; do
            file=$(printf '%s' "$file" | sed "s|%h|$home|g; s|%u|$user|g")
            case $file in /*) ;; *) file=$home/$file ;; esac
            # It is the user's: a pipe there would be waited for.
            if [ ! -f "$file" ]; then continue; fi
            lines=$(timeout 5 grep -cs '^[[:space:]]*[^#[:space:]]' "$file" || true)
            keys=$((keys + ${lines:-0}))
        done
        if [ -n "$password" ] || [ "$keys" -gt 0 ]; then printf 'kind=login\tuser=%s\tuid=%s\tpassword=%s\tkeys=%s\n' "$user" "$uid" "$password" "$keys"; fi
    done <"$root/etc/passwd"
}

# audit_sudo: who, and by: a group or a file.
audit_sudo() {
    for group in sudo admin wheel; do
        getent group "$group" | cut -d : -f 4 | tr ',' '\n' | sed -n "s/^\(..*\)/kind=sudo\twho=\1\tby=the group $group/p"
    done
    for file in "$root"/etc/sudoers "$root"/etc/sudoers.d/*; do
        case ${file##*/} in *.* | *~) continue ;; esac
        if [ -r "$file" ]; then sed -n "/^[[:space:]]*[#@]include/d; /^[[:space:]]*\(#\|\$\|Defaults\|[A-Za-z]*_Alias\)/d; s|^[[:space:]]*\([^[:space:]]*\).*|kind=sudo\twho=\1\tby=$file|p" "$file"; fi
    done
}

# audit_units: path, package, changed, unit: those that are enabled, and timers that run.
audit_units() {
    {
        systemctl list-unit-files --no-legend --plain --state=enabled,enabled-runtime | cut -d ' ' -f 1
        systemctl list-units --no-legend --plain --type=timer | cut -d ' ' -f 1
    } | sort -u | sed 's/@\./@audit./' | xargs -r -d '\n' systemctl show -p Id -p FragmentPath -- | awk -F = -v OFS='\t' '
        $1 == "Id" { id = $2 }
        $1 == "FragmentPath" { path = $2 }
        $0 == "" { print path, "unit=" id; path = "" }
        END { print path, "unit=" id }' | sort -u | audit_with_packages unit
}

# audit_cron: path, package, changed: system-wide tables and users' own.
audit_cron() {
    find "$root/etc/cron.d" "$root/etc/cron.hourly" "$root/etc/cron.daily" "$root/etc/cron.weekly" "$root/etc/cron.monthly" \
        "$root/var/spool/cron/crontabs" -mindepth 1 ! -type d ! -name .placeholder 2>/dev/null | audit_with_packages cron
}

# audit_suid: path, package, changed, access (mode and owner): on all disks where such files have an effect; containers have their own.
audit_suid() {
    awk '$3 ~ /^(ext[234]|xfs|btrfs|zfs|overlay|tmpfs|f2fs|jfs)$/ && $4 !~ /(^|,)nosuid(,|$)/ && $2 !~ /^\/(proc|sys)|\/(docker|containers?|containerd|lxc|snap)\// { print $2 }' /proc/self/mounts |
        sed 's/\\040/ /g' | while read -r mount; do audit_suid_below "$mount"; done | sort -u | audit_with_packages suid
}

# audit_suid_below MOUNT: PATH and access, with a tab between them. Anybody can make such a file, and have a tab or a newline in its name.
audit_suid_below() {
    find "$1" -xdev '(' -path /var/lib/docker -o -path /var/lib/containers -o -path /var/lib/containerd -o -path /var/lib/lxc -o -path /snap ')' -prune \
        -o -type f -perm /6000 -printf '%m %u:%g %p\0' 2>/dev/null | tr '\n\t' '??' | tr '\0' '\n' | sed 's/^\([^ ]* [^ ]*\) \(.*\)$/\2\taccess=\1/'
}
