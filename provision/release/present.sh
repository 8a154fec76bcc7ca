# shellcheck shell=sh disable=SC2154
# The apps that a server has, whether or not an inventory has them.

# present_sites: APP and DOMAIN DOMAIN..., with a tab between them, for each of our sites that nginx reads.
present_sites() {
    for site in "$root"/etc/nginx/sites-enabled/*.conf; do
        if [ -r "$site" ]; then sed -n '1s/^# \([a-z][a-z0-9-]*\): \(.*\)\. Written by provision\.$/\1\t\2/p' "$site"; fi
    done
}

# present_facts: out: a record for each app that has a site, or that a process manager knows: app, domains, source (its repository),
# and runs (what runs of it).
present_facts() {
    managed=$(managed_facts | cut -f 2-) sites=$(present_sites)
    printf '%s\n' "$managed" "$sites" | cut -f 1 | sed 's/^app=//; /^$/d' | sort -u | while read -r app; do
        layout_app "$app"
        paths=$(printf '%s\n' "$managed" | sed -n "s|^app=$app	path=|$root|p")
        runs=
        # shellcheck disable=SC2086 # the paths are words
        for each in $process_managers; do runs="$runs $("${each}_runs" $paths)"; done
        printf 'present\tapp=%s\tdomains=%s\tsource=%s\truns=%s\n' "$app" "$(printf '%s\n' "$sites" | sed -n "s/^$app	//p" | tr '\n' ' ')" \
            "$(git config -f "$app_repository/config" remote.origin.url 2>/dev/null)" "$(printf '%s' "$runs" | tr -s '\n ' '  ')"
    done
}
