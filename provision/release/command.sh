# shellcheck shell=sh disable=SC2154
# Commands in a release: with the app's user, environment and sandbox.

# command_units APP: the units of commands that still run.
command_units() { systemctl list-units --no-legend --plain --state=active,activating,deactivating "provision.$1.*" | cut -d' ' -f1; }

# command_unit APP: a new one.
command_unit() { echo "provision.$1.$(cat /proc/sys/kernel/random/uuid)"; }

# command_wait APP: an app runs one such command at a time. The command of a run that was killed, such as a migration, is waited
# for.
command_wait() {
    if [ -n "$(command_units "$1")" ]; then
        echo "a command of an earlier run still goes on, and is waited for: $(command_units "$1")" >&2
        while [ -n "$(command_units "$1")" ]; do sleep 0.2; done
    fi
}

# command_run APP RELEASE FOLDER COMMAND...: what the command leaves behind ends with it, at once (KillMode=mixed).
command_run() {
    app=$1
    layout_app "$1"
    layout_release "$1" "$2"
    directory=$release_folder/$3 venv=$release_venv
    shift 3
    command_wait "$app"
    sandbox_run "$(sandbox_of "$app" "$app_sandbox")" --unit="$(command_unit "$app")" \
        -p EnvironmentFile="$app_env" -p WorkingDirectory="$directory" -p KillMode=mixed \
        --setenv=PATH="$venv/bin:/usr/local/bin:/usr/bin:/bin" --setenv=PYTHONDONTWRITEBYTECODE=1 "$@" </dev/null
}

# command_told COMMAND...: sets told: the end of what it says. Returns its status. What an app says may have no end.
command_told() {
    told=$({ if "$@" 2>&1; then printf '\n0'; else printf '\n%s' "$?"; fi; } | tail -c 4000)
    set -- "${told##*
}"
    told=$(printf '%s' "${told%
*}")
    return "$1"
}

# command_keep FILE: passes on what it reads; the file gets the beginning and the end of it.
command_keep() {
    stdbuf -o0 head -c 500000 | tee "$1"
    tail -c 500000 | tee -a "$1"
}

# command_hint APP [FILE]: sandbox_hint for the app's last command, whose end is in the journal, and whose output is in the file.
command_hint() {
    layout_app "$1"
    journalctl --sync 2>/dev/null || true
    {
        journalctl -q -o cat --no-pager -n 50 --since=-60s -u "provision.$1.*" 2>/dev/null | grep 'Main process exited' | tail -n 1 || true
        if [ -n "${2:-}" ]; then cat "$2"; fi
    } | sandbox_hint "$1" "$app_shared"
}
