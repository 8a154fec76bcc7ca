# shellcheck shell=sh disable=SC2154
# What a server knows of databases on other hosts, and of the apps on other hosts that it serves.

# database_facts: out: a record with app, password and root (base64) for each app that has logged in to another host's PostgreSQL. If this
# server's serves such apps: one with certificate and root (base64), and key=yes where PostgreSQL's user can read the key to that.
database_facts() {
    layout_app '*'
    for login in $app_database_login; do
        if [ ! -f "$login" ]; then continue; fi
        app=${login%/*} app=${app##*/}
        layout_app "$app"
        printf 'databases\tapp=%s\troot=%s\tpassword=%s\n' "$app" "$(base64 -w 0 <"$app_database_root" 2>/dev/null)" "$(head -c 200 "$login")"
    done
    if [ ! -e "$databases_configuration" ]; then return 0; fi
    key=no
    if [ "$(stat -c '%U %G %a' "$databases_key" 2>/dev/null)" = 'root postgres 640' ] &&
        [ "$(openssl pkey -in "$databases_key" -pubout 2>/dev/null)" = "$(openssl x509 -in "$databases_certificate" -noout -pubkey 2>/dev/null)" ]; then key=yes; fi
    printf 'databases\tserves=yes\tkey=%s\tcertificate=%s\troot=%s\n' "$key" "$(base64 -w 0 <"$databases_certificate" 2>/dev/null)" \
        "$(base64 -w 0 <"$databases_root" 2>/dev/null)"
}

# In: NUMBER APP. Out: there=yes where it has a login.
database_login_probe() {
    while IFS='	' read -r number app; do
        layout_app "$app"
        if [ -e "$app_database_login" ] || [ -e "$app_database_root" ]; then printf '%s\tthere=yes\n' "$number"; fi
    done
}

# database_login_remove APP
database_login_remove() {
    layout_app "$1"
    rm -f "$app_database_login" "$app_database_root"
}
