# shellcheck shell=sh

# In: NUMBER NAME. Out: exists=yes, if the locale exists. `locale -a` writes de_DE.UTF-8 as de_DE.utf8.
locale_probe() {
    present=$(locale -a | tr -d '-' | tr '[:upper:]' '[:lower:]')
    while IFS='	' read -r number name; do
        if printf '%s\n' "$present" | grep -qxF "$(printf '%s\n' "$name" | tr -d '-' | tr '[:upper:]' '[:lower:]')"; then
            printf '%s\texists=yes\n' "$number"
        fi
    done
}

# locale_generate NAME CHARSET
locale_generate() {
    name=$1 charset=$2
    if ! grep -qxF "$name $charset" /etc/locale.gen; then
        found_keep settings /etc/locale.gen
        { cat /etc/locale.gen && printf '%s %s\n' "$name" "$charset"; } | put /etc/locale.gen root root 644
    fi
    locale-gen
}
