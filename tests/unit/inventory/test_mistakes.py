"""Each mistake is one line: where it is written, what is wrong, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InventoryError
from provision.inventory import load
from tests.inventories import APP, HOST, HOST_KEY, at, errors, source, write

GIT = "write https://HOST/PATH, ssh://HOST/PATH, git@HOST:PATH or /PATH"


WRONG = [
    ("", at(1, "the file is empty; begin with hosts:")),
    ("# nothing\n", at(1, "the file is empty; begin with hosts:")),
    ("- a\n", at(1, "not a mapping; begin with hosts:")),
    ("port: 22\n", at(1, "hosts: no hosts; write for example hosts: {web1: 203.0.113.10}")),
    ("port: 22\nhosts:\n", at(1, "hosts: no hosts; write for example hosts: {web1: 203.0.113.10}")),
    ("port: 22\nhosts: {}\n", at(2, "hosts: no hosts; write for example hosts: {web1: 203.0.113.10}")),
    ("hosts: [web1]\n", at(1, "hosts: a list is not a mapping; write names and what belongs to them")),
    (HOST + "\tport: 22\n", at(4, "a tab, which YAML does not allow for indentation; use spaces")),
    (HOST + "    port: [22\n", at(5, "not YAML: did not find expected ',' or ']'; check the indentation, quotes and brackets")),
    (HOST + "    user: a: b\n", at(4, 'not YAML: a ":" where none can be; check the indentation, and quote values with ": " in them')),
    (HOST + "    user: @a\n", at(4, "not YAML: a value cannot begin with this character; quote the value")),
    (HOST + "    user: *a\n", at(4, "a value that begins with * means an alias, and there is no such anchor; quote the value")),
    (HOST + "    user: !a b\n", at(4, "hosts.web1.user: a value that begins with ! is a YAML tag, which means nothing here; quote the value")),
    (HOST + "    tls: &a {email: *a}\n", at(4, "hosts.web1.tls.email: an alias inside its own anchor; write the value out")),
    (HOST + "---\nport: 1\n", at(4, 'a second document begins here; remove the "---"')),
    (HOST + "    port: 1\n    port: 1\n", at(5, "hosts.web1.port: written twice, first in line 4; keep one")),
    (HOST + "  web1: 203.0.113.11\n", at(4, "hosts.web1: written twice, first in line 2; keep one")),
    (HOST + "    prot: 22\n", at(4, 'hosts.web1.prot: unknown key; did you mean "port"?')),
    (HOST + "    prot:\n", at(4, 'hosts.web1.prot: unknown key; did you mean "port"?')),
    (HOST + "    workers: 2\n", at(4, 'hosts.web1.workers: unknown key; did you mean "apps.NAME.workers"?')),
    ("prot: 22\n" + HOST, at(1, 'prot: unknown key; did you mean "port"?')),
    ("address: a.example.com\n" + HOST, at(1, 'address: "address" belongs to one host; write it under hosts.NAME')),
    (HOST + "groups: {web: {prot: 1}}\n", at(4, 'groups.web.prot: unknown key; did you mean "port"?')),
    (HOST + "groups: {web: {address: a}}\n", at(4, 'groups.web.address: "address" belongs to one host; write it under hosts.NAME')),
    (HOST + "tls: {foo: 1}\n", at(4, "tls.foo: unknown key; known are: certificate, check_dns, dns, email, hsts, http3, issuer, issuer_ca, key, profile, root_ca")),
    (HOST + "    port: abc\n", at(4, 'hosts.web1.port: "abc" is not a whole number; write digits only')),
    (HOST + "    port: true\n", at(4, "hosts.web1.port: true is not a whole number; write digits only")),
    (HOST + "    port: 2.5\n", at(4, "hosts.web1.port: 2.5 is not a whole number; write digits only")),
    (HOST + "    port: 70000\n", at(4, "hosts.web1.port: 70000 is too large; at most 65535")),
    (HOST + "    connect_timeout: 0\n", at(4, "hosts.web1.connect_timeout: 0 is too small; at least 1")),
    (HOST + "    agent: maybe\n", at(4, 'hosts.web1.agent: "maybe" is not true or false; write true or false')),
    (HOST + "    user: [a]\n", at(4, "hosts.web1.user: a list is not text; put it in quotes if it is meant as text")),
    (HOST + '    user: "a\\e\\nb"\n', at(4, 'hosts.web1.user: "a b" is not a user name; write for example root')),
    (HOST + '    key: "a\\0"\n', at(4, "hosts.web1.key: there is no file {cwd}/a ; correct the path (relative ones start at the inventory's folder)")),
    (HOST + "    user: a b\n", at(4, 'hosts.web1.user: "a b" is not a user name; write for example root')),
    (HOST + "    become: sudoo\n", at(4, 'hosts.web1.become: "sudoo" is not known; did you mean "sudo"?')),
    (HOST + "    become: please\n", at(4, 'hosts.web1.become: "please" is not known; write auto or none or sudo or sudo-password')),
    (HOST + "    roles: [web, web]\n", at(4, "hosts.web1.roles: web is listed twice; keep one")),
    (HOST + "    roles: [base, wbe]\n", at(4, 'hosts.web1.roles[1]: "wbe" is not known; did you mean "web"?')),
    (HOST + "    roles: web\n", at(4, 'hosts.web1.roles: "web" is not a list; write [web]')),
    (HOST + "    roles: []\n", at(4, "hosts.web1.roles: the list is empty; name at least one")),
    (HOST + "    packages:\n      - htop\n      - A b\n", at(6, 'hosts.web1.packages[1]: "A b" is not the name of a package; write for example postgresql')),
    (HOST + "    packages:\n      -\n", at(5, "hosts.web1.packages[0]: the value is empty; write one, or remove the line")),
    (HOST + "    timezone: Europe/Berln\n", at(4, 'hosts.web1.timezone: "Europe/Berln" is not a time zone; did you mean "Europe/Berlin"?')),
    (HOST + "    locale: a b\n", at(4, 'hosts.web1.locale: "a b" is not a locale; write for example C.UTF-8 or en_US.UTF-8')),
    (HOST + "    proxy_jump: a b\n", at(4, 'hosts.web1.proxy_jump: "a b" is not a jump host; write USER@HOST:PORT or a name from ssh_config')),
    (HOST + "    key: .\n", at(4, "hosts.web1.key: {cwd} is a folder; name a file")),
    (HOST + "    key: id\n", at(4, "hosts.web1.key: there is no file {cwd}/id; correct the path (relative ones start at the inventory's folder)")),
    (HOST + "    known_hosts: ~/known\n", at(4, "hosts.web1.known_hosts: there is no file {cwd}/home/known; correct the path (relative ones start at the inventory's folder)")),
    (HOST + "tls: {issuer_ca: ca.pem}\n", at(4, "tls.issuer_ca: there is no file {cwd}/ca.pem; correct the path (relative ones start at the inventory's folder)")),
    (HOST + "tls: {issuer: mine}\n", at(4, 'tls.issuer: "mine" is not an issuer; write letsencrypt, letsencrypt-staging, self-signed, files or the https:// URL of an ACME directory')),
    (HOST + "tls: {email: ops}\n", at(4, 'tls.email: "ops" is not an email address; write for example ops@example.com')),
    (HOST + "tls: 3\n", at(4, "tls: 3 is not a mapping; write keys and values below it")),
    (HOST + "rollout: {batch: 0}\n", at(4, 'rollout.batch: "0" is not a batch; write a number of hosts such as 2, or a percentage such as 25%')),
    (HOST + "rollout: {on_failure: rollbak}\n", at(4, 'rollout.on_failure: "rollbak" is not known; did you mean "rollback"?')),
    (HOST + "rollout: {on_failure: go on}\n", at(4, 'rollout.on_failure: "go on" is not known; write rollback or stop')),
    (HOST + "trusted_proxies: [10.0.0.1/8]\n", at(4, 'trusted_proxies[0]: "10.0.0.1/8" is not a network; write for example 10.0.0.0/8')),
    (HOST + "trusted_proxies: [proxy]\n", at(4, 'trusted_proxies[0]: "proxy" is not a network; write for example 10.0.0.0/8, or an address')),
    (HOST + "environment: prod\n", at(4, "environment: the value is not known; write development or staging or production")),
    (HOST + "rollout: 2\n", at(4, "rollout: 2 is not a mapping; write keys and values below it")),
    (
        HOST + "mirrors: {python: 'https://user:pw@mirror.example.com/python'}\n",
        at(
            4,
            "mirrors.python: a password here would be seen on the server; let the mirror know servers by their address",
        ),
    ),
    (HOST + "mirrors: {index: packages}\n", at(4, "mirrors.index: not a web address; write https://HOST/PATH")),
    (HOST + "  web2: 203.0.113.10\n", at(4, "hosts.web2.address: hosts web1 and web2 have the same address; correct one, or remove it")),
    (HOST + "  web2:\n", at(4, "hosts.web2.address: missing; write for example address: 203.0.113.10")),
    (HOST + "  web2: [a]\n", at(4, "hosts.web2: a list is not a mapping; write keys and values below it")),
    (HOST + "  web 2: a.example.com\n", at(4, 'hosts.web 2: "web 2" is not a name; use letters, digits, dot, _ and - only')),
    (HOST + "  web2: root@203.0.113.11\n", at(4, 'hosts.web2.address: "root@203.0.113.11" names a user; write user: root and address: 203.0.113.11')),
    (HOST + "  web2: 203.0.113.11:23\n", at(4, 'hosts.web2.address: "203.0.113.11:23" names a port; write port: 23 and address: 203.0.113.11')),
    (HOST + "  web2: 203.0.113.300\n", at(4, 'hosts.web2.address: "203.0.113.300" is neither a DNS name nor an IP address; write for example 203.0.113.10')),
    (HOST + "groups: {web1: {}}\n", at(4, 'groups.web1: "web1" is a host and a group; rename one of them')),
    (HOST + "    groups: [web1]\n", at(2, 'hosts.web1: "web1" is a host and a group; rename one of them')),
    (HOST + "    groups: web\n", at(4, 'hosts.web1.groups: "web" is not a list; write [web]')),
    (HOST + "    groups: [wbe]\ngroups: {web: }\n", at(4, 'hosts.web1.groups[0]: the group "wbe" is not under groups; did you mean "web"? (or add it there)')),
    (HOST + "groups: {web: {hosts: [web2]}}\n", at(4, 'groups.web.hosts[0]: there is no host "web2"; did you mean "web1"?')),
    (HOST + "groups: {web: {hosts: [db]}}\n", at(4, 'groups.web.hosts[0]: there is no host "db"; add it under hosts')),
    (HOST + "groups: {web: {hosts: web1}}\n", at(4, 'groups.web.hosts: "web1" is not a list; write [HOST, HOST]')),
    (HOST + "include: base.yml\n", at(4, "include: there is no file base.yml; correct the path, which starts at this file's folder")),
    (HOST + "include: .lab/lab.yml\n", at(4, "include: there is no file .lab/lab.yml; start the lab with `invoke lab.up`")),
    (HOST + "include: [prod.yml]\n", at(4, "include[0]: prod.yml includes this file again; remove one of the two includes")),
    (HOST + "include: 3\n", at(4, "include: not a path; write the path of another inventory, or a list of them")),
    (APP.replace("    module: shop.main:app\n", "") + HOST, at(2, "apps.shop.module: missing; write for example module: shop.main:app")),
    (APP.replace("    source: https://git.example.com/shop.git\n", "") + HOST, at(2, "apps.shop.source: missing; write for example source: https://git.example.com/shop.git")),
    (APP.replace("    domains: [shop.example.com]\n", "") + HOST, at(2, "apps.shop.domains: missing; write for example domains: [shop.example.com]")),
    (APP.replace("shop.example.com", "") + HOST, at(5, "apps.shop.domains: the list is empty; name at least one")),
    (APP.replace("shop.example.com", "'*.example.com'") + HOST, at(5, "apps.shop.domains: a wildcard has no address of its own; write a name before it, such as example.com")),
    (APP.replace("shop.example.com", "shop.example.com, '*.shop.example.com'") + HOST, at(5, "apps.shop.domains[1]: issuers give a certificate for *.shop.example.com by DNS only; set tls.dns, or list each name")),
    (APP.replace("shop.example.com", "shop.example.com, 'a*.example.com'") + HOST, at(5, 'apps.shop.domains[1]: "a*.example.com" is not a DNS name; a wildcard is all names one level below a domain: *.shop.example.com')),
    (APP.replace("shop.example.com", "shop.example.com, '*.com'") + HOST, at(5, 'apps.shop.domains[1]: "*.com" is a wildcard for a whole top-level domain; write for example *.shop.example.com')),
    (HOST + "tls: {dns: {plugin: rfc2136, credentials: {server: 192.0.2.53, name: key.}}}\n", at(4, "tls.dns: the credentials for rfc2136 have no secret; it needs server, name, secret")),
    (HOST + "tls: {dns: {plugin: gandi, credentials: {Token: x}}}\n", at(4, 'tls.dns.credentials.Token: "Token" is not a key of certbot\'s plugin; write it without dns_PLUGIN_, such as api_token')),
    (HOST + "tls: {dns: {plugin: gandi, credentials: {token: \"a\\nb\"}}}\n", at(4, "tls.dns.credentials.token: a credential is one line, without %( and without both kinds of quotes")),
    (APP.replace("shop.example.com", "'https://shop.example.com'") + HOST, at(5, 'apps.shop.domains[0]: "https://shop.example.com" is a URL; write the DNS name alone')),
    (APP.replace("shop.example.com", "203.0.113.10") + HOST, at(5, "apps.shop.domains[0]: 203.0.113.10 is an IP address; write a DNS name that points to it")),
    (APP.replace("shop.example.com", "a_b.example.com") + HOST, at(5, 'apps.shop.domains[0]: "a_b.example.com" is not a DNS name; write for example shop.example.com')),
    (APP.replace("shop.example.com", "a.example.com, A.example.com") + HOST, at(5, "apps.shop.domains: a.example.com is listed twice; keep one")),
    (APP.replace("shop.main:app", "shop.main") + HOST, at(4, 'apps.shop.module: "shop.main" is not an ASGI app; write package.module:attribute, for example shop.main:app')),
    (APP.replace("https://git.example.com/", "../") + HOST, at(3, f"apps.shop.source: not a git repository; {GIT}")),
    (APP.replace("https://git.example.com/shop.git", "ext::sh") + HOST, at(3, f"apps.shop.source: not a git repository; {GIT}")),
    (APP + "    source_: a\n" + HOST, at(6, 'apps.shop.source_: unknown key; did you mean "source"?')),
    (APP.replace("https://git.example.com/shop.git", "{repository: /a, folder: ../b}") + HOST, at(3, 'apps.shop.source.folder: "../b" is not a folder inside the repository; write a relative path without ".."')),
    (APP.replace("https://git.example.com/shop.git", "{repository: /a, revision: -b}") + HOST, at(3, 'apps.shop.source.revision: "-b" is not a git revision; write a branch, a tag or a commit')),
    (APP.replace("https://git.example.com/shop.git", "{revision: b}") + HOST, at(3, "apps.shop.source: no repository; write for example repository: https://git.example.com/shop.git")),
    (source("deploy_key: generate", "https://git.example.com/shop.git"), at(3, "apps.shop.source.deploy_key: deploy_key is for a repository over SSH; write repository: git@HOST:PATH, or remove deploy_key")),
    (source("forward_agent: true", "/srv/shop"), at(3, "apps.shop.source.forward_agent: forward_agent is for a repository over SSH; write repository: git@HOST:PATH, or remove forward_agent")),
    (source(f"host_key: {HOST_KEY}", "https://git.example.com/shop.git"), at(3, "apps.shop.source.host_key: host_key is for a repository over SSH; write repository: git@HOST:PATH, or remove host_key")),
    (source("deploy_key: generate, push: ."), at(3, "apps.shop.source.deploy_key: generate is for a repository that the server reads, and push needs none; name a key file, if there are requirements at git+ssh://")),
    (source(f"host_key: {HOST_KEY}, push: ."), at(3, f"apps.shop.source.host_key: ssh-ed25519 {HOST_KEY.split()[1][:20]}... has no host before it; write what ssh-keyscan HOST prints")),
    (source("forward_agent: true, push: ."), at(3, "apps.shop.source.forward_agent: forward_agent is for a repository that the server reads, and push needs none; remove one of them")),
    (source("deploy_key: generate, forward_agent: true"), at(3, "apps.shop.source.forward_agent: deploy_key and forward_agent are two ways to the same repository; remove one of them")),
    (source("deploy_key: [generate]"), at(3, "apps.shop.source.deploy_key: a list is not a deploy key; write generate, or the path of a private key file")),
    (source("deploy_key: genrate"), at(3, "apps.shop.source.deploy_key: there is no file {cwd}/genrate; correct the path (relative ones start at the inventory's folder)")),
    (source("host_key: {a: b}"), at(3, "apps.shop.source.host_key: a mapping is not a host key; write the lines that ssh-keyscan HOST prints")),
    (source("host_key: [SHA256:abc]"), at(3, 'apps.shop.source.host_key[0]: "SHA256:abc" is not a host key; write a line that ssh-keyscan HOST prints: HOST ssh-ed25519 AAAA...')),
    (source(f"host_key: {HOST_KEY[:-4]}"), at(3, f'apps.shop.source.host_key: "{HOST_KEY[:40]}" is not a host key; write a line that ssh-keyscan HOST prints: HOST ssh-ed25519 AAAA...')),
    (source(f"host_key: ssh-rsa {HOST_KEY.split()[1]}"), at(3, f'apps.shop.source.host_key: "ssh-rsa {HOST_KEY.split()[1][:32]}" is not a host key; write a line that ssh-keyscan HOST prints: HOST ssh-ed25519 AAAA...')),
    (source(f"host_key: example.com {HOST_KEY}"), at(3, "apps.shop.source.host_key: a key of example.com, and the repository is on git.example.com; write what ssh-keyscan prints for that")),
    (source(f"host_key: git.example.com {HOST_KEY}", "ssh://git@git.example.com:2222/shop.git"), at(3, "apps.shop.source.host_key: a key of git.example.com, and the repository is on [git.example.com]:2222; write what ssh-keyscan prints for that")),
    (source(f"host_key: '@revoked git.example.com {HOST_KEY}'"), at(3, "apps.shop.source.host_key: all of these keys are revoked; write one that is good")),
    (source("folder: .", "ssh://git@git.example.com:x/shop.git"), at(3, "apps.shop.source.repository: not a port; write ssh://HOST:PORT/PATH with a number")),
    (APP + "    python: 3.13\n" + HOST, at(6, "apps.shop.python: 3.13 is not a full Python version; write all three parts and quote it: '3.13.5'")),
    (APP + "    python: {version: 3.10}\n" + HOST, at(6, "apps.shop.python.version: 3.10 is not a full Python version; write all three parts and quote it: '3.13.5'")),
    (APP + "    python: 3.14.0rc1\n" + HOST, at(6, "apps.shop.python: 3.14.0rc1 is not a final release; write for example '3.13.5'")),
    (APP + "    python: 3.8.20\n" + HOST, at(6, "apps.shop.python: Python 3.8.20 is too old for FastAPI; use 3.9.0 or newer, for example '3.13.5'")),
    (APP + "    python: pypy3.10\n" + HOST, at(6, "apps.shop.python: \"pypy3.10\" is not a version of CPython 3; write for example '3.13.5', or system")),
    (APP + "    python: {version: system, optimized: true}\n" + HOST, at(6, "apps.shop.python.optimized: the distribution's Python is not built here; remove optimized, or write a version: '3.13.5'")),
    (APP + "    requirements: deps\n" + HOST, at(6, 'apps.shop.requirements: "deps" is not a requirements file; write auto, a requirements*.txt, pyproject.toml, pylock.toml, uv.lock, poetry.lock or pdm.lock')),
    (APP + "    requirements: {file: requirements.txt, extras: [fast]}\n" + HOST, at(6, "apps.shop.requirements.extras: requirements.txt has no extras; remove them, or name a lock or pyproject.toml as the file")),
    (APP + "    requirements: {groups: ['a b']}\n" + HOST, at(6, 'apps.shop.requirements.groups[0]: "a b" is not a name in pyproject.toml; write for example postgres')),
    (APP + "    requirements: ../requirements.txt\n" + HOST, at(2, 'apps.shop: "../requirements.txt" leads out of the repository from source.folder; write a path inside it')),
    (APP + "    workers: 0\n" + HOST, at(6, "apps.shop.workers: 0 is not a number of workers; write auto or 1 to 256")),
    (APP + "    workers: many\n" + HOST, at(6, 'apps.shop.workers: "many" is not a number of workers; write auto or 1 to 256')),
    (APP + "    environment: {1A: x}\n" + HOST, at(6, "apps.shop.environment.1A: not the name of an environment variable; use letters, digits and _ only")),
    (APP + '    environment: {A: "x\\ry"}\n' + HOST, at(6, "apps.shop.environment.A: the value has a control character other than tab and newline; encode it, for example as base64")),
    (APP + '    environment: {A: "x\\0"}\n' + HOST, at(6, "apps.shop.environment.A: the value has a control character other than tab and newline; encode it, for example as base64")),
    (APP + "    environment: {A: [x]}\n" + HOST, at(6, "apps.shop.environment.A: not a single value; write text, a number, true or false")),
    (APP + "    env_file: no.env\n" + HOST, at(6, "apps.shop.env_file: there is no file {cwd}/no.env; correct the path (relative ones start at the inventory's folder)")),
    (APP + "    secrets: [TOKEN]\n" + HOST, at(6, "apps.shop.secrets[0]: TOKEN is not set in the environment of this machine; export TOKEN=...")),
    (APP + "    process_manager: init\n" + HOST, at(6, 'apps.shop.process_manager: "init" is not known; write systemd or supervisor')),
    (APP + "    health: up\n" + HOST, at(6, 'apps.shop.health: "up" is not a path; begin it with / and leave out spaces and quotes')),
    (APP + "    health: {timeout: 601}\n" + HOST, at(6, "apps.shop.health.timeout: 601 is too large; at most 600")),
    (APP + "    health: {passes: 0}\n" + HOST, at(6, "apps.shop.health.passes: 0 is too small; at least 1")),
    (APP + "    health: {watch: 601}\n" + HOST, at(6, "apps.shop.health.watch: 601 is too large; at most 600")),
    (APP + "    drain: -1\n" + HOST, at(6, "apps.shop.drain: -1 is too small; at least 0")),
    (APP + "    drain: 86401\n" + HOST, at(6, "apps.shop.drain: 86401 is too large; at most 86400")),
    (APP + "    processes: {Worker: run}\n" + HOST, at(6, 'apps.shop.processes.Worker: "Worker" is not a process name; use a-z, 0-9 and -, and begin with a letter')),
    (APP + "    processes: {tidy: run}\n    schedules: {tidy: {at: hourly, run: run}}\n" + HOST, at(2, 'apps.shop: "tidy" is a process and a schedule; rename one of them')),
    (APP + "    static: {static: a}\n" + HOST, at(6, 'apps.shop.static.static: "static" is not a URL prefix; write for example /static')),
    (APP + "    static: {/: dist}\n" + HOST, at(6, 'apps.shop.static./: "/" is not a URL prefix; write for example /static, and let the app answer / itself (docs/server.md)')),
    (APP + "    static: {/static: /a}\n" + HOST, at(6, 'apps.shop.static./static: "/a" is not a folder inside the repository; write a relative path without ".."')),
    (APP + "    migrate: 3\n" + HOST, at(6, "apps.shop.migrate: 3 is not a migration; write true, false or a command")),
    (APP + "    migrate_on: all\n" + HOST, at(6, 'apps.shop.migrate_on: "all" is not known; write first or every')),
    (APP + "    timeout: soon\n" + HOST, at(6, 'apps.shop.timeout: "soon" is not a whole number; write digits only')),
    (APP + "    max_body: big\n" + HOST, at(6, 'apps.shop.max_body: "big" is not a size for nginx; write for example 10m')),
    (APP + "    database: mysql\n" + HOST, at(6, 'apps.shop.database: "mysql" is not known; write postgresql')),
    (APP + "    cache: 0m\n" + HOST, at(6, 'apps.shop.cache: "0m" is not the size of a cache for nginx; write for example 100m')),
    (APP + "    cache: reddis\n" + HOST, at(6, 'apps.shop.cache: "reddis" is not known; did you mean "redis"?')),
    (APP + "    cache: {engine: redis, memory: 1M}\n" + HOST, at(6, 'apps.shop.cache.memory: "1M" is not how much memory Redis may use; write 4M to 1024G, for example 64M')),
    (APP + "    cache: {engine: redis, eviction: lru}\n" + HOST, at(6, 'apps.shop.cache.eviction: "lru" is not known; write allkeys-lru or allkeys-lfu or allkeys-random or volatile-lru or volatile-lfu or volatile-random or volatile-ttl or noeviction')),
    (APP + "    cache: {engine: redis, persistent: maybe}\n" + HOST, at(6, 'apps.shop.cache.persistent: "maybe" is not true or false; write true or false')),
    (APP + "    cache: {memory: 64M}\n" + HOST, at(6, 'apps.shop.cache: memory is a setting of Redis; write engine: redis beside it')),
    (APP + "    cache: true\n" + HOST, at(6, 'apps.shop.cache: true is not known; write redis or valkey or redis-server')),
    (APP + "    memory_max: big\n" + HOST, at(6, 'apps.shop.memory_max: "big" is not a size for systemd; write for example 512M')),
    (APP + "    keep_releases: 0\n" + HOST, at(6, "apps.shop.keep_releases: 0 is too small; at least 1")),
    (APP.replace("shop:", "Shop:") + HOST, at(2, 'apps.Shop: "Shop" is not an app name; use a-z, 0-9 and -, begin with a letter, at most 26 characters')),
    (APP.replace("shop:", "getty:") + HOST, at(2, 'apps.getty: "getty" is a name that the system uses itself; choose another, for example getty-app')),
    (APP.replace("shop:", "postgresql:") + HOST, at(2, 'apps.postgresql: "postgresql" is a name that the system uses itself; choose another, for example postgresql-app')),
    (APP.replace("shop:", "provision-redis:") + HOST, at(2, 'apps.provision-redis: "provision-redis" is a name that the system uses itself; choose another, for example redis-app')),
    (APP.replace("shop:", "www-data:") + HOST, at(2, 'apps.www-data: "www-data" is a name that the system uses itself; choose another, for example www-data-app')),
    (APP + "  blog: {source: /a, module: a:b, domains: [blog.example.com, Shop.example.com]}\n" + HOST, at(6, "apps.blog.domains[1]: the apps shop and blog of host web1 have the same domain shop.example.com")),
    (HOST + "apps: [shop]\n", at(4, "apps: a list is not a mapping; write keys and values below it")),
    (HOST + "apps: {shop: main}\n", at(4, 'apps.shop: "main" is not a mapping; write keys and values below it')),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), WRONG, ids=[line.partition(": ")[2] for _, line in WRONG])
def test_a_mistake_is_one_line_that_says_what_where_and_what_to_do(text: str, line: str) -> None:
    assert errors(text) == [line.replace("{cwd}", str(Path.cwd()))]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    assert errors("port: a\nprot: 1\n" + HOST + "    agent: 5\n" + "tls: {email: x}\n") == [
        'prod.yml:1: port: "a" is not a whole number; write digits only',
        'prod.yml:2: prot: unknown key; did you mean "port"?',
        "prod.yml:6: hosts.web1.agent: 5 is not true or false; write true or false",
        'prod.yml:7: tls.email: "x" is not an email address; write for example ops@example.com',
    ]


def test_a_bad_default_is_reported_once_and_not_once_a_host() -> None:
    text = "port: a\n" + APP.replace("module: shop.main:app", "workers: 0")
    text += "hosts:\n" + "".join(f"  web{number}: 203.0.113.{number}\n" for number in range(1, 50))
    assert [line.split(": ")[1] for line in errors(text)] == ["port", "apps.shop.module", "apps.shop.workers"]


def test_a_bad_value_that_every_host_overrides_is_reported_too() -> None:
    text = "port: a\n" + HOST + "    port: 22\ngroups: {unused: {agent: maybe}}\n"
    assert [line.split(": ")[1] for line in errors(text)] == ["port", "groups.unused.agent"]


def test_a_mistake_is_reported_in_the_file_and_layer_in_which_it_is_written() -> None:
    write("# base\ngroups:\n  web:\n    port: a\n" + APP + "    env_file: shop.env\n", "base.yml")
    folder = Path.cwd()
    assert errors("include: base.yml\n" + HOST + "    groups: [web]\n") == [
        'base.yml:4: groups.web.port: "a" is not a whole number; write digits only',
        f"base.yml:10: apps.shop.env_file: there is no file {folder}/shop.env;"
        " correct the path (relative ones start at the inventory's folder)",
    ]


def test_includes_in_a_circle_are_refused() -> None:
    write("include: prod.yml\n", "base.yml")
    assert errors("include: base.yml\n" + HOST) == [
        "base.yml:1: include: prod.yml includes this file again; remove one of the two includes"
    ]


def test_an_inventory_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InventoryError, match=r"^none\.yml: there is no such file; correct the path$"):
        load(Path("none.yml"))


def test_a_file_that_is_not_text_is_an_error() -> None:
    Path("prod.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InventoryError, match=r"^prod\.yml:1: not UTF-8 text; save it as UTF-8$"):
        load(Path("prod.yml"))


# YAML's own escapes; a carriage return ends a line for systemd, and so do the last three for those who read Unicode.
@pytest.mark.parametrize("end", [r"\r", r"\n", r"\0", r"\x0b", r"\x85", r"\u2028", r"\u2029"])
@pytest.mark.parametrize(
    ("written", "where"),
    [
        ("processes: {{worker: {}}}", "processes.worker"),
        ("schedules: {{tidy: {{at: hourly, run: {}}}}}", "schedules.tidy.run"),
        ("hooks: {{before: {}}}", "hooks.before"),
        ("hooks: {{after: {}}}", "hooks.after"),
        ("migrate: {}", "migrate"),
    ],
)
def test_a_command_with_the_end_of_a_line_in_it_is_refused(written: str, where: str, end: str) -> None:
    text = f'"python -m shop{end}ExecStopPost=/bin/false"'
    message = "a command is one line; longer ones go into a script of the app's repository"
    assert errors(f"{APP}    {written.format(text)}\n{HOST}") == [at(6, f"apps.shop.{where}: {message}")]
