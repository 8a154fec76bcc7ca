# shellcheck shell=sh

# In: NUMBER NAME. Out: NUMBER, for a group that exists.
user_probe_groups() {
    while IFS='	' read -r number name; do
        if getent group "$name" >/dev/null; then printf '%s\n' "$number"; fi
    done
}

# In: NUMBER NAME. Out: NUMBER GROUP HOME SHELL, for a user that exists.
user_probe() {
    while IFS='	' read -r number name; do
        if entry=$(getent passwd "$name"); then
            rest=${entry#*:*:*:*:*:}
            printf '%s\t%s\t%s\t%s\n' "$number" "$(id -gn "$name")" "${rest%%:*}" "${rest#*:}"
        fi
    done
}
