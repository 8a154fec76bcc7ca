# shellcheck shell=sh disable=SC2154
certificate_folder=$root/etc/ssl/provision

# certificate_names FILE: the DNS names of a certificate, sorted, on one line.
certificate_names() {
    openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null | tr ',' '\n' | sed -n 's/^ *DNS://p' | sort | tr '\n' ' ' | sed 's/ $//'
}

# certificate_days FILE: whole days until it expires.
certificate_days() {
    end=$(openssl x509 -in "$1" -noout -enddate 2>/dev/null | cut -d= -f2)
    if [ -n "$end" ]; then echo $((($(date -d "$end" +%s) - $(date +%s)) / 86400)); fi
}

# In: NUMBER APP SERVER|- ADDRESS "DOMAIN DOMAIN...". Out: target (of the link), placeholder_names, placeholder_days, server (the ACME
# directory), names and days; if a certificate still has to be obtained, also a record with here (the server's addresses), and one
# with domain and addresses for each domain.
certificate_probe() {
    while IFS='	' read -r number app server address domains; do
        live=$root/etc/letsencrypt/live/$app/fullchain.pem
        from="" names=""
        if [ -e "$live" ] && [ "$server" != - ]; then
            from=$(sed -n 's/^server = //p' "$root/etc/letsencrypt/renewal/$app.conf")
            names=$(certificate_names "$live")
        fi
        days=
        if [ -n "$names" ]; then days=$(certificate_days "$live"); fi
        placeholder=$certificate_folder/placeholder/$app/fullchain.pem
        target=$(readlink "$certificate_folder/$app" || true)
        if [ ! -e "$certificate_folder/$app/privkey.pem" ] || [ ! -e "$certificate_folder/$app/fullchain.pem" ]; then target=; fi
        own="" own_days=""
        if [ "$server" = - ] && [ -e "$placeholder" ]; then own=$(certificate_names "$placeholder") own_days=$(certificate_days "$placeholder"); fi
        printf '%s\ttarget=%s\tplaceholder_names=%s\tplaceholder_days=%s\tserver=%s\tnames=%s\tdays=%s\n' "$number" "$target" "$own" "$own_days" "$from" "$names" "$days"
        if [ "$server" != - ] && { [ "$from" != "$server" ] || [ "$names" != "$domains" ]; }; then
            printf '%s\there=%s\n' "$number" "$(hostname -I 2>/dev/null || ip -o addr | awk '{ sub("/.*", "", $4); print $4 }' | tr '\n' ' ') $(certificate_addresses "$address")"
            for domain in $domains; do printf '%s\tdomain=%s\taddresses=%s\n' "$number" "$domain" "$(certificate_addresses "$domain")"; done
        fi
    done
}

certificate_addresses() { timeout 10 getent ahosts "$1" | awk '{ print $1 }' | sort -u | tr '\n' ' '; }

# certificate_make_placeholder APP DOMAIN...
certificate_make_placeholder() {
    folder=$certificate_folder/placeholder/$1
    beside=$certificate_folder/placeholder/.new-$1
    names=$(shift && printf ',DNS:%s' "$@")
    rm -rf "$beside"
    (umask 022 && mkdir -p "$certificate_folder/placeholder" && mkdir "$beside")
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$2" \
        -addext "subjectAltName=${names#,}" -keyout "$beside/privkey.pem" -out "$beside/fullchain.pem" 2>/dev/null
    chmod 600 "$beside/privkey.pem"
    sync -f "$beside"
    rm -rf "$folder"
    mv -T "$beside" "$folder"
    point "$certificate_folder/$1" "placeholder/$1"
}

# certificate_obtain APP SERVER EMAIL CA no|new|force WEBROOT DOMAIN...
certificate_obtain() {
    app=$1 server=$2 email=$3 ca=$4 how=$5 webroot=$6
    shift 6
    if [ "$how" != no ]; then
        count=$#
        for domain; do set -- "$@" -d "$domain"; done
        shift "$count"
        if [ "$how" = force ]; then set -- "$@" --force-renewal --renew-with-new-domains; fi
        if [ -n "$email" ]; then set -- "$@" --email "$email"; else set -- "$@" --register-unsafely-without-email; fi
        if [ -n "$ca" ]; then export REQUESTS_CA_BUNDLE="$ca"; fi
        certbot certonly --non-interactive --agree-tos --webroot -w "$webroot" --key-type ecdsa --cert-name "$app" --server "$server" "$@" ||
            fail "$app: $server gave no certificate; its reason stands above"
    fi
    point "$certificate_folder/$app" "/etc/letsencrypt/live/$app"
}

# In: NUMBER APP. Out: target (of the link), chain and key (SHA-256), and access ("MODE OWNER:GROUP", the key's), if both are there.
certificate_probe_provided() {
    while IFS='	' read -r number app; do
        chain=$certificate_folder/$app/fullchain.pem key=$certificate_folder/$app/privkey.pem
        if [ ! -e "$chain" ] || [ ! -e "$key" ]; then continue; fi
        printf '%s\ttarget=%s\tchain=%s\tkey=%s\taccess=%s\n' "$number" "$(readlink "$certificate_folder/$app")" "$(sha256sum <"$chain" | cut -d' ' -f1)" \
            "$(sha256sum <"$key" | cut -d' ' -f1)" "$(stat -c '%a %U:%G' "$key")"
    done
}

# certificate_install APP TARGET LINES <that many lines of the chain, then the key
certificate_install() {
    app=$1 target=$2 lines=$3
    beside=$certificate_folder/files/.new-$app
    rm -rf "$beside"
    (umask 022 && mkdir -p "$certificate_folder/files" "$certificate_folder/$target" && mkdir "$beside")
    (umask 077 && awk -v lines="$lines" -v chain="$beside/fullchain.pem" -v key="$beside/privkey.pem" '{ print >(NR <= lines ? chain : key) }')
    chmod 644 "$beside/fullchain.pem"
    sync -f "$beside"
    mv -fT "$beside/fullchain.pem" "$certificate_folder/$target/fullchain.pem"
    mv -fT "$beside/privkey.pem" "$certificate_folder/$target/privkey.pem"
    rmdir "$beside"
    point "$certificate_folder/$app" "$target"
    for old in "$certificate_folder/files/$app@"*; do if [ "$old" != "$certificate_folder/$target" ]; then rm -rf "$old"; fi; done
}
