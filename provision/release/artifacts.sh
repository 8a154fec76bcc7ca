# shellcheck shell=sh disable=SC2154
# What builds make for an app's releases. It is kept by a key of what it was made of (builds, in the layout), as folder out and, in the file
# outputs, the paths in that; a release has copies. Whatever runs is the builder's, and root believes nothing of what it leaves.

# In: NUMBER APP RELEASE COMMIT SPEC. Out: build (right or wrong), if the release has any; kept=yes where the server has what was sent to it.
artifacts_probe() {
    while IFS='	' read -r number app release commit spec; do
        layout_app "$app"
        layout_release "$app" "$release"
        state=wrong
        if [ -e "$app_builds/$(artifacts_sent "$spec" "$commit")" ]; then printf '%s\tkept=yes\n' "$number"; fi
        if [ "$(artifacts_of "$release_built" | sed -n 1p)" = "$(artifacts_made_of "$spec")" ]; then state=right; fi
        if [ -e "$release_built" ]; then printf '%s\tbuild=%s\n' "$number" "$state"; fi
    done
}

# artifacts_of FILE: what a release's record of its builds says. A commit that an older toolkit exported may have anything of that name.
artifacts_of() { if [ -f "$1" ] && [ ! -L "$1" ]; then cat "$1"; fi; }

# artifacts_made_of SPEC: what a release's builds are made with. Reads release_venv.
artifacts_made_of() { printf '%s\t%s' "$1" "$(readlink "$release_venv" | sed 's|.*/||')"; }

# artifacts_sent SPEC COMMIT: the key of what the controller built.
artifacts_sent() { printf 'sent %s %s' "$1" "$2" | sha256sum | cut -c1-16; }

# artifacts_begin APP RELEASE COMMIT NODE TOOLS NPM BOX: sets, for the functions below: app, release, commit, node (a series), tools (its
# folder), npm (a registry), box and builder, unit, venv, work (the build's folder), and keys (those of the steps so far).
artifacts_begin() {
    umask 022
    layout_app "$1"
    layout_release "$1" "$2"
    app=$1 release=$2 commit=$3 node=$4 tools=$5 npm=$6 box=$7 work='' keys=''
    builder=$(printf '%s\n' "$box" | sed -n 's/^User=//p') unit=provision-build-$app.service
    venv=$(readlink -f "$release_venv")
    trap artifacts_end EXIT
}

# artifacts_end: remove what is half done: the build, and a release that has nothing of it and never served.
artifacts_end() {
    if [ -n "$work" ]; then box_close; fi
    if [ ! -e "$release_built" ] && [ "$(readlink -f "$app_current")" != "$release_folder" ]; then check_discard "$app" "$release"; fi
}

# artifacts_step SPEC INPUTS OUTPUTS PROGRAM: run a step, unless that was done before with the same inputs. A path a line.
artifacts_step() {
    spec=$1 inputs=$2 outputs=$3 program=$4
    key=$(artifacts_key)
    if [ -e "$app_builds/$key" ]; then
        printf 'taken from what was built before with the same inputs (%s)\n' "$key"
    else
        box_open
        mkdir "$work/source" "$work/home"
        artifacts_source
        for each in $keys; do artifacts_lay "$each" "$work/source"; done
        printf '%s' "$program" >"$work/build.sh"
        install -d -m 755 "${app_npm_cache%/*}"
        install -d -m 700 -o "$builder" -g "$builder" "$app_npm_cache"
        chown -hR "$builder:" "$work/source" "$work/home"
        box_said "the build" artifacts_run
        if [ -e "$work/failed" ]; then artifacts_failed; fi
        artifacts_take
        box_close
    fi
    keys="$keys $key"
}

# artifacts_key: of the step, the steps before, and the inputs: the objects of Git that they are, and which packages the environment has. A
# step that has the whole commit may also import the commit's own packages, so the environment itself counts.
artifacts_key() {
    found=$(artifacts_read) || exit 1
    printf '%s\n' "$spec" "$node" "$keys" "$found" | sha256sum | cut -c1-16
}

artifacts_read() {
    if [ -z "$inputs" ]; then
        git --git-dir="$app_repository" rev-parse "$commit^{tree}"
        printf '%s\n' "${venv##*/}"
        return 0
    fi
    printf '%s\n' "$inputs" | while IFS= read -r path; do
        git --git-dir="$app_repository" rev-parse --quiet --verify "$commit:$path" || fail "$app: the commit has no $path (build.inputs)"
    done || exit 1
    find "$venv/lib" -maxdepth 3 -name '*.dist-info' -printf '%P\n' | LC_ALL=C sort
}

# artifacts_source: the inputs, as the commit has them.
artifacts_source() {
    set -- "$commit"
    while IFS= read -r path; do if [ -n "$path" ]; then set -- "$@" "$path"; fi; done <<END_OF_INPUTS
$inputs
END_OF_INPUTS
    { release_archive "$work/source.tar" "$@" && tar -C "$work/source" --no-same-owner -xf "$work/source.tar"; } ||
        box_full "the build"
    rm -f "$work/source.tar"
}

# artifacts_run: the step's program, in the box. Of the environment, only what Python needs is there, and only where it is a folder of its own.
artifacts_run() {
    set --
    for each in bin lib include share etc; do
        if [ -d "$venv/$each" ] && [ ! -L "$venv/$each" ]; then set -- "$@" -p BindReadOnlyPaths="$venv/$each:$venv/$each"; fi
    done
    if [ -f "$venv/pyvenv.cfg" ] && [ ! -L "$venv/pyvenv.cfg" ]; then set -- "$@" -p BindReadOnlyPaths="$venv/pyvenv.cfg:$venv/pyvenv.cfg"; fi
    sandbox_run "$box" --unit="$unit" "$@" \
        -p BindPaths="$work/source:$app_home/source" -p BindPaths="$work/home:$app_home/home" \
        -p BindReadOnlyPaths="$work/build.sh:$app_home/build.sh" -p WorkingDirectory="$app_home/source" \
        --setenv=PATH="$venv/bin:${tools:+$tools/bin:}/usr/local/bin:/usr/bin:/bin" --setenv=VIRTUAL_ENV="$venv" \
        --setenv=PYTHONDONTWRITEBYTECODE=1 --setenv=HOME="$app_home/home" --setenv=TMPDIR=/var/tmp --setenv=NO_COLOR=1 --setenv=LANG=C.UTF-8 \
        --setenv=NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
        --setenv=npm_config_cache="$app_npm_cache" --setenv=npm_config_update_notifier=false --setenv=npm_config_fund=false \
        --setenv=npm_config_audit=false ${npm:+"--setenv=npm_config_registry=$npm" --setenv=npm_config_replace_registry_host=always} \
        sh -eu "$app_home/build.sh" </dev/null
}

# artifacts_failed: fail with the command that failed, and the last that it said.
artifacts_failed() {
    if grep -q 'ENOSPC\|No space left' "$work/output"; then box_full "the build"; fi
    command=$(sed -n 's/^\$ //p' "$work/output" | tail -n 1 | tr -c '[:print:]\n' '?' | cut -c 1-200)
    last=$(grep -v '^[[:space:]]*$' "$work/output" | tail -n 1 | tr -c '[:print:]\n' '?' | cut -c 1-300)
    case $last in "\$ $command") last='it said nothing' ;; esac
    fail "$app: the build failed at \`$command\`: ${last:-it ended before it could say why}$(sandbox_hint "$app" <"$work/output")"
}

# artifacts_take: the outputs become root's, as copies. The builder's processes are gone; what they left may be a link or a pipe to anything.
artifacts_take() {
    mkdir -p "$work/entry" "$work/out"
    printf '%s\n' "$outputs" | while IFS= read -r path; do
        artifacts_above "$work/source" "$path"
        if [ -L "$work/source/$path" ] || { [ ! -f "$work/source/$path" ] && [ ! -d "$work/source/$path" ]; }; then
            fail "$app: the build made no $path that is a file or a folder (build.outputs)"
        fi
        { mkdir -p "$work/out/$(dirname "$path")" && mv -T "$work/source/$path" "$work/out/$path"; } || box_full "what was built"
    done || exit 1
    box_copy "$work/out" "$work/entry/out"
    printf '%s\n' "$outputs" >"$work/entry/outputs"
    install -d -m 700 -o root -g root "$app_builds"
    sync -f "$work/entry"
    mv -T "$work/entry" "$app_builds/$key" || box_full "the build"
}

# artifacts_above TREE PATH [make] [KEY]: fails, naming the key, unless all that is above the path in the tree is a folder of its own; `make` makes
# those that are missing.
artifacts_above() {
    at=$1 rest=$(dirname "$2")
    while [ "$rest" != . ]; do
        at=$at/${rest%%/*}
        if [ -n "${3:-}" ] && [ ! -e "$at" ] && [ ! -L "$at" ]; then mkdir "$at"; fi
        if [ -L "$at" ] || [ ! -d "$at" ]; then fail "$app: ${at#"$1"/} is no folder, so there is no $2 in it (${4:-build.outputs})"; fi
        case $rest in */*) rest=${rest#*/} ;; *) rest=. ;; esac
    done
}

# artifacts_lay KEY TREE: put copies of what was built in a tree in which only root can write.
artifacts_lay() {
    while IFS= read -r path; do
        artifacts_above "$2" "$path" make
        beside=$(dirname "$2/$path")/.provision-new
        rm -rf "$beside" "$beside.old"
        cp -RPT --reflink=auto --preserve=timestamps "$app_builds/$1/out/$path" "$beside" || box_full "what was built"
        if [ -e "$2/$path" ] || [ -L "$2/$path" ]; then mv -T "$2/$path" "$beside.old"; fi
        mv -T "$beside" "$2/$path"
        rm -rf "$beside.old"
    done <"$app_builds/$1/outputs"
}

# artifacts_place SPEC: the release gets all that was built for it.
artifacts_place() {
    for each in $keys; do artifacts_lay "$each" "$release_folder"; done
    {
        artifacts_made_of "$1"
        # shellcheck disable=SC2086 # the keys are words
        printf '\n%s' $keys
        echo
    } | put "$release_built" root root 644
    # The stamp is the newest file of a release that nobody touched.
    touch "$release_stamp"
    sync -f "$release_folder"
}

# artifacts_receive SPEC PACK OUTPUTS: take in what the controller built and sent; without a pack, the server has it.
artifacts_receive() {
    key=$(artifacts_sent "$1" "$commit") pack=$2 outputs=$3
    if [ -n "$pack" ]; then
        trap 'rm -f "$pack"; artifacts_end' EXIT
        box_open
        mkdir "$work/source"
        tar -C "$work/source" --no-same-owner --no-same-permissions -xf "$pack" || fail "$app: what this machine built did not arrive whole: run again"
        rm -rf "${app_builds:?}/$key"
        artifacts_take
        box_close
    fi
    keys=$key
}
