# shellcheck shell=sh

# In: NUMBER NAME. Out: exists=yes, for a group that there is.
user_probe_groups() {
    while IFS='	' read -r number name; do
        if getent group "$name" >/dev/null; then printf '%s\texists=yes\n' "$number"; fi
    done
}

# In: NUMBER NAME. Out: group, home and shell, for a user that there is.
user_probe() {
    while IFS='	' read -r number name; do
        if entry=$(getent passwd "$name"); then
            rest=${entry#*:*:*:*:*:}
            printf '%s\tgroup=%s\thome=%s\tshell=%s\n' "$number" "$(id -gn "$name")" "${rest%%:*}" "${rest#*:}"
        fi
    done
}
