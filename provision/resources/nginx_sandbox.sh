# shellcheck shell=sh disable=SC2154
# nginx's sandbox, a drop-in of its unit. Which one it entered last is noted beside the stamps.
nginx_sandbox_note=$provision_stamps/nginx-sandbox

# In: NUMBER PATH yes|no (whether it is wanted). Out: sha256 (the drop-in's), entered (that of the one in which nginx was started), confined
# (yes, if it is in one) and, if it is wanted, others: what nginx reads of somebody else's, with | in between.
nginx_sandbox_probe() {
    while IFS='	' read -r number path wanted; do
        confined=no
        main=$(systemctl show -p MainPID --value nginx 2>/dev/null || true)
        if grep -qs '^NoNewPrivs:[[:space:]]*1' "/proc/${main:-0}/status"; then confined=yes; fi
        printf '%s\tsha256=%s\tentered=%s\tconfined=%s\tothers=%s\n' "$number" "$(sha256sum <"$path" 2>/dev/null | cut -d' ' -f1)" \
            "$(cat "$nginx_sandbox_note" 2>/dev/null)" "$confined" "$(if [ "$wanted" = yes ]; then nginx_sandbox_others | tr '\n' '|'; fi)"
    done
}

# nginx_sandbox_others: what nginx reads, and what systemd reads for it, that is neither ours nor as its package brought it.
nginx_sandbox_others() {
    if [ ! -f "$nginx_folder/nginx.conf" ]; then return 0; fi
    # shellcheck disable=SC2016 # dpkg-query's own variables
    if ! dpkg-query -W -f '${Conffiles}\n' 'nginx*' 2>/dev/null |
        grep -qF " /etc/nginx/nginx.conf $(md5sum <"$nginx_folder/nginx.conf" | cut -c 1-32)"; then echo "${nginx_folder#"$root"}/nginx.conf"; fi
    for file in "$nginx_folder"/conf.d/*.conf "$nginx_folder"/sites-enabled/*; do
        if [ -e "$file" ] && [ "$(nginx_owner "$file")" = other ]; then printf '%s\n' "${file#"$root"}" | tr '\t|' '  '; fi
    done
    for file in "$root"/etc/systemd/system/nginx.service "$root"/etc/systemd/system/nginx.service.d/*.conf "$root"/run/systemd/system/nginx.service.d/*.conf; do
        if [ -e "$file" ] && [ "${file##*/}" != provision.conf ]; then printf '%s\n' "${file#"$root"}" | tr '\t|' '  '; fi
    done
}

# nginx_sandbox_odd: what nginx reads that a sandbox would break though nginx would start in it: the first such line.
nginx_sandbox_odd() {
    nginx -T 2>/dev/null | sed 's/#.*//; s/^[[:space:]]*//' | awk '
        /(^|[ :"])\/(tmp|var\/tmp|dev\/shm)\// ||
        /^(dav_methods|proxy_store|fastcgi_store|uwsgi_store|scgi_store|passenger_|perl|js_|worker_priority)/ || /_by_lua/ ||
        (/^[a-z_]+_(cache|temp)_path[ \t]/ && $2 ~ /^\// && $2 !~ /^\/var\/(lib|cache)\/nginx\//) { print; exit }'
}

# nginx_sandbox_tried FILE: nginx -t in the sandbox, in a unit of its own. It writes its process id, which is not the one that serves.
nginx_sandbox_tried() {
    new=$1
    sed '/^#/d; /^\[/d; /^Exec/d' "$new" | {
        set --
        while IFS= read -r line; do set -- "$@" -p "$line"; done
        if nginx_sandbox_rootless "$new"; then
            /usr/local/lib/provision-nginx reload || return 1
            install -m 644 -o www-data -g www-data /dev/null /run/provision-nginx/pid
            set -- "$@" -p BindPaths=/run/provision-nginx/pid:/run/nginx.pid
        fi
        systemd-run --quiet --wait --pipe --collect --unit provision-nginx-try "$@" nginx -t 2>&1
    }
}

# nginx_sandbox_rootless FILE: whether no process of nginx is to be root's.
nginx_sandbox_rootless() { grep -qs '^User=' "$1"; }

# nginx_sandbox_restart: by systemd, which puts it into the sandbox that the drop-in says. Without root, nginx cannot remove the file with its
# process id, and start-stop-daemon believes such a file only if it is root's.
nginx_sandbox_restart() {
    if [ -e "$root/run/nginx.pid" ]; then chown root:root "$root/run/nginx.pid"; fi
    systemctl daemon-reload
    systemctl restart nginx
    main=$(systemctl show -p MainPID --value nginx)
    [ -n "$(service_accepting "$main")" ]
}

# nginx_sandbox_without PATH BEFORE: the drop-in as it was, or none, and nginx in it.
nginx_sandbox_without() {
    if [ -s "$2" ]; then mv -fT "$2" "$1"; else rm -f "$1" "$2" && { rmdir "${1%/*}" 2>/dev/null || true; }; fi
    nginx_sandbox_forget "$1"
    systemctl reset-failed nginx 2>/dev/null || true
    nginx_sandbox_restart
}

# nginx_sandbox_forget PATH: what an nginx without root needs, unless it is one.
nginx_sandbox_forget() {
    if nginx_sandbox_rootless "$1"; then return 0; fi
    rm -rf "$root/run/provision-nginx"
    groupdel provision-nginx 2>/dev/null || true
}

# nginx_sandbox_enter PATH SHA256 <content
nginx_sandbox_enter() {
    path=$1 before=$provision_stamps/nginx-sandbox.before
    mkdir -p "$provision_stamps"
    put "$provision_stamps/nginx-sandbox.next" root root 644
    if nginx_sandbox_rootless "$provision_stamps/nginx-sandbox.next" && ! getent group provision-nginx >/dev/null; then groupadd --system provision-nginx; fi
    odd=$(nginx_sandbox_odd)
    if [ -n "$odd" ]; then
        rm -f "$provision_stamps/nginx-sandbox.next"
        nginx_sandbox_forget "$path"
        fail "nginx stays as it is, as a site of this server does what its sandbox forbids: $odd (take it out, or say hardening.nginx: false)"
    fi
    if ! said=$(nginx_sandbox_tried "$provision_stamps/nginx-sandbox.next"); then
        rm -f "$provision_stamps/nginx-sandbox.next"
        nginx_sandbox_forget "$path"
        printf '%s\n' "$said"
        fail "nginx stays as it is, as nginx -t fails in its sandbox: $(printf '%s\n' "$said" | grep -m 1 emerg || printf '%s\n' "$said" | head -n 1)"
    fi
    # One that is there is of a run that was killed, and knows what was there before that.
    if [ ! -e "$before" ]; then
        if [ -e "$path" ]; then cat "$path"; fi | put "$before" root root 644
    fi
    found_folder "${path%/*}"
    (umask 022 && mkdir -p "${path%/*}")
    mv -fT "$provision_stamps/nginx-sandbox.next" "$path"
    if ! nginx_sandbox_restart; then
        systemctl status --no-pager -n 5 nginx || true
        nginx_sandbox_without "$path" "$before" || fail "nginx does not start in its sandbox, nor as before; the reasons stand above: systemctl status nginx"
        fail "nginx does not start in its sandbox, and runs as before; the reason stands above"
    fi
    rm -f "$before"
    nginx_sandbox_forget "$path"
    printf '%s\n' "$2" | put "$nginx_sandbox_note" root root 644
}

# nginx_sandbox_clear PATH: the drop-in goes, and all that was made for it.
nginx_sandbox_clear() {
    rm -f "$1" "$nginx_sandbox_note" "$provision_stamps/nginx-sandbox.before"
    rmdir "${1%/*}" 2>/dev/null || true
    nginx_sandbox_forget "$1"
    systemctl daemon-reload
}

# nginx_sandbox_leave PATH
nginx_sandbox_leave() {
    nginx_sandbox_clear "$1"
    nginx_sandbox_restart || fail "nginx does not start without its sandbox: systemctl status nginx says why"
}
