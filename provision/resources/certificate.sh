# shellcheck shell=sh disable=SC2154
certificate_folder=$root/etc/ssl/provision
certificate_certbot=$root/etc/letsencrypt
certificate_credentials=/etc/provision/dns.ini

# certificate_read FILE: sets its_names (the DNS names of a certificate, sorted), its_days (whole days until it expires) and its_public (the
# public key, in PEM); empty if it is none. One openssl for all: OpenSSL 3 takes 40 ms for each.
certificate_read() {
    its_names='' its_days='' its_public=''
    said=$(openssl x509 -in "$1" -noout -ext subjectAltName -enddate -pubkey 2>/dev/null) || return 0
    its_names=$(printf '%s\n' "$said" | tr ',' '\n' | sed -n 's/^ *DNS://p' | sort | tr '\n' ' ' | sed 's/ $//')
    its_public=$(printf '%s\n' "$said" | sed -n '/^-----BEGIN/,/^-----END/p')
    end=$(printf '%s\n' "$said" | sed -n 's/^notAfter=//p')
    if [ -n "$end" ]; then its_days=$((($(date -d "$end" +%s) - $(date +%s)) / 86400)); fi
}

# certificate_days FILE: whole days until it expires.
certificate_days() {
    certificate_read "$1"
    echo "$its_days"
}

# certificate_lineages APP: the names of certbot's lineages that are the app's by their names: APP, and APP-0001 and the like, which
# certbot makes where APP is taken.
certificate_lineages() {
    for path in "$certificate_certbot/renewal/$1.conf" "$certificate_certbot/live/$1" "$certificate_certbot/archive/$1" \
        "$certificate_certbot/renewal/$1"-[0-9][0-9][0-9][0-9].conf "$certificate_certbot"/live/"$1"-[0-9][0-9][0-9][0-9] \
        "$certificate_certbot"/archive/"$1"-[0-9][0-9][0-9][0-9]; do
        name=${path##*/} name=${name%.conf}
        if { [ -e "$path" ] || [ -L "$path" ]; } && { [ "$name" = "$1" ] || [ ! -L "$certificate_folder/$name" ]; }; then echo "$name"; fi
    done | sort -u
}

# certificate_newest NAME: the number of the newest set of files in a lineage's archive; empty if there is none.
certificate_newest() {
    for path in "$certificate_certbot/archive/$1"/fullchain*.pem; do
        number=${path##*/fullchain} number=${number%.pem}
        if [ -s "$certificate_certbot/archive/$1/cert$number.pem" ] && [ -s "$certificate_certbot/archive/$1/chain$number.pem" ] &&
            certificate_pair "$path" "$certificate_certbot/archive/$1/privkey$number.pem"; then echo "$number"; fi
    done | sort -n | tail -n 1
}

# certificate_pair CHAIN KEY: whether they belong together. Sets what certificate_read does.
certificate_pair() {
    certificate_read "$1"
    [ -n "$its_public" ] && [ "$its_public" = "$(openssl pkey -in "$2" -pubout 2>/dev/null)" ]
}

# certificate_look NAME: sets its: whole; linkless (the links to its newest files are not right); or broken. And for the first two what
# certificate_read does.
certificate_look() {
    its=broken conf=$certificate_certbot/renewal/$1.conf live=$certificate_certbot/live/$1
    for kind in cert chain fullchain privkey server; do
        if ! grep -qs "^$kind = ." "$conf"; then return 0; fi
    done
    if [ -L "$live/cert.pem" ] && [ -L "$live/chain.pem" ] && [ -L "$live/fullchain.pem" ] && [ -L "$live/privkey.pem" ] &&
        [ -s "$live/cert.pem" ] && [ -s "$live/chain.pem" ] && certificate_pair "$live/fullchain.pem" "$live/privkey.pem"; then
        its=whole
        return 0
    fi
    newest=$(certificate_newest "$1")
    if [ -n "$newest" ]; then
        its=linkless
        certificate_read "$certificate_certbot/archive/$1/fullchain$newest.pem"
    fi
}

# certificate_find APP SERVER "DOMAIN DOMAIN...": sets lineage (of this directory and for these domains, or else the one with the
# app's name, if it is whole; or empty), state, from (its directory), dns (the plugin that it is renewed with, if that has the
# inventory's credentials), names, days, and spare (those that have to go).
certificate_find() {
    lineage='' state='' from='' dns='' names='' days='' spare=''
    own=$(certificate_lineages "$1")
    all=
    for path in "$certificate_certbot"/renewal/*.conf; do if [ -e "$path" ]; then path=${path##*/} all="$all ${path%.conf}"; fi; done
    for name in $own $all; do
        certificate_look "$name"
        if [ "$its" = broken ]; then continue; fi
        directory=$(sed -n 's/^server = //p' "$certificate_certbot/renewal/$name.conf")
        fits=no
        if [ "$directory" = "$2" ] && [ "$its_names" = "$3" ]; then fits=yes; fi
        if [ "$fits" = yes ] || { [ "$name" = "$1" ] && [ "$its" = whole ]; }; then
            lineage=$name state=$its from=$directory names=$its_names days=$its_days
        fi
        if [ "$fits" = yes ]; then break; fi
    done
    if [ -n "$lineage" ]; then dns=$(sed -n "s|^dns_\\([a-z0-9]*\\)_credentials = $certificate_credentials\$|\\1|p" "$certificate_certbot/renewal/$lineage.conf"); fi
    for name in $own; do if [ "$name" != "$lineage" ]; then spare="$spare $name"; fi; done
}

# certificate_wait APP SERVER "DOMAIN DOMAIN...": when the directory may be asked again for this certificate, if that is not yet.
certificate_wait() {
    mark=$provision_certificates/$1
    if [ "$(cat "$mark" 2>/dev/null)" = "$2 $3" ]; then
        asked=$(stat -c %Y "$mark") now=$(date +%s)
        if [ "$asked" -le "$now" ] && [ "$now" -lt "$((asked + 3600))" ]; then date -u -d "@$((asked + 3600))" +%Y-%m-%dT%H:%M:%SZ; fi
    fi
}

# In: NUMBER APP SERVER|- ADDRESS|- "DOMAIN DOMAIN..."|-. Out: target (of the link), placeholder_names and placeholder_days (unless the
# domains are -, as another certificate will follow), lineage, state, server (the ACME directory), dns (certbot's plugin), names and days of
# the certificate that there is, spare (lineages that have to go), wait (when the directory may be asked again) and next (where the link to
# one that is held leads). If a certificate still has to be obtained, and ADDRESS is not -, also a record with here (the server's
# addresses), and one with domain and addresses for each domain. Without openssl, nothing can be said of what there is: unread=yes, if it is in use.
certificate_probe() {
    while IFS='	' read -r number app server address domains; do
        target=$(readlink "$certificate_folder/$app" || true)
        if [ ! -e "$certificate_folder/$app/privkey.pem" ] || [ ! -e "$certificate_folder/$app/fullchain.pem" ]; then target=; fi
        if [ "$server" = - ]; then
            its_names='' its_days=''
            if [ "$domains" != - ]; then certificate_read "$certificate_folder/placeholder/$app/fullchain.pem"; fi
            printf '%s\ttarget=%s\tplaceholder_names=%s\tplaceholder_days=%s\n' "$number" "$target" "$its_names" "$its_days"
            continue
        fi
        if ! command -v openssl >/dev/null && [ -n "$target" ]; then
            printf '%s\tunread=yes\n' "$number"
            continue
        fi
        certificate_find "$app" "$server" "$domains"
        printf '%s\ttarget=%s\tlineage=%s\tstate=%s\tserver=%s\tdns=%s\tnames=%s\tdays=%s\tspare=%s\twait=%s\tnext=%s\n' "$number" "$target" "$lineage" "$state" \
            "$from" "$dns" "$names" "$days" "${spare# }" "$(certificate_wait "$app" "$server" "$domains")" \
            "$(readlink "$certificate_folder/before/$app.next" || true)"
        if [ "$address" != - ] && { [ "$from" != "$server" ] || [ "$names" != "$domains" ]; }; then
            domains_records "$number" "$address" "$domains"
        fi
    done
}

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

# certificate_keep APP: nginx reads copies while the lineage that it reads moves.
certificate_keep() {
    kept=$certificate_folder/before/$1
    (umask 077 && mkdir -p "$certificate_folder/before" && rm -rf "$kept.new" && mkdir "$kept.new")
    cat "$certificate_folder/$1/fullchain.pem" >"$kept.new/fullchain.pem"
    (umask 077 && cat "$certificate_folder/$1/privkey.pem" >"$kept.new/privkey.pem")
    rm -rf "$kept"
    mv -T "$kept.new" "$kept"
    point "$certificate_folder/$1" "before/$1"
}

# certificate_put_aside APP NAME: a lineage that certbot must no longer see; nothing of it is lost.
certificate_put_aside() {
    aside=$certificate_certbot/put-aside/$2-$(date -u +%Y%m%dT%H%M%S)
    case $(readlink "$certificate_folder/$1" || true) in
    */live/"$2") if [ -s "$certificate_folder/$1/fullchain.pem" ] && [ -s "$certificate_folder/$1/privkey.pem" ]; then certificate_keep "$1"; fi ;;
    esac
    (umask 077 && mkdir -p "$aside")
    for each in "renewal/$2.conf" "live/$2" "archive/$2"; do
        if [ -e "$certificate_certbot/$each" ] || [ -L "$certificate_certbot/$each" ]; then mv "$certificate_certbot/$each" "$aside/${each%%/*}"; fi
    done
    notice "$1: certbot's lineage $2 was broken, or one too many: it was moved to $aside"
}

# certificate_link NAME: the links of a lineage, to its newest files.
certificate_link() {
    newest=$(certificate_newest "$1")
    (umask 077 && mkdir -p "$certificate_certbot/live")
    (umask 022 && mkdir -p "$certificate_certbot/live/$1")
    for kind in cert chain fullchain privkey; do point "$certificate_certbot/live/$1/$kind.pem" "../../archive/$1/$kind$newest.pem"; done
}

# certificate_obtain APP SERVER EMAIL CA no|new|force|renew|replace WEBROOT LINEAGE "SPARE SPARE..." HELD yes|no|none DNS|- WAIT DOMAIN...:
# yes, no or none is what certificate_answers asks, DNS a plugin of certbot's, and WAIT its seconds. If HELD is yes, nginx reads what it
# reads until the link that is left in before/ takes the place of its own.
certificate_obtain() {
    app=$1 server=$2 email=$3 ca=$4 how=$5 webroot=$6 lineage=$7 spare=$8 held=$9 checks=${10} dns=${11} wait=${12}
    shift 12
    for name in $spare; do certificate_put_aside "$app" "$name"; done
    if [ "$how" = no ]; then
        certificate_look "$lineage"
        if [ "$its" = linkless ]; then certificate_link "$lineage"; fi
    else
        if [ "$held" = yes ]; then certificate_hold; fi
        certificate_ask "$@"
    fi
    if [ "$held" = yes ]; then
        (umask 077 && mkdir -p "$certificate_folder/before")
        point "$certificate_folder/before/$app.next" "$certificate_certbot/live/$lineage"
        return 0
    fi
    point "$certificate_folder/$app" "$certificate_certbot/live/$lineage"
    rm -rf "$certificate_folder/before/$app" "$certificate_folder/before/$app.was" "$certificate_folder/before/$app.next"
}

# certificate_hold: nginx reads copies while the lineage gets other names. Its link is kept, the very inode that a stamp knows.
certificate_hold() {
    was=$certificate_folder/before/$app.was
    case $(readlink "$certificate_folder/$app" || true) in */live/"$lineage") ;; *) return 0 ;; esac
    if [ ! -s "$certificate_folder/$app/fullchain.pem" ] || [ ! -s "$certificate_folder/$app/privkey.pem" ]; then return 0; fi
    (umask 077 && mkdir -p "$certificate_folder/before")
    rm -f "$was"
    cp -alT "$certificate_folder/$app" "$was"
    certificate_keep "$app"
}

# certificate_release: the lineage has the names that it had, so nginx may read it again.
certificate_release() {
    if [ ! -L "$certificate_folder/before/$app.was" ]; then return 0; fi
    certificate_look "$lineage"
    kept=$its_public
    certificate_read "$certificate_folder/before/$app/fullchain.pem"
    if [ "$its" != whole ] || [ -z "$kept" ] || [ "$kept" != "$its_public" ]; then return 0; fi
    mv -fT "$certificate_folder/before/$app.was" "$certificate_folder/$app"
    rm -rf "$certificate_folder/before/$app"
}

# certificate_answers DOMAIN...: whether what the directory will ask for under each name comes from this server's nginx; otherwise sets
# unanswered. Asked are the server itself and, if checks is yes, all addresses of the name; if it is none, nothing. Where one cannot
# be reached from here, the directory may still reach it: a server often has no way to its own public address.
certificate_answers() {
    token=provision-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') unanswered=''
    place=/.well-known/acme-challenge/$token
    if [ "$checks" = none ] || ! command -v curl >/dev/null; then return 0; fi
    (umask 022 && mkdir -p "$webroot${place%/*}" && printf '%s' "$token" >"$webroot$place")
    for domain; do
        for address in 127.0.0.1 $(if [ "$checks" = yes ]; then domains_addresses "$domain"; fi); do
            case $address in *:*) at="[$address]" ;; *) at=$address ;; esac
            said=$(curl -s -m 5 --noproxy '*' --resolve "$domain:80:$at" "http://$domain$place" | head -c 100) || true
            if [ "$said" = "$token" ] || { [ "$address" != 127.0.0.1 ] && [ -z "$said" ]; }; then continue; fi
            unanswered="http://$domain${place%/*}/ at $at, port 80, is not answered by this server's nginx, and the issuer would ask there"
        done
    done
    rm -f "$webroot$place"
    [ -z "$unanswered" ]
}

# certificate_mark DOMAIN...: the directory is about to be asked.
certificate_mark() {
    mark=$provision_certificates/$app
    wanted=$(printf '%s\n' "$@" | sort | tr '\n' ' ')
    if [ -n "$ca" ]; then export REQUESTS_CA_BUNDLE="$ca"; fi
    mkdir -p "$provision_certificates"
    printf '%s\n' "$server ${wanted% }" | put "$mark" root root 600
    log=$root/var/log/letsencrypt/letsencrypt.log
    logged=$(stat -c %s "$log" 2>/dev/null || echo 0)
}

# certificate_unmark: it was asked, and may be again, if it has certainly given none.
certificate_unmark() {
    # Debian's certbot goes on with the log of before.
    if [ "$(stat -c %s "$log" 2>/dev/null || echo 0)" -lt "$logged" ]; then logged=0; fi
    if ! tail -c "+$((logged + 1))" "$log" 2>/dev/null | grep -q 'BEGIN CERTIFICATE-'; then rm -f "$mark"; fi
}

# certificate_serves_on WHY: nothing fails, as the certificate that there is can still be used.
certificate_serves_on() {
    days=$(certificate_days "$certificate_certbot/live/$lineage/fullchain.pem")
    notice "$app: $1: the certificate that there is serves on, and ends in $days days"
}

# certificate_ask DOMAIN...: of the directory, by certbot. The mark stays, unless the directory has certainly given none. A renewal
# that fails leaves what there is, which is still good, and the mark, so that the directory is not asked at each deploy.
certificate_ask() {
    if ! certificate_answers "$@"; then
        case $how in renew | replace) certificate_serves_on "$server was not asked for another, as $unanswered" && return 0 ;; esac
        if [ "$held" = yes ]; then certificate_release; fi
        fail "$app: $server was not asked for a certificate, as $unanswered"
    fi
    certificate_mark "$@"
    count=$#
    for domain; do set -- "$@" -d "$domain"; done
    shift "$count"
    case $how in force | renew | replace) set -- "$@" --force-renewal --renew-with-new-domains ;; esac
    if [ -n "$email" ]; then set -- "$@" --email "$email"; else set -- "$@" --register-unsafely-without-email; fi
    if [ "$dns" = - ]; then
        set -- "$@" --webroot -w "$webroot"
    else
        set -- "$@" --authenticator "dns-$dns" "--dns-$dns-credentials" "$certificate_credentials" "--dns-$dns-propagation-seconds" "$wait"
    fi
    certbot certonly --non-interactive --agree-tos --key-type ecdsa --cert-name "$lineage" --server "$server" "$@" || {
        case $how in
        renew) certificate_serves_on "$server gave no other certificate, and certbot goes on trying (/var/log/letsencrypt/letsencrypt.log on the server says why)" && return 0 ;;
        replace) certificate_serves_on "$server gave no other certificate, and the next deploy asks again; its reason stands above" && return 0 ;;
        esac
        certificate_unmark
        if [ "$held" = yes ]; then certificate_release; fi
        fail "$app: $server gave no certificate; its reason stands above"
    }
    certificate_look "$lineage"
    if [ "$its" != whole ]; then fail "$app: certbot says that it has a certificate, and $certificate_certbot/live/$lineage is not whole"; fi
}

# certificate_renew APP SERVER CA WEBROOT LINEAGE yes|no|none DOMAIN...: now, whatever is left of it. certbot's own hook would let nginx
# reload, which the caller does.
certificate_renew() {
    app=$1 server=$2 ca=$3 webroot=$4 lineage=$5 checks=$6
    shift 6
    if ! certificate_answers "$@"; then fail "$app: $server was not asked, and the certificate that there is serves on, as $unanswered"; fi
    certificate_mark "$@"
    certbot renew --non-interactive --no-random-sleep-on-renew --no-directory-hooks --force-renewal --cert-name "$lineage" || {
        certificate_unmark
        fail "$app: $server gave no certificate, and the one that there is serves on; the reason stands above"
    }
    certificate_look "$lineage"
    if [ "$its" != whole ]; then fail "$app: certbot says that it has a certificate, and $certificate_certbot/live/$lineage is not whole"; fi
}

# certificate_last LINEAGE: when certbot last renewed it, and the reason of an attempt since then that failed: "TIME", or "TIME REASON".
certificate_last() {
    made=$(stat -L -c %Y "$certificate_certbot/live/$1/cert.pem" 2>/dev/null || echo 0)
    said=$(cat "$root/var/log/letsencrypt/letsencrypt.log.1" "$root/var/log/letsencrypt/letsencrypt.log" 2>/dev/null |
        grep -F ":Failed to renew certificate $1 with error: " | tail -n 1 | tr '\t' ' ' | cut -c 1-400)
    at=$(date -d "${said%%,*}" +%s 2>/dev/null || echo 0)
    if [ -n "$said" ] && [ "$at" -gt "$made" ]; then
        printf '%s %s\n' "$(date -u -d "@$at" +%Y-%m-%dT%H:%M:%SZ)" "${said#*" with error: "}"
    elif [ "$made" != 0 ]; then
        date -u -d "@$made" +%Y-%m-%dT%H:%M:%SZ
    fi
}

# certificate_failed APP: the time of a renewal that failed, and the reason, if none succeeded since.
certificate_failed() {
    case $(readlink "$certificate_folder/$1" || true) in
    */live/*) certificate_last "$(basename "$(readlink "$certificate_folder/$1")")" | grep ' ' || true ;;
    esac
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
