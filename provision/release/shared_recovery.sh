# shellcheck shell=sh disable=SC2154
# An app's shared folder of a snapshot, beside the present one. restic reads the repository and writes to a pipe, and the app unpacks what comes out of
# it: so root writes nothing where the app can write, and the app never has the key. Sets said where something failed.

# shared_find STANZA APP TIME|- ID|-: sets id and at: the newest snapshot that is not from after TIME, or the one of this id.
shared_find() {
    listed=$(shared_snapshots "$1") || fail "the backups of shared/ cannot be listed: $said"
    found=$(printf '%s\n' "$listed" | awk -v app="$2" -v limit="$3" -v id="$4" '$5 == app && (limit == "-" || $1 <= limit) && (id == "-" || $2 == id)' | tail -n 1)
    if [ -z "$found" ]; then
        at=$(printf '%s\n' "$listed" | awk -v app="$2" '$5 == app { print $1; exit }')
        fail "$2: the repository has no such snapshot of its shared/${at:+: the oldest is from ${at}Z}; --only database restores only the database"
    fi
    at=${found%% *} id=${found#* } id=${id%% *}
}

# shared_sound STANZA: the repository is whole, as far as that can be seen without reading all of it.
shared_sound() { said=$(shared_restic "$1" '' "${shared_hours}h" --no-lock check 2>&1) || { said="the repository is damaged: $(printf '%s\n' "$said" | shared_reason)" && return 1; }; }

# shared_unpack STANZA APP ID FOLDER TO: one of the two folders of a snapshot. A folder may pass its group on (setgid), and comes back so.
shared_unpack() {
    said=$({
        { shared_restic "$1" '' "${shared_hours}h" --no-lock dump "$3" "/$4" || echo failed >&2; } |
            { shared_as_app "$2" "RestrictSUIDSGID=no
BindPaths=$5:/mnt/restored" "$shared_program" shared_unpack_here || echo failed >&2; }
    } 2>&1)
    if printf '%s\n' "$said" | grep -qx failed; then
        said="the snapshot $3 cannot be unpacked: $(printf '%s\n' "$said" | grep -vx failed | shared_reason)"
        return 1
    fi
}

# shared_unpack_here: as the app, in its box.
shared_unpack_here() { tar -x -p -f - -C /mnt/restored --strip-components=1; }

# shared_room STANZA ID FOLDER: whether the disk has room for it.
shared_room() {
    size=$(shared_restic "$1" '' "${shared_hours}h" --no-lock stats --json --mode restore-size "$2" 2>/dev/null | sed -n 's/.*"total_size":\([0-9]*\).*/\1/p')
    free=$(df -B1 --output=avail "$3" | tail -n 1)
    if [ $((free / 1000000)) -lt $((${size:-0} / 1000000 + 200)) ]; then
        said="not enough room to restore beside: $((${size:-0} / 1000000 + 200)) MB are needed, $(room "$3")"
        return 1
    fi
}

# shared_fetch STANZA APP ID FOLDER: all of the snapshot, in a folder of the app's that is empty; its databases as SQLite copied them, and whole.
shared_fetch() {
    shared_room "$1" "$3" "${4%/*}" || return 1
    shared_scratch_of "$2" "$2.copies"
    if shared_unpack "$1" "$2" "$3" shared "$4" && shared_unpack "$1" "$2" "$3" sqlite "$shared_scratch/$2.copies" &&
        { said=$(shared_as_app "$2" "BindPaths=$4:/mnt/restored $shared_scratch/$2.copies:/mnt/copies" "$shared_program" shared_settle_here 2>&1) || { said=$(printf '%s\n' "$said" | shared_reason) && false; }; }; then
        said=$(printf '%s\n' "$said" | tail -n 1)
        shared_drop "$2.copies"
        return 0
    fi
    shared_drop "$2.copies"
    return 1
}

# shared_settle_here: as the app, in its box: SQLite's copies take the places of what was read while the app wrote, and all databases are whole. Prints
# how many there are.
shared_settle_here() {
    cd /mnt/copies || exit 1
    find . -type f -print0 | xargs -0 -r -n 1 "$0" shared_settle_one
    cd /mnt/restored || exit 1
    shared_databases | xargs -0 -r -n 1 "$0" shared_whole_one
    shared_databases | tr -dc '\0' | wc -c
}

# shared_settle_one COPY: a log of the database that lies there is of another state of it. The file stays, and so does its mode.
shared_settle_one() {
    rm -f "/mnt/restored/$1-wal" "/mnt/restored/$1-shm" "/mnt/restored/$1-journal"
    mkdir -p "/mnt/restored/${1%/*}"
    if [ ! -f "/mnt/restored/$1" ] || [ -L "/mnt/restored/$1" ]; then rm -rf "/mnt/restored/$1"; fi
    cat "$1" >"/mnt/restored/$1"
}

# shared_whole_one DATABASE
shared_whole_one() {
    said=$(shared_sqlite "$1" 'pragma integrity_check' 2>&1) || true
    if [ "$said" != ok ]; then
        printf '%s is damaged: %s\n' "${1#./}" "$(printf '%s' "$said" | head -n 1)" >&2
        exit 1
    fi
}

# shared_restore APP STANZA TIME|- ID|- FOLDER: the app's shared folder of the repository's STANZA in FOLDER, which lies beside the present one.
shared_restore() {
    layout_app "$1"
    if [ ! -x "$shared_program" ]; then fail "the server makes no backups of shared/ yet: invoke provision"; fi
    mkdir -p "$shared_state"
    shared_alone 600 || fail "a backup of shared/ is being made: run again when it is done"
    shared_find "$2" "$1" "$3" "$4"
    shared_sound "$2" || fail "$said"
    rm -rf --one-file-system "${app_home:?}/$5"
    install -d -o "$1" -g "$1" -m 750 "$app_home/$5"
    if ! shared_fetch "$2" "$1" "$id" "$app_home/$5"; then
        rm -rf --one-file-system "${app_home:?}/$5"
        fail "$1: $said"
    fi
    notice "$1: $app_home/$5 is shared/ of the snapshot $id, of ${at}Z, with $said SQLite databases"
}

# shared_switch APP FOLDER KEPT: FOLDER becomes the shared folder, and what was that is KEPT. At no moment is there none, where the kernel lets
# two folders change places.
shared_switch() {
    layout_app "$1"
    sync "$app_home/$2"
    # One in which there is nothing, such as a new server's, is not worth keeping.
    kept=''
    if ! rmdir "$app_shared" 2>/dev/null; then
        kept="; what there was is kept as $app_home/$3: invoke restore --discard drops it"
        if shared_exchange "$app_home/$2" "$app_shared"; then
            mv -T "$app_home/$2" "$app_home/$3"
            sync "$app_home"
            notice "$1: shared/ is the restored one$kept"
            return 0
        fi
        mv -T "$app_shared" "$app_home/$3"
    fi
    mv -T "$app_home/$2" "$app_shared"
    sync "$app_home"
    notice "$1: shared/ is the restored one$kept"
}

# shared_exchange PATH PATH: both change places at once (renameat2(2), RENAME_EXCHANGE), for which there is no program before coreutils 9.5.
shared_exchange() {
    case $(uname -m) in
    x86_64) number=316 ;;
    aarch64) number=276 ;;
    *) return 1 ;;
    esac
    # shellcheck disable=SC2016 # Perl's
    perl -e 'exit(syscall(shift() + 0, -100, $ARGV[0], -100, $ARGV[1], 2) == 0 ? 0 : 1)' "$number" "$1" "$2"
}

# In: NUMBER APP FOLDER. Out: user=yes where the app is on the server, taken=yes where there is a folder of this name, apart=yes where the shared folder
# is a link or a mount, and kept, in a record for each that restores have left beside it.
shared_probe_restore() {
    while IFS='	' read -r number app folder; do
        layout_app "$app"
        if getent passwd "$app" >/dev/null && [ -d "$app_shared" ]; then printf '%s\tuser=yes\n' "$number"; fi
        if [ -e "$app_home/$folder" ] || [ -L "$app_home/$folder" ]; then printf '%s\ttaken=yes\n' "$number"; fi
        if [ -L "$app_shared" ] || mountpoint -q "$app_shared"; then printf '%s\tapart=yes\n' "$number"; fi
        uninstall_beside | sed "s|^.*/|$number	kept=|"
    done
}

# shared_discard APP FOLDER...: as the app, whose files they are.
shared_discard() {
    layout_app "$1"
    user=$1
    shift
    for each; do
        if ! uninstall_beside | grep -qxF -e "$app_home/$each"; then continue; fi
        (cd / && runuser -u "$user" -- find "$app_home/$each" -xdev -mindepth 1 -delete) || true
        rmdir "$app_home/$each" || fail "$user: $app_home/$each has files that are not the app's: remove them yourself"
    done
}

# In: NUMBER. Out: foreign=yes where the repository has backups of an earlier server, and nobody has decided about them.
shared_probe_foreign() { while read -r number; do if [ -e "$shared_state/foreign" ]; then printf '%s\tforeign=yes\n' "$number"; fi; done; }

# shared_earlier: the repository has, or had when that was restored, snapshots of an earlier server. Those of this one are of nothing yet.
shared_earlier() {
    if [ -e "$shared_state/foreign" ] || [ -e "$shared_state/restored" ]; then return 0; fi
    fail "the repository has no snapshots of shared/ of an earlier $shared_stanza: --from names the host whose to restore; --only database leaves shared/ as it is; without --deploy, this server's own newest is restored"
}

# shared_settled: timers make backups of this server from now on, and the first begins.
shared_settled() {
    if [ ! -e "$shared_state/foreign" ]; then return 0; fi
    : | put "$shared_state/restored" root root 600
    rm -f "$shared_state/foreign"
    systemctl start --no-block provision-shared-backup@full.service
}

# shared_drill: for the timer: the newest snapshots are restored, looked at, and dropped again; what came of it is noted.
shared_drill() {
    begun=$(date +%s)
    if said=$("$shared_program" shared_practise 2>&1); then
        shared_note drill "ok $(($(date +%s) - begun)) $(printf '%s\n' "$said" | tail -n 1)"
    else
        why=$(printf '%s\n' "$said" | sed 's/^error: //' | shared_reason)
        for app in $shared_apps; do shared_drop "$app.drill" && shared_drop "$app.copies"; done
        shared_note drill "$why"
        printf '%s\n' "$why" >&2
        exit 1
    fi
}

# shared_practise: prints, last of all, of when the oldest of these snapshots is.
shared_practise() {
    shared_alone 21600 || fail "what uses the repository since six hours has not ended"
    shared_sound "$shared_stanza" || fail "$said"
    oldest=
    for app in $shared_apps; do
        layout_app "$app"
        if [ ! -d "$app_shared" ]; then continue; fi
        shared_find "$shared_stanza" "$app" - -
        shared_scratch_of "$app" "$app.drill"
        shared_fetch "$shared_stanza" "$app" "$id" "$shared_scratch/$app.drill" || fail "$app: $said"
        shared_drop "$app.drill"
        at=$(date -u -d "${at}Z" +%s)
        if [ -z "$oldest" ] || [ "$at" -lt "$oldest" ]; then oldest=$at; fi
    done
    printf '%s\n' "${oldest:-0}"
}
