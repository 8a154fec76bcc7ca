# shellcheck shell=sh disable=SC2154
# Where a release's code is loaded from. origin_program is origin.py.

# origin_of_release APP RELEASE FOLDER MODULE: fails unless the release, in the environment that it is to have, loads its own commit.
origin_of_release() {
    layout_release "$1" "$2"
    commit=$(cut -f1 "$release_stamp")
    command_told command_run "$1" "$2" "$3" "$release_venv/bin/python" -c "$origin_program" "$4" "$release_folder" "$commit" ||
        fail "$1: $2 does not load its own code: $(printf '%s\n' "$told" | origin_reason)"
}

# origin_of_slot APP SLOT: fails unless the slot's main process, in the folder, the environment and the Python that it has, loads the
# release's own commit. Whatever served before may be gone back to. Reads fingerprint, which is empty then.
origin_of_slot() {
    if [ -z "$fingerprint" ]; then return 0; fi
    layout_slot "$1" "$2"
    main=$(slot_pid "$1" "$2") tree=$(readlink -f "$slot_release")
    commit=$(cut -f1 "$tree/.release") directory=$(readlink "/proc/$main/cwd" || true)
    case $directory/ in "$tree"/*) ;; *) fail "$1: ${tree##*/} runs, but does not load its own code: it runs in ${directory:-no folder}" ;; esac
    command_told origin_in_slot "$1" "$main" "$(origin_module "$main")" ||
        fail "$1: ${tree##*/} runs, but does not load its own code: $(printf '%s\n' "$told" | origin_reason)"
}

# origin_in_slot APP PID MODULE: an interpreter runs code of the environment before it looks at anything: in the slot's sandbox.
origin_in_slot() {
    head -c 4194304 "/proc/$2/environ" | sandbox_run "$(sandbox_of "$1" "$slot_sandbox")" --unit="$(command_unit "$1")" \
        -p WorkingDirectory="$directory" -p KillMode=mixed \
        "$slot_venv/bin/python" -I -c "$origin_program" "$3" "$tree" "$commit" "$origin_program"
}

# origin_module PID: the app's module and attribute, from Gunicorn's command line; empty if it does not say.
origin_module() {
    tr '\000' ' ' <"/proc/$1/cmdline" | tr ' ' '\n' | tr -d '[]' | grep -xE '[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*' | tail -n 1 || true
}

# origin_reason <OUTPUT: what is wrong, else the last line.
origin_reason() { sed -n '$s/^because //;$p' | cut -c1-300; }
