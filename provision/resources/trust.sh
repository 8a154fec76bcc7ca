# shellcheck shell=sh disable=SC2154
authorities=$root/usr/local/share/ca-certificates
system_authorities=$root/etc/ssl/certs

# Out: NUMBER NAME [trusted], a line for each file of provision's; its name says what its content was.
probe_authorities() {
    read -r number
    for file in "$authorities"/provision*.crt; do
        if [ -e "$file" ]; then printf '%s\t%s\t%s\n' "$number" "${file##*/}" "$(if trusted "$file"; then echo trusted; fi)"; fi
    done
}

# trusted FILE: it is what its name says, and programs find it in the bundle and in the folder, whichever they read.
trusted() {
    [ "${1##*/provision-}" = "$(sha256sum <"$1" | cut -d' ' -f1).crt" ] &&
        openssl verify -no_check_time -partial_chain -no-CApath -CAfile "$system_authorities/ca-certificates.crt" "$1" >/dev/null 2>&1 &&
        openssl verify -no_check_time -partial_chain -no-CAfile -CApath "$system_authorities" "$1" >/dev/null 2>&1
}

# trust_only NAME...: update-ca-certificates from the beginning is for what it does not see by itself: programs then
# miss all authorities for a moment.
trust_only() {
    for file in "$authorities"/provision*.crt; do
        name=${file##*/}
        case " $* " in *" $name "*) continue ;; esac
        rm -f "$file" "$system_authorities/${name%.crt}.pem"
        find "$system_authorities" -lname "${name%.crt}.pem" -delete
    done
    update-ca-certificates
    for name; do
        if ! trusted "$authorities/$name"; then
            update-ca-certificates --fresh
            break
        fi
    done
}
