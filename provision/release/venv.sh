# shellcheck shell=sh disable=SC2154
# The virtual environments of an app's releases: one for each key (requirements.sh), shared by the releases that have it.

# Whoever builds an environment cannot say that it is whole: root does. Tests have no root.
venv_owner=$(if [ -n "$root" ]; then id -u; else echo 0; fi)

# venv_is_whole VENV: its build was finished, its Python is there, and nothing in it is newer than its stamp, as it would be
# after pip or an editor. What Python itself writes when root runs it does not count.
venv_is_whole() {
    [ "$(stat -c %u "$1/.complete" 2>/dev/null)" = "$venv_owner" ] && [ -x "$1/bin/python" ] &&
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

# venv_install APP RELEASE FOLDER REQUIREMENTS BASE PYTHON UV_VERSION INDEX NETRC KEY SERVER_REQUIREMENT... <build.sh
# A builder builds it in a box (box.sh), because a build runs the packages' code; then root owns everything.
# Sets, for the functions below: app, folder (the app's), source (its path), file (the requirements), python and uv (programs), index, netrc, key_text, work
# (the build's folder), said (its output), venv, and build (the program).
venv_install() {
    umask 022
    build=$(cat)
    layout_app "$1"
    layout_release "$1" "$2"
    layout_tools "$7"
    app=$1 folder=$3 source=$release_folder/$3 uv=$tools_uv/bin/uv index=$8 netrc=$9 key_text=${10} work='' said='' venv=''
    trap venv_clean EXIT
    if [ ! -d "$source" ]; then fail "$app: the commit has no folder $3"; fi
    file=$(requirements_file "$release_folder" "$3" "$4")
    if [ -z "$file" ]; then fail "$app: $3 has no uv.lock, requirements.txt or pyproject.toml with [project]: requirements names another file"; fi
    if [ ! -e "$source/$file" ]; then fail "$app: the commit has no $3/$file (requirements)"; fi
    # The program, not the link: after an upgrade of the distribution, python3.11 stays for a while beside python3.13.
    python=$(readlink -f "$6/bin/python3")
    python_check
    key=$(requirements_key "$release_folder" "$3" "$4" "$5")
    shift 10
    venv=$app_venvs/$key
    if ! venv_is_whole "$venv"; then venv_build "$@"; fi
    point "$release_venv" "../../venvs/$key"
    # The stamp is the newest file of a release that nobody touched.
    touch "$release_stamp"
}

# venv_clean: remove what is half done: the environment, and a release that never had one.
venv_clean() {
    if [ -n "$work" ]; then
        box_end "$app"
        rm -rf "$work" "$said"
    fi
    if [ -n "$venv" ] && [ ! -e "$venv/.complete" ]; then rm -rf "$venv"; fi
    if [ ! -L "$release_venv" ] && [ "$(readlink -f "$app_current")" != "$release_folder" ]; then rm -rf "$release_folder"; fi
}

# venv_build SERVER_REQUIREMENT...
venv_build() {
    box_end "$app"
    work=$(mktemp -d /var/tmp/provision-venv.XXXXXX) || fail "$app: no space left for the venv: $(venv_room /var/tmp)"
    rm -f "$provision_runtime"/build.*
    said=$(mktemp "$provision_runtime/build.XXXXXX")
    rm -rf "$venv"
    if [ "$(stat -c %U "$app_uv_cache" 2>/dev/null)" != "$app-build" ]; then rm -rf "$app_uv_cache"; fi
    mkdir -p "$venv" "$app_uv_cache" "$work/source"
    # All of the commit: a lock, a workspace's member or a path may be above the app's folder.
    tar -C "$release_folder" --exclude=./.venv --exclude=./.release -cf - . | tar -C "$work/source" -xf -
    venv_logins
    # Nothing runs as the builder now, so nothing moves while the owners change.
    chown -hR "$app-build:" "$venv" "$work"
    chown -h "$app-build:" "$app_uv_cache"
    if ! { venv_settings && printf '%s\n' "$build"; } | box_run "$app" "$said" "$venv $work $app_uv_cache" sh -eu -s "$uv" "$python" "$venv" "$work/source/$folder" "$file" "$@"; then
        venv_output
        if grep -q 'os error 28\|No space left' "$said"; then fail "$app: no space left for the venv: $(venv_room "$venv" "$work")"; fi
        # When an index refuses a password, uv says that the packages are not there.
        status=$(sed -n 's/.*lack of valid authentication credentials (\([^)]*\)).*/\1/p' "$said" | head -n 1)
        if [ -n "$status" ]; then fail "$app: $file cannot be installed: $(uv_denied "$status")"; fi
        fail "$app: $file cannot be installed: $(venv_reason <"$said" | sed "s|$work/source/||g")"
    fi
    venv_output
    chown -hR root:root "$venv"
    # uv leaves a .lock that all may write.
    chmod -R go-w "$venv"
    # The stamp is the newest file of an environment that nobody touched. It names the commit that it was built for.
    printf '%s\n' "$file" "$(cut -f1 "$release_stamp")" | put "$venv/.complete" root root 644
}

# venv_output: what the build said. No line of it can be taken for one of the toolkit's own.
venv_output() { sed 's/^/  /' "$said"; }

# venv_settings: the environment of the build, as a program for sh. Only the builder can read it.
venv_settings() {
    for setting in UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_SYSTEM_CERTS=1 UV_NO_CONFIG=0 NO_COLOR=1 \
        UV_COMPILE_BYTECODE=1 UV_CACHE_DIR="$app_uv_cache" UV_PROJECT_ENVIRONMENT="$venv" VIRTUAL_ENV="$venv" HOME="$work" \
        TMPDIR="$work" GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND="$(venv_ssh)" ${index:+"UV_DEFAULT_INDEX=$(venv_index)"}; do
        printf "export %s='%s'\n" "${setting%%=*}" "$(printf '%s' "${setting#*=}" | sed "s/'/'\\\\''/g")"
    done
}

# venv_logins: what the build may log in with, in files that are gone when it ends.
venv_logins() {
    (umask 077 && { if [ -n "$index" ]; then venv_login; fi && printf '%s' "$netrc"; } >"$work/.netrc")
    if [ -n "$key_text" ]; then
        (umask 077 && printf '%s' "$key_text" >"$work/.deploy_key")
    elif [ -e "$app_deploy_key" ]; then
        install -m 600 "$app_deploy_key" "$work/.deploy_key"
    fi
    if [ -e "$app_known_hosts" ]; then cp "$app_known_hosts" "$work/.known_hosts"; fi
}

# venv_login: the user and password in the index's address, as a line of netrc(5), where uv looks for them: the environment of a build
# script has neither.
venv_login() {
    printf '%s' "$index" | "$python" -I -c 'if True:
        import sys, urllib.parse
        url = urllib.parse.urlsplit(sys.stdin.read())
        if url.username:
            words = (url.hostname, urllib.parse.unquote(url.username), urllib.parse.unquote(url.password or ""))
            print("machine %s login %s password %s" % words)'
}

# venv_ssh: for requirements at git+ssh://, the key of the app's repository, and the host keys that are pinned for that.
venv_ssh() { echo "ssh -F none -i $work/.deploy_key -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$work/.known_hosts"; }

# venv_index: its address without them.
venv_index() { printf '%s' "$index" | sed 's|://[^/]*@|://|'; }

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
