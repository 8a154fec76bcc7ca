# shellcheck shell=sh

# In: NUMBER NAME. Out: exists=yes, if the group exists.
user_probe_groups() {
    while IFS='	' read -r number name; do
        if getent group "$name" >/dev/null; then printf '%s\texists=yes\n' "$number"; fi
    done
}

# In: NUMBER NAME. Out: group, home and shell, if the user exists.
user_probe() {
    while IFS='	' read -r number name; do
        if entry=$(getent passwd "$name"); then
            rest=${entry#*:*:*:*:*:}
            printf '%s\tgroup=%s\thome=%s\tshell=%s\n' "$number" "$(id -gn "$name")" "${rest%%:*}" "${rest#*:}"
        fi
    done
}
