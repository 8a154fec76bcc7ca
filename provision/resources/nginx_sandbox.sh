# shellcheck shell=sh disable=SC2154
# nginx's sandbox, a drop-in of its unit. Which one it entered last is noted beside the stamps.
nginx_sandbox_note=$provision_stamps/nginx-sandbox

# In: NUMBER PATH. Out: sha256 (the drop-in's), entered (that of the one in which nginx was started) and confined (yes, if it is in one).
nginx_sandbox_probe() {
    while IFS='	' read -r number path; do
        confined=no
        main=$(systemctl show -p MainPID --value nginx 2>/dev/null || true)
        if grep -qs '^NoNewPrivs:[[:space:]]*1' "/proc/${main:-0}/status"; then confined=yes; fi
        printf '%s\tsha256=%s\tentered=%s\tconfined=%s\n' "$number" "$(sha256sum <"$path" 2>/dev/null | cut -d' ' -f1)" \
            "$(cat "$nginx_sandbox_note" 2>/dev/null)" "$confined"
    done
}

# nginx_sandbox_odd: what nginx reads that a sandbox would break though nginx would start in it: the first such line.
nginx_sandbox_odd() {
    nginx -T 2>/dev/null | sed 's/#.*//; s/^[[:space:]]*//' | awk '
        /(^|[ :"])\/(tmp|var\/tmp|dev\/shm)\// ||
        /^(dav_methods|proxy_store|fastcgi_store|uwsgi_store|scgi_store|passenger_|perl|js_|worker_priority)/ || /_by_lua/ ||
        (/^[a-z_]+_(cache|temp)_path[ \t]/ && $2 ~ /^\// && $2 !~ /^\/var\/(lib|cache)\/nginx\//) { print; exit }'
}

# nginx_sandbox_tried FILE: nginx -t in the sandbox, in a unit of its own.
nginx_sandbox_tried() {
    sed '/^#/d; /^\[/d' "$1" | {
        set --
        while IFS= read -r line; do set -- "$@" -p "$line"; done
        systemd-run --quiet --wait --pipe --collect --unit provision-nginx-try "$@" nginx -t 2>&1
    }
}

# nginx_sandbox_restart: by systemd, which puts it into the sandbox that the drop-in says.
nginx_sandbox_restart() {
    systemctl daemon-reload
    systemctl restart nginx
    main=$(systemctl show -p MainPID --value nginx)
    [ -n "$(service_accepting "$main")" ]
}

# nginx_sandbox_without PATH BEFORE: the drop-in as it was, or none, and nginx in it.
nginx_sandbox_without() {
    if [ -s "$2" ]; then mv -fT "$2" "$1"; else rm -f "$1" "$2" && { rmdir "${1%/*}" 2>/dev/null || true; }; fi
    systemctl reset-failed nginx 2>/dev/null || true
    nginx_sandbox_restart
}

# nginx_sandbox_enter PATH SHA256 <content
nginx_sandbox_enter() {
    path=$1 before=$provision_stamps/nginx-sandbox.before
    mkdir -p "$provision_stamps"
    put "$provision_stamps/nginx-sandbox.next" root root 644
    odd=$(nginx_sandbox_odd)
    if [ -n "$odd" ]; then
        rm -f "$provision_stamps/nginx-sandbox.next"
        fail "nginx stays as it is, as a site of this server does what its sandbox forbids: $odd (take it out, or say hardening.nginx: false)"
    fi
    if ! said=$(nginx_sandbox_tried "$provision_stamps/nginx-sandbox.next"); then
        rm -f "$provision_stamps/nginx-sandbox.next"
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
    printf '%s\n' "$2" | put "$nginx_sandbox_note" root root 644
}

# nginx_sandbox_leave PATH
nginx_sandbox_leave() {
    rm -f "$1" "$nginx_sandbox_note" "$provision_stamps/nginx-sandbox.before"
    rmdir "${1%/*}" 2>/dev/null || true
    nginx_sandbox_restart || fail "nginx does not start without its sandbox: systemctl status nginx says why"
}
