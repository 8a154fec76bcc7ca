# shellcheck shell=sh disable=SC2154
# uv, the pinned installer of packages.

# In: NUMBER VERSION. Out: uv (installed), where it is.
uv_probe() {
    while IFS='	' read -r number version; do
        layout_tools "$version"
        if [ -x "$tools_uv/bin/uv" ]; then printf '%s\tuv=installed\n' "$number"; fi
    done
}

# uv_install VERSION PYTHON INDEX SHA256...: PYTHON/bin/python3 installs a wheel with one of these checksums.
uv_install() {
    layout_tools "$1"
    version=$1 python=$2 index=$3
    shift 3
    tool_install "uv $version" "uv==$version" "$tools_uv" "$python" "$index" "$@"
    tool_done "$tools_uv"
}
