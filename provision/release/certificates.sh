# shellcheck shell=sh disable=SC2154
# certificates_status APP...: a record for each app, with the keys of CertificateInfo (release/certificates.py), and last, which
# certificate_last says.
certificates_status() {
    for app; do
        target=$(readlink "$certificate_folder/$app" || true)
        how=none last='' until=''
        case $target in
        placeholder/*) how=self-signed ;;
        files/*) how=files ;;
        */live/*)
            how=certbot last=$(certificate_last "${target##*/}")
            if ! systemctl is-active --quiet certbot.timer || ! systemctl is-enabled --quiet certbot.timer; then how='certbot, whose timer is off'; fi
            ;;
        esac
        path=$certificate_folder/$app/fullchain.pem
        certificate_read "$path"
        said=$(openssl x509 -in "$path" -noout -serial -issuer -enddate -nameopt RFC2253 2>/dev/null | tr '\t' ' ')
        ends=$(printf '%s\n' "$said" | sed -n 's/^notAfter=//p')
        if [ -n "$ends" ]; then until=$(date -u -d "$ends" +%Y-%m-%dT%H:%M:%SZ); fi
        printf 'app=%s\tdomains=%s\tissuer=%s\tserial=%s\tuntil=%s\tdays=%s\trenewal=%s\tlast=%s\n' "$app" "$its_names" \
            "$(printf '%s\n' "$said" | sed -n 's/^issuer= *//p')" "$(printf '%s\n' "$said" | sed -n 's/^serial=//p')" "$until" "$its_days" "$how" "$last"
    done
}
