# shellcheck shell=sh disable=SC2154
# redis_rights_text APP RULE: the users, as Redis reads them. Of root's password it has the SHA-256.
redis_rights_text() {
    printf 'user provision on #%s ~*%s +@all\n' "$(redis_password "$1" | tr -d '\n' | sha256sum | cut -c -64)" \
        "$(case $2 in *'&*'*) echo ' &*' ;; esac)"
    printf 'user default on nopass %s\n' "$2"
}

# In: NUMBER APP RULE. Out: written=yes (the files are right), active; if it runs, administered=yes (root may), loaded=yes (it has what was given last).
redis_probe_rights() {
    while IFS='	' read -r number app rule; do
        acl=$redis_settings/$app.acl
        if [ "$(stat -c '%a %U %G' "$redis_settings/$app.password" "$acl" 2>/dev/null | tr '\n' ' ')" = "600 root root 640 root $app " ] &&
            [ -n "$(redis_password "$app")" ] && [ "$(redis_rights_text "$app" "$rule")" = "$(cat "$acl")" ]; then
            printf '%s\twritten=yes\n' "$number"
        fi
        active=$(systemctl show -p ActiveState --value "provision-redis@$app.service")
        printf '%s\tactive=%s\n' "$number" "$active"
        if [ "$active" != active ]; then continue; fi
        loaded=$(redis_loaded "$app")
        if [ -n "$loaded" ]; then printf '%s\tadministered=yes\n' "$number"; fi
        if [ -n "$loaded" ] && [ "$loaded" = "$(cat "$provision_stamps/redis-$app.rights" 2>/dev/null)" ]; then printf '%s\tloaded=yes\n' "$number"; fi
    done
}

# redis_rights APP RULE now|later
redis_rights() {
    app=$1
    (umask 022 && mkdir -p "$redis_settings")
    if [ -z "$(redis_password "$app")" ]; then
        head -c 32 /dev/urandom | sha256sum | cut -c -64 | put "$redis_settings/$app.password" root root 600
    fi
    chown root:root "$redis_settings/$app.password"
    chmod 600 "$redis_settings/$app.password"
    redis_rights_text "$app" "$2" | put "$redis_settings/$app.acl" root "$app" 640
    if [ "$3" = later ]; then return 0; fi
    # Root's own first: what an instance does not have yet, the app's user may still give.
    while read -r _ user rights; do
        said=$(printf 'ACL SETUSER %s reset %s\n' "$user" "$rights" | redis_ask "$app")
        if [ "$said" != OK ]; then fail "$app: its Redis does not take the rights of $user: ${said:-it does not answer}"; fi
    done <"$redis_settings/$app.acl"
    # Whoever could administer it until now may have made users of their own.
    echo 'ACL USERS' | redis_ask "$app" | sed -n 's/^ *[0-9]*) \(".*"\)$/\1/p' | while read -r user; do
        case $user in '"default"' | '"provision"') continue ;; esac
        printf 'ACL DELUSER %s\n' "$user" | redis_ask "$app" >/dev/null
    done
    redis_note_rights "$app"
}
