# shellcheck shell=sh disable=SC2154
trust_folder=$root/usr/local/share/ca-certificates
trust_system=$root/etc/ssl/certs

# Out: name and trusted (yes or no), a record for each file of provision's; its name says what its content was.
trust_probe() {
    read -r number
    for file in "$trust_folder"/provision*.crt; do
        if [ -e "$file" ]; then printf '%s\tname=%s\ttrusted=%s\n' "$number" "${file##*/}" "$(if trust_holds "$file"; then echo yes; else echo no; fi)"; fi
    done
}

# trust_holds FILE: it is what its name says, and programs find it in the bundle and in the folder, whichever they read.
trust_holds() {
    [ "${1##*/provision-}" = "$(sha256sum <"$1" | cut -d' ' -f1).crt" ] &&
        openssl verify -no_check_time -partial_chain -no-CApath -CAfile "$trust_system/ca-certificates.crt" "$1" >/dev/null 2>&1 &&
        openssl verify -no_check_time -partial_chain -no-CAfile -CApath "$trust_system" "$1" >/dev/null 2>&1
}

# trust_only NAME...: update-ca-certificates from the beginning is for what it does not see by itself: programs then
# miss all authorities for a moment.
trust_only() {
    for file in "$trust_folder"/provision*.crt; do
        name=${file##*/}
        case " $* " in *" $name "*) continue ;; esac
        rm -f "$file" "$trust_system/${name%.crt}.pem"
        find "$trust_system" -lname "${name%.crt}.pem" -delete
    done
    update-ca-certificates
    for name; do
        if ! trust_holds "$trust_folder/$name"; then
            update-ca-certificates --fresh
            break
        fi
    done
}
