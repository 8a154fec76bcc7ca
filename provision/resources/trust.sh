# shellcheck shell=sh disable=SC2154
trust_folder=$root/usr/local/share/ca-certificates
trust_system=$root/etc/ssl/certs

# Out: name and trusted (yes or no), in a record for each of our files. The name is a hash of the content.
trust_probe() {
    read -r number
    for file in "$trust_folder"/provision*.crt; do
        if [ -e "$file" ]; then printf '%s\tname=%s\ttrusted=%s\n' "$number" "${file##*/}" "$(if trust_holds "$file"; then echo yes; else echo no; fi)"; fi
    done
}

# trust_holds FILE: whether its content matches its name, and programs find it both in the bundle and in the folder.
trust_holds() {
    [ "${1##*/provision-}" = "$(sha256sum <"$1" | cut -d' ' -f1).crt" ] &&
        openssl verify -no_check_time -partial_chain -no-CApath -CAfile "$trust_system/ca-certificates.crt" "$1" >/dev/null 2>&1 &&
        openssl verify -no_check_time -partial_chain -no-CAfile -CApath "$trust_system" "$1" >/dev/null 2>&1
}

# trust_only NAME...: --fresh is the last resort, because all authorities are missing for a moment.
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
