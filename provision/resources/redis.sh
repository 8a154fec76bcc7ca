# shellcheck shell=sh disable=SC2154
redis_units=$root/etc/systemd/system redis_settings=$root/etc/provision/redis redis_data=$root/var/lib/private/provision-redis

# redis_client: the client of either engine, which both understand.
redis_client() { command -v redis-cli || command -v valkey-cli || echo false; }

# redis_ask APP <COMMANDS: what its Redis answers. The app can make it answer anything, and not at all. The folder of the socket is its Redis's own,
# which may put a link to another socket there: so nobody asks, with the app's group, and reaches no other app's; nor can the app get hold of the asker.
# Root's password goes through a pipe: another process of nobody's could read what is in the asker's environment. An instance that does not have that user
# yet refuses it, and still lets everybody administer it.
redis_ask() {
    {
        redis_password "$1" | sed 's/^/AUTH provision /'
        cat
    } | timeout 5 setpriv --reuid=65534 --regid="$(id -g "$1")" --clear-groups --no-new-privs --inh-caps=-all \
        "$(redis_client)" --no-raw -s "$root/run/provision-redis/$1/redis.sock" 2>/dev/null | head -c 65536 | tr '\t' ' ' |
        if [ -n "$(redis_password "$1")" ]; then sed 1d; else cat; fi
}

# redis_password APP: root's own, to administer it; empty if there is none yet.
redis_password() { grep -xE '[0-9a-f]{64}' "$redis_settings/$1.password" 2>/dev/null || true; }

# redis_loaded APP: of the rights that it gives, a hash; empty if root may not ask for them. Redis 7.0 names them in another order at each start.
redis_loaded() {
    rights=$(echo 'ACL LIST' | redis_ask "$1" | tr -d '"' | awk '$2 == "user" { for (word = 4; word <= NF; word++) print $3, $word }' | sort)
    if [ -n "$rights" ]; then printf '%s\n' "$rights" | sha256sum | cut -c -64; fi
}

# redis_note_rights APP: it has what is in its files now.
redis_note_rights() {
    mkdir -p "$provision_stamps"
    redis_loaded "$1" | put "$provision_stamps/redis-$1.rights" root root 644
}

# redis_engine APP: which engine it has, by root's own files: redis or valkey, also of what is left on the disk; empty if it has neither.
redis_engine() {
    if [ -e "$redis_units/provision-redis@$1.service.d/engine.conf" ] || [ -e "$provision_stamps/redis-$1.engine" ]; then
        echo valkey
    elif [ -e "$redis_settings/$1.conf" ] || [ -n "$(redis_kept "$1")" ]; then
        echo redis
    fi
}

# redis_running APP: which engine runs; empty if none does.
redis_running() {
    case $(readlink "/proc/$(systemctl show -p MainPID --value "provision-redis@$1.service")/exe") in
    */valkey-*) echo valkey ;;
    */redis-*) echo redis ;;
    esac
}

# cache_facts: out: a record with app, engine and there (yes; no where only its data is left) for each app.
cache_facts() {
    for path in "$redis_settings"/*.conf "$redis_data"/*; do
        app=${path##*/} app=${app%.conf}
        case $app in [!a-z]* | *[!a-z0-9-]*) continue ;; esac
        engine=$(redis_engine "$app") there=no
        if [ -e "$redis_settings/$app.conf" ]; then there=yes; fi
        if [ -n "$engine" ]; then printf 'cache\tapp=%s\tengine=%s\tthere=%s\n' "$app" "$engine" "$there"; fi
    done
}

# In: NUMBER APP. Out: engine (which it has), runs (which runs), kept (what is on the disk), moved=yes (either can read that).
redis_probe_engine() {
    while IFS='	' read -r number app; do
        runs=$(redis_running "$app")
        printf '%s\tengine=%s\truns=%s\tkept=%s\n' "$number" "$(redis_engine "$app")" "$runs" "$(redis_kept "$app")"
        if [ -e "$provision_stamps/redis-$app.moved" ]; then printf '%s\tmoved=yes\n' "$number"; fi
    done
}

# In: NUMBER APP "SETTING SETTING...". Out: active, enabled, stamp (of the unit that it was started with), program=old (it is no longer what is
# installed); if it runs, engine, folder (the mode and the group of its socket's), set.SETTING for each, and used (bytes).
redis_probe() {
    while IFS='	' read -r number app settings; do
        shown=$(systemctl show -p ActiveState -p UnitFileState -p MainPID "provision-redis@$app.service")
        active=$(redis_property ActiveState)
        printf '%s\tactive=%s\tenabled=%s\tstamp=%s\n' "$number" "$active" "$(redis_property UnitFileState)" \
            "$(cat "$provision_stamps/redis-$app" 2>/dev/null)"
        if [ "$active" != active ]; then continue; fi
        printf '%s\tengine=%s\tfolder=%s\n' "$number" "$(redis_running "$app")" "$(stat -c '%a %G' "$root/run/provision-redis/$app")"
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

# In: NUMBER APP. Out: there=yes where there is one, its engine, and kept (what it wrote to the disk).
redis_probe_gone() {
    while IFS='	' read -r number app; do
        if redis_is_there "$app"; then printf '%s\tthere=yes\tengine=%s\tkept=%s\n' "$number" "$(redis_engine "$app")" "$(redis_kept "$app")"; fi
    done
}

# redis_files APP: all that systemd and Redis read of it.
redis_files() {
    printf '%s\n' "$redis_settings/$1.conf" "$redis_units/provision-redis@$1.service.d" "$redis_units/provision-redis@$1.service" \
        "$redis_units/multi-user.target.wants/provision-redis@$1.service" "$provision_stamps/redis-$1" "$provision_stamps/redis-$1.moved" \
        "$provision_stamps/redis-$1.rights" "$redis_settings/$1.acl" "$redis_settings/$1.password"
}

redis_is_there() {
    redis_files "$1" | while read -r path; do if [ -e "$path" ] || [ -L "$path" ]; then echo yes; fi; done | grep -q yes
}

# redis_kept APP: where it wrote what it held; empty if it did not.
redis_kept() { if [ -n "$(ls -A "$redis_data/$1" 2>/dev/null)" ]; then printf '%s\n' "${redis_data#"$root"}/$1"; fi; }

# redis_move APP yes|no (whether what it holds goes along): stops it for the other engine. A later version's dumps are not understood there, but its
# commands are: so it writes all that it holds as commands, which it reads itself, too, if this run ends here.
redis_move() {
    app=$1 unit=provision-redis@$1.service
    if [ "$2" = yes ]; then
        redis_set aof-use-rdb-preamble no appendonly yes
        redis_as_commands
        mkdir -p "$provision_stamps"
        : | put "$provision_stamps/redis-$app.moved" root root 644
    fi
    systemctl stop "$unit" 2>/dev/null || true
    if systemctl is-active --quiet "$unit"; then fail "$app: $unit does not end"; fi
    if [ "$2" = no ]; then redis_drop "$app"; fi
}

# redis_as_commands: waits until it has written all that it holds.
redis_as_commands() {
    redis_written
    said=$(echo BGREWRITEAOF | redis_ask "$app")
    case $said in *started* | *scheduled*) ;; *) fail "$app: it does not write what it holds: ${said:-it does not answer}" ;; esac
    redis_written
    if ! echo 'INFO persistence' | redis_ask "$app" | tr -d '\r' | grep -qx 'aof_last_bgrewrite_status:ok'; then
        fail "$app: it could not write what it holds: journalctl -u $unit says why; it goes on as it was"
    fi
}

# redis_written: waits until it writes nothing anew, half an hour at most.
redis_written() {
    end=$(($(date +%s) + 1800))
    while ! echo 'INFO persistence' | redis_ask "$app" | tr -d '\r' | awk '
        /^aof_rewrite_in_progress:0$/ || /^aof_rewrite_scheduled:0$/ || /^rdb_bgsave_in_progress:0$/ { found++ } END { exit found != 3 }'; do
        if [ "$(date +%s)" -gt "$end" ]; then fail "$app: it does not end to write what it holds; it goes on as it was"; fi
        sleep 0.5
    done
}

# redis_ensure APP STAMP redis|valkey restart|live [SETTING VALUE]...
redis_ensure() {
    app=$1 unit=provision-redis@$1.service stamp=$2 engine=$3 how=$4
    shift 4
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
        redis_back
        fail "$app: its Redis does not start: its reason stands above"
    fi
    redis_note_rights "$app"
    if [ "$engine" = valkey ]; then
        echo valkey | put "$provision_stamps/redis-$app.engine" root root 644
    else
        rm -f "$provision_stamps/redis-$app.engine"
    fi
    rm -f "$provision_stamps/redis-$app.moved"
    printf '%s\n' "$stamp" | put "$provision_stamps/redis-$app" root root 644
}

# redis_back: what one engine wrote for the other, and that one cannot read, is read by the first again.
redis_back() {
    if [ ! -e "$provision_stamps/redis-$app.moved" ]; then return 0; fi
    drop_in=$redis_units/$unit.d/engine.conf
    if [ "$engine" = valkey ]; then rm -f "$drop_in"; else redis_valkey | put "$drop_in" root root 644; fi
    systemctl daemon-reload
    systemctl reset-failed "$unit" 2>/dev/null || true
    if systemctl restart "$unit"; then
        rm -f "$provision_stamps/redis-$app.moved"
        redis_note_rights "$app"
        fail "$app: $engine cannot read what it holds, and the other engine goes on with it: the reason stands above"
    fi
}

# redis_valkey: how a unit runs Valkey.
redis_valkey() {
    printf '%s\n' '[Service]' ExecStart= 'ExecStart=@/usr/bin/valkey-check-rdb valkey-server /etc/provision/redis/%i.conf'
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
    if [ -z "$(redis_kept "$1")" ]; then rm -f "$provision_stamps/redis-$1.engine"; fi
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
    rm -f "$provision_stamps/redis-$1.engine"
    redis_tidy "$1"
}

# redis_tidy APP: systemd's folders, and its link to one, if nothing is in them.
redis_tidy() {
    if [ ! -e "$redis_data/$1" ]; then rm -f "$root/var/lib/provision-redis/$1"; fi
    rmdir "$redis_data" "$root/var/lib/provision-redis" "$root/run/provision-redis" "${redis_settings%/*}" 2>/dev/null || true
}

# redis_status APP...: a record for each: what=cache, app, engine, version, answers (yes or no), used and limit (bytes; empty if it does not say).
redis_status() {
    for app; do
        engine=$(redis_running "$app")
        said=$(printf 'INFO server\nINFO memory\n' | redis_ask "$app" | tr -d '\r')
        version=$(redis_said valkey_version '[0-9.]*')
        answers=no
        if [ -n "$said" ]; then answers=yes; fi
        printf 'what=cache\tapp=%s\tengine=%s\tversion=%s\tanswers=%s\tused=%s\tlimit=%s\n' "$app" "${engine:-$(redis_engine "$app")}" \
            "${version:-$(redis_said redis_version '[0-9.]*')}" "$answers" "$(redis_said used_memory '[0-9]*')" "$(redis_said maxmemory '[0-9]*')"
    done
}

# redis_said FIELD PATTERN: what it said of a field.
redis_said() { printf '%s\n' "$said" | sed -n "s/^$1:\\($2\\)\$/\\1/p" | head -n 1; }
