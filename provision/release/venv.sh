# shellcheck shell=sh disable=SC2034,SC2154
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

# venv_install APP RELEASE FOLDER REQUIREMENTS BASE PYTHON UV_VERSION INDEX NETRC KEY BOX EXTRAS GROUPS SERVER_REQUIREMENT... <build.sh
# The app's builder builds it in a box (release/box.py), because a build runs the packages' code; root then takes a copy.
# Sets, for the functions below: app, folder (the app's), source (its path), file (the requirements), python and uv (programs), index, netrc,
# key_text, box and builder, extras and groups, work (the build's folder, in which only root can go), unit (the build's), venv, and build (the program).
venv_install() {
    umask 022
    build=$(cat)
    layout_app "$1"
    layout_release "$1" "$2"
    layout_tools "$7"
    app=$1 folder=$3 source=$release_folder/$3 uv=$tools_uv/bin/uv index=$8 netrc=$9 key_text=${10} box=${11} extras=${12} groups=${13} work='' venv=''
    builder=$(printf '%s\n' "$box" | sed -n 's/^User=//p') unit=provision-build-$app.service
    requirements_tree=$(readlink -f "$release_folder")
    trap venv_clean EXIT
    if [ ! -d "$source" ]; then fail "$app: the commit has no folder $3"; fi
    file=$(requirements_file "$release_folder" "$3" "$4")
    if [ -z "$file" ]; then fail "$app: $3 has no uv.lock, requirements.txt, pylock.toml, poetry.lock, pdm.lock or pyproject.toml with [project]: requirements names another file"; fi
    if [ ! -e "$source/$file" ]; then fail "$app: the commit has no $3/$file (requirements)"; fi
    # The program, not the link: after an upgrade of the distribution, python3.11 stays for a while beside python3.13.
    python=$(readlink -f "$6/bin/python3")
    python_check
    key=$(requirements_key "$release_folder" "$3" "$4" "$5")
    shift 13
    venv=$app_venvs/$key
    if ! venv_is_whole "$venv"; then venv_build "$@"; fi
    point "$release_venv" "../../venvs/$key"
    if [ -f "$venv/.packages" ]; then cp "$venv/.packages" "$release_packages"; fi
    # The stamp is the newest file of a release that nobody touched.
    touch "$release_stamp"
}

# venv_clean: remove what is half done: the build, and a release that never had an environment.
venv_clean() {
    if [ -n "$work" ]; then box_close; fi
    if [ ! -L "$release_venv" ] && [ "$(readlink -f "$app_current")" != "$release_folder" ]; then rm -rf "$release_folder"; fi
}

# venv_build SERVER_REQUIREMENT...
venv_build() {
    box_open
    mkdir -p "${app_uv_cache%/*}"
    install -d -m 700 -o "$builder" -g "$builder" "$app_uv_cache"
    venv_forget_cache
    mkdir "$work/venv" "$work/source" "$work/home"
    venv_logins
    venv_kept >"$work/kept"
    printf '%s\n' "$build" >"$work/build.sh"
    # All of the commit: a lock, a workspace's member or a path may be above the app's folder. Its links would lead nowhere in the box.
    links_listed "$release_folder" "$folder" >"$work/links"
    tar -C "$release_folder" -X "$work/links" --exclude=./.venv --exclude=./.release --exclude=./.built -cf - . | tar -C "$work/source" -xf -
    chown -hR "$builder:" "$work/source" "$work/venv" "$work/home"
    box_said "the venv" venv_run_build "$@"
    if [ -e "$work/failed" ]; then venv_failed; fi
    venv_take
    if ! requirements_are_open "$source/$file"; then return 0; fi
    if [ -s "$work/kept" ]; then
        notice "$app: no lock pins all versions of $file: those of the release before were kept where it allows them; deploy --upgrade takes the newest"
    else
        notice "$app: no lock pins all versions of $file: the others were resolved anew, and later releases keep them until deploy --upgrade"
    fi
}

# venv_kept: the versions to stay with where requirements are resolved: the release's own, or else those of the one that serves.
venv_kept() {
    if [ -f "$release_packages" ]; then
        cat "$release_packages"
    elif [ "$(cat "$release_upgraded" 2>/dev/null)" != "${release_folder##*/}" ] && [ -f "$app_current/.packages" ]; then
        cat "$app_current/.packages"
    fi
}

# venv_packages VENV: what is installed in it, as NAME==VERSION. Only the names of root's own copies are read.
venv_packages() {
    find "$1"/lib/python3*/site-packages -mindepth 1 -maxdepth 1 -type d -name '*-*.dist-info' -printf '%f\n' |
        sed -n 's/^\([A-Za-z0-9][A-Za-z0-9._]*\)-\([A-Za-z0-9][A-Za-z0-9._+!]*\)\.dist-info$/\1==\2/p' | tr '[:upper:]_' '[:lower:]-' | sort
}

# venv_forget_cache: what an older toolkit let the app write is removed by the app's user, not by root.
venv_forget_cache() {
    old=${app_uv_cache%/*}/uv-$app
    if [ -d "$old" ]; then
        setpriv --reuid="$app" --regid="$app" --clear-groups find "$old" -mindepth 1 -delete 2>/dev/null || true
        rmdir "$old" 2>/dev/null || true
    fi
}

# venv_run_build SERVER_REQUIREMENT...: build.sh, in the box. The environment is built at the path at which it will stand. No property
# of a unit and no argument may have the index's password, as all can read those.
venv_run_build() {
    sandbox_run "$box" --unit="$unit" \
        -p BindPaths="$work/venv:$venv" -p BindPaths="$work/source:$app_home/source" \
        -p BindPaths="$work/home:$app_home/home" \
        -p BindReadOnlyPaths="$work/build.sh:$app_home/build.sh" -p BindReadOnlyPaths="$work/kept:$app_home/kept" \
        --setenv=UV_PYTHON_DOWNLOADS=never --setenv=UV_LINK_MODE=copy --setenv=UV_NO_PROGRESS=1 --setenv=UV_SYSTEM_CERTS=1 \
        --setenv=UV_NO_EDITABLE=1 --setenv=UV_NO_CONFIG=0 --setenv=NO_COLOR=1 --setenv=UV_COMPILE_BYTECODE=1 \
        --setenv=UV_CACHE_DIR="$app_uv_cache" --setenv=UV_PROJECT_ENVIRONMENT="$venv" --setenv=VIRTUAL_ENV="$venv" \
        --setenv=HOME="$app_home/home" --setenv=TMPDIR=/var/tmp --setenv=GIT_TERMINAL_PROMPT=0 \
        --setenv=GIT_SSH_COMMAND="$(venv_ssh)" ${index:+"--setenv=UV_DEFAULT_INDEX=$(venv_index)"} \
        sh -eu "$app_home/build.sh" "$uv" "$python" "$venv" "$app_home/source/$folder" "$file" "$(venv_itself)" "$extras" "$groups" "$app_home/kept" "$@" </dev/null
}

# venv_itself: whether the project is installed with what its lock says, as its tool would.
venv_itself() {
    case $file in
    *poetry.lock | *pdm.lock) if requirements_install_project "$source/${file%"${file##*/}"}pyproject.toml"; then echo yes; fi ;;
    esac
}

# venv_logins: what the build may log in with, in its home, which is gone when it ends.
venv_logins() {
    (umask 077 && { if [ -n "$index" ]; then venv_login; fi && printf '%s' "$netrc"; } >"$work/home/.netrc")
    if [ -n "$key_text" ]; then
        (umask 077 && printf '%s' "$key_text" >"$work/home/.deploy_key")
    elif [ -e "$app_deploy_key" ]; then
        install -m 600 "$app_deploy_key" "$work/home/.deploy_key"
    fi
    if [ -e "$app_known_hosts" ]; then cp "$app_known_hosts" "$work/home/.known_hosts"; fi
}

# venv_ssh: for requirements at git+ssh://, the key of the app's repository, and the host keys that are pinned for that.
venv_ssh() { echo "ssh -F none -i $app_home/home/.deploy_key -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$app_home/home/.known_hosts"; }

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

# venv_index: its address without them.
venv_index() { printf '%s' "$index" | sed 's|://[^/]*@|://|'; }

# venv_failed: fail with the build's reason.
venv_failed() {
    if grep -q 'os error 28\|No space left' "$work/output"; then box_full "the venv"; fi
    # When an index refuses a password, uv says that the packages are not there.
    status=$(sed -n 's/.*lack of valid authentication credentials (\([^)]*\)).*/\1/p' "$work/output" | head -n 1)
    if [ -n "$status" ]; then fail "$app: $file cannot be installed: $(tool_denied "$status")"; fi
    refused=$(venv_git_reason <"$work/output")
    if [ -n "$refused" ]; then fail "$app: $file cannot be installed: $refused"; fi
    fail "$app: $file cannot be installed: $(venv_reason <"$work/output" | sed "s|$app_home/source/||g")$(lacking_hint "$python" <"$work/output")$(sandbox_hint "$app" <"$work/output")"
}

# venv_take: the environment becomes root's, as a copy.
venv_take() {
    box_copy "$work/venv" "$work/taken"
    rm -rf "$work/taken/.complete"
    # The stamp is the newest file of an environment that nobody touched. It names the commit that it was built for.
    printf '%s\n' "$file" "$(cut -f1 "$release_stamp")" | put "$work/taken/.complete" root root 644
    venv_packages "$work/taken" | put "$work/taken/.packages" root root 644
    chown "root:$app" "$work/taken"
    chmod 750 "$work/taken"
    if [ -e "$venv" ]; then mv -T "$venv" "$work/old"; fi
    mv -T "$work/taken" "$venv" || box_full "the venv"
    sync -f "$venv"
}

# venv_git_reason <OUTPUT: why a requirement's repository let nobody in, which git and ssh say far behind uv's error; empty if they do not.
venv_git_reason() {
    sed -n "
        s/.*git fetch .*'\([a-z]*:\/\/[^' ]*\)' .*/\1/; t name
        s/.*Host key verification failed.*/shows a host key that is not pinned: where it is the right one, pin it (source.host_key); otherwise somebody is in between/; t why
        s/.*Permission denied (publickey.*/refuses the deploy key: add its public half there (read-only is enough), then run again/; t why
        s/.*\(Authentication failed for\|could not read Username for\|could not read Password for\).*/refuses the login, or wants one: give it in the app's netrc/; t why
        b
        :name
        h; b
        :why
        x; G; s/\n/ /p; q"
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
