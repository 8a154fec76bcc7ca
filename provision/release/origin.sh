# shellcheck shell=sh disable=SC2154
# Where a release's code is loaded from. origin_program is origin.py.

# origin_of_release APP RELEASE FOLDER MODULE: fails unless the release, in the environment that it is to have, loads its own commit.
origin_of_release() {
    layout_release "$1" "$2"
    commit=$(cut -f1 "$release_stamp")
    told=$(command_run "$1" "$2" "$3" "$release_venv/bin/python" -c "$origin_program" "$4" "$release_folder" "$commit" 2>&1) ||
        fail "$1: $2 does not load its own code: $(printf '%s\n' "$told" | origin_reason)"
}

# origin_of_slot APP SLOT: fails unless the slot's main process, in the folder, the environment and the Python that it has, loads the
# release's own commit. Whatever served before may be gone back to. Reads fingerprint, which is empty then.
origin_of_slot() {
    if [ -z "$fingerprint" ]; then return 0; fi
    layout_slot "$1" "$2"
    main=$(slot_pid "$1" "$2") tree=$(readlink -f "$slot_release") module=$(origin_module "$(slot_pid "$1" "$2")")
    commit=$(cut -f1 "$tree/.release")
    told=$(cd "/proc/$main/cwd" && setpriv --reuid="$1" --regid="$1" --clear-groups env -i "$slot_venv/bin/python" -I -c "$origin_program" \
        "$module" "$tree" "$commit" "$origin_program" <"/proc/$main/environ" 2>&1) ||
        fail "$1: ${tree##*/} runs, but does not load its own code: $(printf '%s\n' "$told" | origin_reason)"
}

# origin_module PID: the app's module and attribute, from Gunicorn's command line; empty if it does not say.
origin_module() {
    tr '\000' ' ' <"/proc/$1/cmdline" | tr ' ' '\n' | tr -d '[]' | grep -xE '[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*' | tail -n 1 || true
}

# origin_reason <OUTPUT: what is wrong, else the last line.
origin_reason() { sed -n '$s/^because //;$p' | cut -c1-300; }
