# shellcheck shell=sh disable=SC2154
# The virtual environments of an app's releases: one for each key (requirements.sh), shared by the releases that have it.

# venv_is_whole VENV: its build was finished, its Python is there, and nothing in it is newer than its stamp, as it would be
# after pip or an editor. What Python itself writes when root runs it does not count.
venv_is_whole() {
    [ -e "$1/.complete" ] && [ -x "$1/bin/python" ] &&
        [ -z "$(find "$1/bin" "$1/lib" "$1/pyvenv.cfg" -name __pycache__ -prune -o -newer "$1/.complete" -print -quit 2>&1)" ]
}

# In: NUMBER APP RELEASE FOLDER REQUIREMENTS BASE. Out: venv (right, wrong, or other: its key has changed), if the release has one.
venv_probe() {
    while IFS='	' read -r number app release folder requirements base; do
        layout_release "$app" "$release"
        if [ -e "$release_venv" ]; then
            venv=$(readlink -f "$release_venv")
            state=wrong
            if [ "${venv##*/}" != "$(requirements_key "$release_folder" "$folder" "$requirements" "$base")" ]; then
                state=other
            elif venv_is_whole "$venv"; then
                state=right
            fi
            printf '%s\tvenv=%s\n' "$number" "$state"
        fi
    done
}

# venv_install APP RELEASE FOLDER REQUIREMENTS BASE PYTHON UV_VERSION INDEX SERVER_REQUIREMENT... <build.sh
# The app's user builds it, because a build runs the packages' code; then root owns everything.
# Sets, for the functions below: app, folder (the app's), source (its path), file (the requirements), python and uv (programs), index, work
# (the build's folder), venv, and build (the program).
venv_install() {
    umask 022
    build=$(cat)
    layout_app "$1"
    layout_release "$1" "$2"
    layout_tools "$7"
    app=$1 folder=$3 source=$release_folder/$3 uv=$tools_uv/bin/uv index=$8 work='' venv=''
    trap venv_clean EXIT
    if [ ! -d "$source" ]; then fail "$app: the commit has no folder $3"; fi
    file=$(requirements_file "$release_folder" "$3" "$4")
    if [ -z "$file" ]; then fail "$app: $3 has no uv.lock, requirements.txt or pyproject.toml with [project]: requirements names another file"; fi
    if [ ! -e "$source/$file" ]; then fail "$app: the commit has no $3/$file (requirements)"; fi
    # The program, not the link: after an upgrade of the distribution, python3.11 stays for a while beside python3.13.
    python=$(readlink -f "$6/bin/python3")
    python_check
    key=$(requirements_key "$release_folder" "$3" "$4" "$5")
    shift 8
    venv=$app_venvs/$key
    if ! venv_is_whole "$venv"; then venv_build "$@"; fi
    point "$release_venv" "../../venvs/$key"
    # The stamp is the newest file of a release that nobody touched.
    touch "$release_stamp"
}

# venv_clean: remove what is half done: the environment, and a release that never had one.
venv_clean() {
    if [ -n "$work" ]; then rm -rf "$work"; fi
    if [ -n "$venv" ] && [ ! -e "$venv/.complete" ]; then rm -rf "$venv"; fi
    if [ ! -L "$release_venv" ] && [ "$(readlink -f "$app_current")" != "$release_folder" ]; then rm -rf "$release_folder"; fi
}

# venv_build SERVER_REQUIREMENT...
venv_build() {
    work=$(mktemp -d /var/tmp/provision-venv.XXXXXX) || fail "$app: no space left for the venv: $(venv_room /var/tmp)"
    rm -rf "$venv"
    mkdir -p "$venv" "$app_uv_cache"
    chown "$app:" "$venv" "$app_uv_cache"
    # All of the commit: a lock, a workspace's member or a path may be above the app's folder.
    mkdir "$work/source"
    tar -C "$release_folder" --exclude=./.venv --exclude=./.release -cf - . | tar -C "$work/source" -xf -
    chown -R "$app:" "$work"
    if ! venv_run_build "$@" >"$work/output" 2>&1; then
        cat "$work/output"
        if grep -q 'os error 28\|No space left' "$work/output"; then fail "$app: no space left for the venv: $(venv_room "$venv" "$work")"; fi
        # When an index refuses a password, uv says that the packages are not there.
        status=$(sed -n 's/.*lack of valid authentication credentials (\([^)]*\)).*/\1/p' "$work/output" | head -n 1)
        if [ -n "$status" ]; then fail "$app: $file cannot be installed: $(uv_denied "$status")"; fi
        fail "$app: $file cannot be installed: $(venv_reason <"$work/output" | sed "s|$work/source/||g")"
    fi
    cat "$work/output"
    chown -R root:root "$venv"
    # uv leaves a .lock that all may write.
    chmod -R go-w "$venv"
    # The stamp is the newest file of an environment that nobody touched. It names the commit that it was built for.
    printf '%s\n' "$file" "$(cut -f1 "$release_stamp")" | put "$venv/.complete" root root 644
}

# venv_run_build SERVER_REQUIREMENT...: build.sh, as the app's user.
venv_run_build() {
    export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_SYSTEM_CERTS=1 UV_NO_CONFIG=0 NO_COLOR=1
    export UV_CACHE_DIR="$app_uv_cache" UV_PROJECT_ENVIRONMENT="$venv" VIRTUAL_ENV="$venv" UV_COMPILE_BYTECODE=1
    export HOME="$work" TMPDIR="$work"
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
    printf '%s\n' "$build" | setpriv --reuid="$app" --regid="$app" --clear-groups sh -eu -s "$uv" "$python" "$venv" "$work/source/$folder" "$file" "$@"
}

# venv_room PATH...: the free space on their filesystems.
venv_room() {
    echo "$(room "$@"); make room there, or keep fewer releases (keep_releases)"
}

# venv_reason <OUTPUT: what uv reports, on one line: its error, the causes, and the exception that ended a build.
venv_reason() {
    awk '
        { sub(/^ +/, ""); last = $0 ? $0 : last }
        /^error: / { said = substr($0, 8); quiet = 0; next }
        !said || /^hint: / { next }
        /^$/ { quiet = 1 }
        quiet { if ($1 ~ /(Error|Exception|Exit):$/) ended = ": " $0; next }
        /^cause: / { said = said ": " substr($0, 8); next }
        { said = said " " $0 }
        END { print substr((said ? said : last) ended, 1, 500) }'
}
