# shellcheck shell=sh disable=SC2154
# The check before an activation: whether the app can be imported.

# check_import APP RELEASE FOLDER MODULE FINGERPRINT <import_check.py
check_import() {
    rm -f "$provision_runtime"/check.*
    program=$(cat) said=$(mktemp "$provision_runtime/check.XXXXXX")
    trap 'rm -f "$said" "$said.failed"' EXIT
    links_lead "$1" "$2"
    layout_release "$1" "$2"
    { command_run "$1" "$2" "$3" "$release_venv/bin/python" -c "$program" "$4" 2>&1 || : >"$said.failed"; } | command_keep "$said" >/dev/null
    if [ -e "$said.failed" ]; then
        cat "$said"
        check_discard "$1" "$2"
        because=$(sed -n '$s/^because //p' "$said")
        fail "$1: $4 cannot be imported: ${because:-it ended before it could say why}$(command_hint "$1" "$said")"
    fi
    origin_of_release "$1" "$2" "$3" "$4"
    mark_write "$1" checked "$5"
}

# check_discard APP RELEASE: remove a release that has never served. Its environment was good, and stays for the next try; a later
# activation removes it if it is not used.
check_discard() {
    if grep -qsF "{\"app\":\"$1\",\"release\":\"$2\"" "$provision_history"; then return 0; fi
    layout_release "$1" "$2"
    rm -rf "$release_folder"
}
