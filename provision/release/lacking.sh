# shellcheck shell=sh
# What of the system's a build of packages wanted and did not find.

# The packages of Debian and Ubuntu by the header or the program that packages of PyPI ask for most.
lacking_known='libpq-fe\.h|pg_config libpq-dev
ffi\.h libffi-dev
openssl\/[a-z0-9]+\.h libssl-dev
libxml\/[a-zA-Z]+\.h|xml2-config libxml2-dev
libxslt\/[a-z]+\.h|xslt-config libxslt1-dev
mysql\.h|mysql_config|mysqlclient default-libmysqlclient-dev
jpeglib\.h|[Jj]peg libjpeg-dev
zlib\.h zlib1g-dev
yaml\.h libyaml-dev
sqlite3\.h libsqlite3-dev
lber\.h|ldap\.h libldap2-dev
sasl\/sasl\.h libsasl2-dev
curl\/curl\.h|curl-config libcurl4-openssl-dev
geos_c\.h|geos-config libgeos-dev
gdal\.h|gdal-config libgdal-dev
krb5-config|gssapi\/[a-z]+\.h libkrb5-dev
magic\.h libmagic-dev
snappy-c\.h libsnappy-dev
rocksdb\/c\.h librocksdb-dev'

# lacking_hint PYTHON <OUTPUT: what follows the error of a build, by what it printed: which packages the inventory should have; empty if
# nothing looks like it. Headers of Python come with those that pyenv built (PYTHON is not below /usr).
lacking_hint() {
    awk -v known="$lacking_known" -v python="$1" '
        function add(name) { if (!(name in found)) { found[name] = 1; list = list (list ? ", " : "") name } }
        function compiler() { add("build-essential"); if (python ~ /^\/usr\//) add("python3-dev") }
        BEGIN { count = split(known, line, "\n") }
        /(command|execute) .?[^ ]*(gcc|g\+\+|cc|c\+\+|clang).*(failed: No such file|No such file)|No C compiler|no acceptable C compiler|Unknown compiler|linker .cc. not found|No such file or directory: .([^ ]*-)?(gcc|g\+\+|cc|c\+\+|clang).$|No CMAKE_C(XX)?_COMPILER/ { compiler() }
        /(Python|pyconfig)\.h: No such file/ { compiler() }
        /Rust (compiler|toolchain)|[Cc]argo.*(not found|not installed|No such file|not on PATH)|rustc.*(not found|No such file)/ { add("cargo"); compiler() }
        /[Cc][Mm]ake.*(not found|must be installed|No such file)/ { add("cmake"); compiler() }
        /pkg-config.*(not found|No such file|not installed)/ { add("pkg-config") }
        /No such file or directory|not found|not find|could not be found/ {
            for (i = 1; i <= count; i++) { split(line[i], part, " "); if ($0 ~ part[1]) add(part[2]) }
        }
        /fatal error: [^ ]+\.h: No such file/ { header = $0; sub(/.*fatal error: /, "", header); sub(/: No such file.*/, "", header) }
        END {
            if (list) printf "; the server lacks what compiles it: add packages: [%s] to the inventory", list
            else if (header) printf "; the server lacks %s: find its package (apt-file search %s), and add it to packages in the inventory", header, header
        }'
}
