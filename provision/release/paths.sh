# shellcheck shell=sh disable=SC2154
# An app's paths, compared with its tables. PLACES are words of the form KIND,MODE,OWNER:GROUP,PATH.

# In: NUMBER APP PLACES. Out: slot (the one with the traffic), if there is one; path and wrong, in a record for each path that is not
# as it should be.
paths_probe() {
    while IFS='	' read -r number app places; do
        layout_app "$app"
        slot=$(slot_current)
        if [ -n "$slot" ]; then printf '%s\tslot=%s\n' "$number" "$slot"; fi
        paths_wrong "$app" "$places" | while read -r path wrong _; do printf '%s\tpath=%s\twrong=%s\n' "$number" "${path#"$root"}" "$wrong"; done
    done
}

# paths_wrong APP PLACES: PATH WRONG MEANT, a line each. Nothing where no slot has the traffic: an activation comes first.
paths_wrong() {
    layout_app "$1"
    slot=$(slot_current)
    release=$(readlink "$app_current" || true) release=${release#releases/}
    layout_release "$1" "${release:-none}"
    if [ -z "$slot" ] || [ ! -e "$release_stamp" ]; then return 0; fi
    paths_attributes "$(printf '%s\n' "$2" | sed "s|@release@|$release|g; s|,/|,$root/|g" | tr ' ' '\n')"
    paths_link "$app_active_slot" "$slot"
    paths_link "$app_static_current" "$slot"
    layout_slot "$1" "$slot"
    if [ ! -d "$slot_folder" ]; then return 0; fi
    paths_link "$slot_release" "$release_folder"
    if [ -e "$release_venv" ]; then paths_link "$slot_venv" "$(readlink -f "$release_venv")"; fi
    if [ "$(cat "$slot_manager" 2>/dev/null)" != "$(slot_manager_of "$1" "$slot")" ]; then echo "$slot_manager content"; fi
    if [ ! -s "$release_record" ]; then echo "$release_record content"; fi
    for each in $process_managers; do
        case $("${each}_slot_probe" "$1" "$(slot_other "$slot")" | tr '\t' '\n') in
        *enabled=enabled*) if [ "$(readlink "$app_active_slot")" = "$slot" ]; then echo "$app_configuration/$(slot_other "$slot") starts_at_boot"; fi ;;
        esac
    done
}

# paths_attributes PLACES, a line each: those that are there with another type, mode or owner.
paths_attributes() {
    {
        printf '%s\n' "$1" | sed 's/^/P,/'
        printf '%s\n' "$1" | cut -d , -f 4 | xargs -r -d '\n' stat -c 'S,%n,%F,%a,%U:%G' 2>/dev/null
    } | awk -F , '
        $1 == "P" { kind[$5] = $2; mode[$5] = $3; owner[$5] = $4; next }
        $3 !~ (kind[$2] == "file" ? "^regular" : "^" kind[$2]) { gsub(" ", "_", $3); print $2, "a_" $3, "type=" kind[$2] "," mode[$2] "," owner[$2]; next }
        $4 != mode[$2] { print $2, "mode_" $4, "mode=" mode[$2] }
        $5 != owner[$2] { print $2, "owner_" $5, "owner=" owner[$2] }'
}

# paths_link LINK TARGET
paths_link() {
    if [ "$(readlink "$1" || true)" != "$2" ]; then echo "$1 leads_elsewhere link=$2"; fi
}

# paths_mend APP PLACES: a folder or link in the place of a file is moved aside.
paths_mend() {
    app=$1
    layout_app "$1"
    paths_wrong "$1" "$2" | while read -r path wrong meant; do
        case $meant in
        type=*) paths_mend_type "$path" "${meant#type=}" ;;
        mode=*) chmod "${meant#mode=}" "$path" ;;
        owner=*) chown "${meant#owner=}" "$path" ;;
        link=*) if [ -d "$path" ] && [ ! -L "$path" ]; then paths_aside "$path"; fi && point "$path" "${meant#link=}" ;;
        *) paths_mend_other "$path" "$wrong" ;;
        esac
    done
}

paths_aside() {
    aside=$1.moved-$(date -u +%Y%m%dT%H%M%S)
    mv -T "$1" "$aside"
    notice "$1 was not what it should be, and was moved to $aside"
}

# paths_mend_type PATH KIND,MODE,OWNER:GROUP: what a link in the place of a file leads to stays as the file's content.
paths_mend_type() {
    mode=${2#*,} mode=${mode%,*} owner=${2##*,}
    if [ "${2%%,*}" = file ] && [ -L "$1" ] && [ -f "$1" ]; then
        put "$1" "${owner%:*}" "${owner#*:}" "$mode" <"$(readlink -f "$1")"
    else
        paths_aside "$1"
        if [ "${2%%,*}" = directory ]; then install -d -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$1"; fi
    fi
}

# paths_mend_other PATH WRONG
paths_mend_other() {
    slot=${1#"$app_configuration"/} slot=${slot%%/*}
    case $1 in
    */manager) slot_manager_of "$app" "$slot" | put "$1" root root 644 ;;
    "$app_records"/*) (umask 022 && mkdir -p "$app_records") && printf 'good\t%s\t-\n' "$(date -u -r "$app_current/.release" +%Y-%m-%dT%H:%M:%SZ)" | put "$1" root root 600 ;;
    *) for each in $process_managers; do "${each}_slot_at_boot" "$app" "$slot" no; done ;;
    esac
}
