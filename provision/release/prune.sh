# shellcheck shell=sh disable=SC2154
# Which releases, virtual environments and builds stay on a server.
# Reads app, and keep: how many of the newest releases stay.

# release_prune: keep the newest good releases and those in use; keep environments that a release or a slot uses.
release_prune() {
    used=$(readlink -f "$app_configuration/blue/release" "$app_configuration/green/release" "$app_current" || true)
    grep -l '^failed' "$app_records/"* 2>/dev/null | while read -r path; do
        release_remove_unused "$app_releases/${path##*/}"
    done
    find "$app_releases" -mindepth 1 -maxdepth 1 -type d | sort -r | tail -n "+$((keep + 1))" | while read -r path; do
        release_remove_unused "$path"
    done
    for path in "$app_records/"*; do
        if [ ! -e "$app_releases/${path##*/}" ]; then rm -f "$path"; fi
    done
    used=$(readlink -f "$app_releases"/*/.venv "$app_configuration/blue/venv" "$app_configuration/green/venv" || true)
    find "$app_venvs" -mindepth 1 -maxdepth 1 -type d | while read -r path; do release_remove_unused "$path"; done
    used=$(for path in "$app_releases"/*/.built; do artifacts_of "$path"; done | sed "s|^|$app_builds/|")
    find "$app_builds" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | while read -r path; do release_remove_unused "$path"; done
    # Those of an older toolkit were open to all.
    for path in "$app_releases"/* "$app_venvs"/*; do
        if [ -d "$path" ]; then chown "root:$app" "$path" && chmod 750 "$path"; fi
    done
}

# release_remove_unused PATH: remove a folder unless it is one of the lines of used.
release_remove_unused() { if ! printf '%s\n' "$used" | grep -qxF "$1"; then rm -rf "$1"; fi; }
