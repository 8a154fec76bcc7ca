# shellcheck shell=sh disable=SC2154
tls=$root/etc/ssl/provision

# names_of FILE: the DNS names of a certificate, sorted, on one line.
names_of() {
    openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null | tr ',' '\n' | sed -n 's/^ *DNS://p' | sort | tr '\n' ' ' | sed 's/ $//'
}

# days_of FILE: how many whole days are left.
days_of() {
    end=$(openssl x509 -in "$1" -noout -enddate 2>/dev/null | cut -d= -f2)
    if [ -n "$end" ]; then echo $((($(date -d "$end" +%s) - $(date +%s)) / 86400)); fi
}

# In: NUMBER APP SERVER ADDRESS "DOMAIN DOMAIN...". Out: NUMBER certificate LINK_TARGET PLACEHOLDER_NAMES
# PLACEHOLDER_DAYS ACME_SERVER NAMES DAYS; and, where a certificate is yet to be had, NUMBER here "ADDRESS..." and
# NUMBER domain DOMAIN "ADDRESS..." for each domain.
probe_certificates() {
    while IFS='	' read -r number app server address domains; do
        live=$root/etc/letsencrypt/live/$app/fullchain.pem
        from="" names=""
        if [ -e "$live" ] && [ "$server" != - ]; then
            from=$(sed -n 's/^server = //p' "$root/etc/letsencrypt/renewal/$app.conf")
            names=$(names_of "$live")
        fi
        days=
        if [ -n "$names" ]; then days=$(days_of "$live"); fi
        placeholder=$tls/placeholder/$app/fullchain.pem
        target=$(readlink "$tls/$app" || true)
        if [ ! -e "$tls/$app/privkey.pem" ] || [ ! -e "$tls/$app/fullchain.pem" ]; then target=; fi
        own="" own_days=""
        if [ "$server" = - ] && [ -e "$placeholder" ]; then own=$(names_of "$placeholder") own_days=$(days_of "$placeholder"); fi
        printf '%s\tcertificate\t%s\t%s\t%s\t%s\t%s\t%s\n' "$number" "$target" "$own" "$own_days" "$from" "$names" "$days"
        if [ "$server" != - ] && { [ "$from" != "$server" ] || [ "$names" != "$domains" ]; }; then
            printf '%s\there\t%s\n' "$number" "$(hostname -I 2>/dev/null || ip -o addr | awk '{ sub("/.*", "", $4); print $4 }' | tr '\n' ' ') $(addresses_of "$address")"
            for domain in $domains; do printf '%s\tdomain\t%s\t%s\n' "$number" "$domain" "$(addresses_of "$domain")"; done
        fi
    done
}

addresses_of() { timeout 10 getent ahosts "$1" | awk '{ print $1 }' | sort -u | tr '\n' ' '; }

# make_placeholder APP DOMAIN...
make_placeholder() {
    folder=$tls/placeholder/$1
    beside=$tls/placeholder/.new-$1
    names=$(shift && printf ',DNS:%s' "$@")
    rm -rf "$beside"
    (umask 022 && mkdir -p "$tls/placeholder" && mkdir "$beside")
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$2" \
        -addext "subjectAltName=${names#,}" -keyout "$beside/privkey.pem" -out "$beside/fullchain.pem" 2>/dev/null
    chmod 600 "$beside/privkey.pem"
    sync -f "$beside"
    rm -rf "$folder"
    mv -T "$beside" "$folder"
    point "$tls/$1" "placeholder/$1"
}

# obtain_certificate APP SERVER EMAIL CA no|new|force WEBROOT DOMAIN...
obtain_certificate() {
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
    point "$tls/$app" "/etc/letsencrypt/live/$app"
}

# In: NUMBER APP. Out: NUMBER LINK_TARGET SHA256_OF_CHAIN SHA256_OF_KEY "MODE OWNER:GROUP", the key's.
probe_installed() {
    while IFS='	' read -r number app; do
        chain=$tls/$app/fullchain.pem key=$tls/$app/privkey.pem
        if [ ! -e "$chain" ] || [ ! -e "$key" ]; then continue; fi
        printf '%s\t%s\t%s\t%s\t%s\n' "$number" "$(readlink "$tls/$app")" "$(sha256sum <"$chain" | cut -d' ' -f1)" \
            "$(sha256sum <"$key" | cut -d' ' -f1)" "$(stat -c '%a %U:%G' "$key")"
    done
}

# install_certificate APP TARGET LINES <the chain's so many lines, and the key's
install_certificate() {
    beside=$tls/files/.new-$1
    rm -rf "$beside"
    (umask 022 && mkdir -p "$tls/files" "$tls/$2" && mkdir "$beside")
    (umask 077 && awk -v lines="$3" -v chain="$beside/fullchain.pem" -v key="$beside/privkey.pem" '{ print >(NR <= lines ? chain : key) }')
    chmod 644 "$beside/fullchain.pem"
    sync -f "$beside"
    mv -fT "$beside/fullchain.pem" "$tls/$2/fullchain.pem"
    mv -fT "$beside/privkey.pem" "$tls/$2/privkey.pem"
    rmdir "$beside"
    point "$tls/$1" "$2"
    for old in "$tls/files/$1@"*; do if [ "$old" != "$tls/$2" ]; then rm -rf "$old"; fi; done
}
