# shellcheck shell=sh disable=SC2154
# Whether an app's name is free on a server.

# In: NUMBER APP HOME BUILDER. Out: foreign (what there is of that name), if it is somebody else's.
claim_probe() {
    while IFS='	' read -r number app home builder; do
        layout_app "$app"
        if [ -d "$app_state" ] || [ "$(getent passwd "$app" | cut -d: -f6-)" = "$home:/usr/sbin/nologin" ]; then continue; fi
        foreign=$(claim_foreign "$app" "$builder" | sed ':next; N; $!b next; s/\n/, /g')
        if [ -n "$foreign" ]; then printf '%s\tforeign=%s\n' "$number" "$foreign"; fi
    done
}

# claim_foreign APP BUILDER: what there is of the app's name, one a line.
claim_foreign() {
    for user in "$1" "$2"; do
        entry=$(getent passwd "$user")
        if [ -n "$entry" ]; then
            echo "the user $user (uid $(id -u "$user"), home $(printf '%s\n' "$entry" | cut -d: -f6))"
        elif getent group "$user" >/dev/null; then
            echo "the group $user"
        fi
    done
    for folder in "$app_home" "$app_configuration" "$app_sockets"; do
        if [ -e "$folder" ] || [ -L "$folder" ]; then echo "$folder"; fi
    done
}
