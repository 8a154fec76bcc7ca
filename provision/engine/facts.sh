# shellcheck shell=sh
set -u
export LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

fact() { printf '%s\t%s\n' "$1" "$2"; }

facts() {
    ID=unknown VERSION_ID=''
    # shellcheck source=/dev/null
    if [ -r /etc/os-release ]; then . /etc/os-release; fi
    fact system "$ID"
    fact version "$VERSION_ID"
    fact init "$(if [ -d /run/systemd/system ]; then echo systemd; else cat /proc/1/comm; fi)"
    fact architecture "$(uname -m)"
    fact cpus "$(nproc)"
    while read -r key value _; do
        if [ "$key" = MemTotal: ]; then fact memory "$value"; fi
    done </proc/meminfo
    login=${SUDO_USER:-$(id -un)}
    fact login "$login"
    fact home "$(getent passwd "$login" | cut -d: -f6)"
    fact now "$(date +%s)"
    for stamp in /opt/pyenv/versions/*/.provision; do
        if [ -e "$stamp" ]; then
            stamp=${stamp%/.provision}
            fact python "${stamp##*/}"
        fi
    done
    for packed in /var/lib/provision/outbox/*.tar.gz; do
        if [ -e "$packed.about" ]; then
            packed=${packed##*/}
            fact packed "${packed%.tar.gz}"
        fi
    done
    for ref in /srv/*/repository.git/refs/provision/pushed; do
        if [ -r "$ref" ]; then
            app=${ref%/repository.git/*}
            printf 'pushed\t%s\t%s\n' "${app##*/}" "$(cat "$ref")"
        fi
    done
    for unit in /etc/systemd/system/*.service /etc/systemd/system/*.timer /etc/supervisor/conf.d/*.conf /etc/cron.d/*; do
        if [ -f "$unit" ] && read -r first <"$unit"; then
            case $first in
            '# provision: '* | '; provision: '*)
                first=${first#? provision: }
                printf 'unit\t%s\t%s\n' "${first%%.*}" "$unit"
                ;;
            esac
        fi
    done
    for held in /run/*/held; do
        if [ -e "$held" ]; then
            app=${held%/held}
            app=${app##*/}
            release=$(readlink "/etc/$app/$(cat "$held")/release" || true)
            for token in "/run/$app/preview/"*; do printf 'held\t%s\t%s\t%s\n' "$app" "${release##*/}" "${token##*/}"; done
        fi
    done
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
            printf 'release\t%s\t%s\t%s\t%s\t%s\n' "${app##*/}" "${release##*/}" "$commit" "$folder" "$state"
        fi
    done
}
