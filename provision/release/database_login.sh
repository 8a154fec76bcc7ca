# shellcheck shell=sh disable=SC2154
# What a server knows of databases on other hosts, and of the apps on other hosts that it serves.

# database_facts: out: a record with app, password and root (base64) for each app that has logged in to another host's PostgreSQL. If this
# server's serves such apps: one with certificate and root (base64), and key=yes where it has the key to that.
database_facts() {
    layout_login '*'
    for login in $login_password; do
        if [ ! -f "$login" ]; then continue; fi
        app=${login%/*} app=${app##*/}
        layout_login "$app"
        printf 'databases\tapp=%s\troot=%s\tpassword=%s\n' "$app" "$(base64 -w 0 <"$login_root" 2>/dev/null)" "$(head -c 200 "$login")"
    done
    if [ ! -e "$databases_configuration" ]; then return 0; fi
    key=$(openssl pkey -in "$databases_key" -pubout 2>/dev/null)
    if [ -n "$key" ] && [ "$key" = "$(openssl x509 -in "$databases_certificate" -noout -pubkey 2>/dev/null)" ]; then key=yes; else key=no; fi
    printf 'databases\tserves=yes\tkey=%s\tcertificate=%s\troot=%s\n' "$key" "$(base64 -w 0 <"$databases_certificate" 2>/dev/null)" \
        "$(base64 -w 0 <"$databases_root" 2>/dev/null)"
}

# In: NUMBER APP ADDRESS LOGIN. Out, where the app's server has a login and the client's program: said (empty where PostgreSQL lets it in). It
# asks as the app, which has the password.
database_login_reach() {
    while IFS='	' read -r number app address login; do
        layout_login "$app"
        if [ ! -s "$login_password" ] || ! command -v psql >/dev/null || ! getent passwd "$app" >/dev/null; then continue; fi
        said=$(cd / && PGHOST=$address PGUSER=$login PGDATABASE=$app PGPASSWORD=$(cat "$login_password") PGSSLMODE=verify-full \
            PGSSLROOTCERT=${login_root#"$root"} PGCONNECT_TIMEOUT=5 runuser -u "$app" -- psql -XAtqc 'select 1' 2>&1)
        if [ "$said" = 1 ]; then said=; else said=$(printf '%s' "$said" | tr -c '[:print:]' ' ' | sed 's/^psql: error: //' | cut -c 1-300); fi
        printf '%s\tasked=yes\tsaid=%s\n' "$number" "$said"
    done
}

# In: NUMBER APP. Out: there=yes where it has a login.
database_login_probe() {
    while IFS='	' read -r number app; do
        layout_login "$app"
        if [ -e "$login_password" ] || [ -e "$login_root" ]; then printf '%s\tthere=yes\n' "$number"; fi
    done
}

# database_login_remove APP
database_login_remove() {
    layout_login "$1"
    rm -f "$login_password" "$login_root"
}
