# shellcheck shell=sh

# Out: a record for each complete release: app, id, commit, folder, and state (active, good, failed or new).
release_facts() {
    for stamp in /srv/*/releases/*/.release; do
        if [ -e "$stamp" ]; then
            release=${stamp%/.release}
            app=${release%/releases/*}
            current=$(readlink "$app/current" || true)
            IFS='	' read -r commit folder <"$stamp"
            state=new
            record=/var/lib/provision/apps/${app##*/}/releases/${release##*/}
            if [ -r "$record" ]; then IFS='	' read -r state _ <"$record"; fi
            case $state in good | failed) ;; *) state=new ;; esac
            if [ "${current##*/}" = "${release##*/}" ]; then state=active; fi
            printf 'release\tapp=%s\tid=%s\tcommit=%s\tfolder=%s\tstate=%s\n' \
                "${app##*/}" "${release##*/}" "$commit" "$folder" "$state"
        fi
    done
}

# Out: a record for each release that can be previewed: app, release, and token.
preview_facts() {
    for held in /run/*/held; do
        if [ -e "$held" ]; then
            app=${held%/held}
            app=${app##*/}
            release=$(readlink "/etc/$app/$(cat "$held")/release" || true)
            for token in "/run/$app/preview/"*; do
                printf 'preview\tapp=%s\trelease=%s\ttoken=%s\n' "$app" "${release##*/}" "${token##*/}"
            done
        fi
    done
}

# Out: a record for each file of ours that a process manager reads: app and path.
managed_facts() {
    for unit in /etc/systemd/system/*.service /etc/systemd/system/*.timer /etc/supervisor/conf.d/*.conf /etc/cron.d/*; do
        if [ -f "$unit" ] && read -r first <"$unit"; then
            case $first in
            '# provision: '* | '; provision: '*)
                first=${first#? provision: }
                printf 'managed\tapp=%s\tpath=%s\n' "${first%%.*}" "$unit"
                ;;
            esac
        fi
    done
}

# Out: a record for each app whose commits the controller sends: app, and the commit that it sent last.
pushed_facts() {
    for ref in /srv/*/repository.git/refs/provision/pushed; do
        if [ -r "$ref" ]; then
            app=${ref%/repository.git/*}
            printf 'pushed\tapp=%s\tcommit=%s\n' "${app##*/}" "$(cat "$ref")"
        fi
    done
}
