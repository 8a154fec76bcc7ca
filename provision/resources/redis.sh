# shellcheck shell=sh disable=SC2154
redis_units=$root/etc/systemd/system redis_settings=$root/etc/provision/redis redis_data=$root/var/lib/private/provision-redis

# redis_ask APP <COMMANDS: what its Redis answers. The app can make it answer anything, and not at all. The folder of the socket is its Redis's own,
# which may put a link to another socket there: so nobody asks, with the app's group, and reaches no other app's; nor can the app get hold of the asker.
redis_ask() {
    timeout 5 setpriv --reuid=65534 --regid="$(id -g "$1")" --clear-groups --no-new-privs --inh-caps=-all \
        redis-cli --no-raw -s "$root/run/provision-redis/$1/redis.sock" 2>/dev/null | head -c 65536 | tr '\t' ' '
}

# In: NUMBER APP "SETTING SETTING...". Out: active, enabled, stamp (of the unit that it was started with), program=old (it is no longer what is
# installed); if it runs, folder (the mode and the group of its socket's), set.SETTING for each, and used (bytes).
redis_probe() {
    while IFS='	' read -r number app settings; do
        shown=$(systemctl show -p ActiveState -p UnitFileState -p MainPID "provision-redis@$app.service")
        active=$(redis_property ActiveState)
        printf '%s\tactive=%s\tenabled=%s\tstamp=%s\n' "$number" "$active" "$(redis_property UnitFileState)" \
            "$(cat "$provision_stamps/redis-$app" 2>/dev/null)"
        if [ "$active" != active ]; then continue; fi
        printf '%s\tfolder=%s\n' "$number" "$(stat -c '%a %G' "$root/run/provision-redis/$app")"
        case $(readlink "/proc/$(redis_property MainPID)/exe") in *' (deleted)') printf '%s\tprogram=old\n' "$number" ;; esac
        {
            for setting in $settings; do echo "CONFIG GET $setting"; done
            echo 'INFO memory'
        } | redis_ask "$app" | awk -v number="$number" '
            /^1\) "[a-z-]+"$/ { key = substr($0, 5, length($0) - 5); next }
            /^2\) ".*"$/ && key { print number "\tset." key "=" substr($0, 5, length($0) - 5) }
            /^used_memory:[0-9]+/ { print number "\tused=" substr($0, 13) + 0 }
            { key = "" }'
    done
}

redis_property() { printf '%s\n' "$shown" | sed -n "s/^$1=//p"; }

# In: NUMBER APP. Out: there=yes where there is one, and kept (what it wrote to the disk).
redis_probe_gone() {
    while IFS='	' read -r number app; do
        if redis_is_there "$app"; then printf '%s\tthere=yes\tkept=%s\n' "$number" "$(redis_kept "$app")"; fi
    done
}

# redis_files APP: all that systemd and Redis read of it.
redis_files() {
    printf '%s\n' "$redis_settings/$1.conf" "$redis_units/provision-redis@$1.service.d" "$redis_units/provision-redis@$1.service" \
        "$redis_units/multi-user.target.wants/provision-redis@$1.service" "$provision_stamps/redis-$1"
}

redis_is_there() {
    redis_files "$1" | while read -r path; do if [ -e "$path" ] || [ -L "$path" ]; then echo yes; fi; done | grep -q yes
}

# redis_kept APP: where it wrote what it held; empty if it did not.
redis_kept() { if [ -n "$(ls -A "$redis_data/$1" 2>/dev/null)" ]; then printf '%s\n' "${redis_data#"$root"}/$1"; fi; }

# redis_ensure APP STAMP restart|live [SETTING VALUE]...
redis_ensure() {
    app=$1 unit=provision-redis@$1.service stamp=$2 how=$3
    shift 3
    case $(systemctl is-enabled "$unit" 2>/dev/null || true) in masked*) systemctl unmask --quiet "$unit" && systemctl unmask --runtime --quiet "$unit" ;; esac
    if [ "$(systemctl show -p NeedDaemonReload --value "$unit")" = yes ]; then systemctl daemon-reload; fi
    systemctl enable --quiet "$unit"
    if [ "$how" = live ] && systemctl is-active --quiet "$unit"; then
        chgrp "$app" "$root/run/provision-redis/$app"
        chmod 750 "$root/run/provision-redis/$app"
        redis_set "$@"
        return 0
    fi
    systemctl reset-failed "$unit" 2>/dev/null || true
    if ! systemctl restart "$unit"; then
        journalctl -q -o cat --no-pager -u "$unit" -n 5 || true
        fail "$app: its Redis does not start: its reason stands above"
    fi
    mkdir -p "$provision_stamps"
    printf '%s\n' "$stamp" | put "$provision_stamps/redis-$app" root root 644
}

# redis_set [SETTING VALUE]...: while it runs. It has ten seconds to hold no more than it may.
redis_set() {
    before=$(redis_memory maxmemory)
    while [ "$#" -gt 0 ]; do
        said=$(printf 'CONFIG SET %s "%s"\n' "$1" "$2" | redis_ask "$app")
        if [ "$said" != OK ]; then fail "$app: its Redis does not take $1 $2: ${said:-it does not answer}"; fi
        if [ "$1" = maxmemory ]; then redis_shrink "$2" "$before"; fi
        shift 2
    done
}

# redis_shrink BYTES BEFORE: what it forgets to hold no more than it may; otherwise it may hold what it might before.
redis_shrink() {
    tries=0
    while used=$(redis_memory used_memory) && [ "${used:-0}" -gt "$1" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then
            echo "CONFIG SET maxmemory ${2:-0}" | redis_ask "$app" >/dev/null
            fail "$app: its Redis holds $used bytes, may hold $1 by cache.memory, and forgets no more: allow it more, or let the app take something out first"
        fi
        sleep 0.1
    done
    echo 'MEMORY PURGE' | redis_ask "$app" >/dev/null
}

# redis_memory FIELD
redis_memory() { echo 'INFO memory' | redis_ask "$app" | sed -n "s/^$1:\\([0-9]\\{1,15\\}\\)[^0-9]*\$/\\1/p" | head -n 1; }

# redis_remove APP: all but what it wrote to the disk. The unit that all have goes with the last.
redis_remove() {
    systemctl stop "provision-redis@$1.service" 2>/dev/null || true
    redis_files "$1" | while read -r path; do rm -rf -- "$path"; done
    rmdir "$redis_data/$1" 2>/dev/null || true
    rmdir "$redis_settings" 2>/dev/null || true
    if [ ! -d "$redis_settings" ]; then
        rm -f "$redis_units/provision-redis@.service"
        systemctl stop 'system-provision\x2dredis.slice' 2>/dev/null || true
    fi
    redis_tidy "$1"
    systemctl daemon-reload
    systemctl reset-failed "provision-redis@$1.service" 2>/dev/null || true
}

# redis_drop APP: what it wrote to the disk. It does not run, and had a user of its own.
redis_drop() {
    rm -rf --one-file-system -- "${redis_data:?}/$1"
    redis_tidy "$1"
}

# redis_tidy APP: systemd's folders, and its link to one, if nothing is in them.
redis_tidy() {
    if [ ! -e "$redis_data/$1" ]; then rm -f "$root/var/lib/provision-redis/$1"; fi
    rmdir "$redis_data" "$root/var/lib/provision-redis" "$root/run/provision-redis" "${redis_settings%/*}" 2>/dev/null || true
}
