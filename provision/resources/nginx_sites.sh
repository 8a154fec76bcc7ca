# shellcheck shell=sh disable=SC2154

# In: NUMBER. Out: foreign, in a record for each file of somebody's that nginx reads and would not read with a nginx.conf of ours.
nginx_sites_probe() {
    read -r number || return 0
    folder=$root/etc/nginx
    for ours in "$folder/nginx.conf" "$folder/sites-enabled/000-default.conf"; do
        if grep -qs '^#.*Written by provision\.$' "$ours"; then return 0; fi
    done
    # shellcheck disable=SC2016 # dpkg-query's own variables
    shipped=$(dpkg-query -W -f '${Conffiles}\n' 'nginx*' 2>/dev/null | sed -n 's/^ *\(\/[^ ]*\) \([0-9a-f]\{32\}\).*/\2  \1/p')
    for file in "$folder/nginx.conf" "$folder"/sites-enabled/* "$folder"/conf.d/*.conf; do
        if [ ! -f "$file" ]; then continue; fi
        if ! printf '%s\n' "$shipped" | grep -qxF "$(md5sum <"$file" | cut -c 1-32)  $(readlink -f "$file")"; then
            printf '%s\tforeign=%s\n' "$number" "$(printf '%s' "$file" | tr -d '\n\t')"
        fi
    done
}
