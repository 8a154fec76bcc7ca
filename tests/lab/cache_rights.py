"""What an app may do in its Redis, or Valkey, and what it may not."""

import re

from tests.lab.conftest import shell

# Each administers, reads what is not the app's data, or ends the instance.
REFUSED = (
    "config get maxmemory",
    "config set maxmemory 0",
    "config rewrite",
    "shutdown nosave",
    "debug sleep 0",
    "replicaof 127.0.0.1 6379",
    "slaveof 127.0.0.1 6379",
    "module list",
    "module load /tmp/x.so",
    "acl list",
    "acl setuser other on nopass ~* +@all",
    "acl load",
    "monitor",
    "save",
    "bgsave",
    "bgrewriteaof",
    "migrate /x 0 key 0 10",
    "failover",
    "client kill id 999",
    "client pause 1",
    "slowlog get",
    "latency reset",
    "restore key 0 x",
    "eval \"return redis.call('lastsave')\" 0",
)
# What clients, queues, schedulers and caches call.
NEEDED = (
    "ping",
    "unlink lab.list lab.other lab.zset lab.stream",
    "hello 3",
    "info",
    "dbsize",
    "command count",
    "client setname name",
    "client getname",
    "client id",
    "client list",
    "select 0",
    "set lab.a 1 ex 100",
    "incr lab.a",
    "keys lab.*",
    "scan 0 match lab.*",
    "rpush lab.list 2 1",
    "sort lab.list",
    "sort lab.list store lab.sorted",
    "brpoplpush lab.list lab.other 1",
    "lmove lab.other lab.list left right",
    "zadd lab.zset 1 a",
    "bzpopmin lab.zset 1",
    "xadd lab.stream 1-1 key value",
    "xgroup create lab.stream group 0",
    "xreadgroup group group me streams lab.stream >",
    "xinfo stream lab.stream",
    "publish lab.channel x",
    "pubsub numsub lab.channel",
    "eval \"return redis.call('set',KEYS[1],'x')\" 1 lab.script",
    "script flush",
    "object encoding lab.a",
    "memory usage lab.a",
    "dump lab.a",
    "unlink lab.a",
    "wait 0 1",
    "time",
    "echo x",
    "swapdb 14 15",
    "select 15",
    "flushdb",
    "select 0",
)
CLIENT = "$(command -v valkey-cli || command -v redis-cli)"


def admin(app: str, command: str) -> str:
    """Root's command in a shell."""
    secret = f"REDISCLI_AUTH=$(cat /etc/provision/redis/{app}.password)"
    return f"{secret} {CLIENT} --user provision -s /run/provision-redis/{app}/redis.sock {command} 2>&1"


def administer(server: str, app: str, command: str) -> str:
    """What it answers to root."""
    return shell(server, admin(app, command))


def answers(server: str, app: str, commands: tuple[str, ...]) -> dict[str, str]:
    """What the app is told, which calls them one after another; an older server does not know all of them."""
    lines = "".join(f'echo "= {number}"\n{command}\n' for number, command in enumerate(commands))
    asks = f"cd /; runuser -u {app} -- {CLIENT} -s /run/provision-redis/{app}/redis.sock 2>&1"
    said = re.split(r"(?m)^= \d+\n", shell(server, f"{asks} <<'END'\n{lines}END") + "\n")[1:]
    found = dict(zip(commands, said, strict=True))
    return {command: one for command, one in found.items() if not one.startswith("ERR unknown command")}


def confined(server: str, app: str) -> None:
    """The app may use its data, and administer nothing."""
    needed = answers(server, app, NEEDED)
    assert [one for one, said in needed.items() if re.match("[A-Z]+ |\\(error", said)] == [], needed
    refused = answers(server, app, REFUSED)
    no = re.compile("NOPERM|can't run this command|command not allowed|ACL failure in script")
    assert [one for one, said in refused.items() if not no.search(said)] == [], refused


def unlocked(server: str, app: str) -> None:
    """The app's Redis is as one was before apps had rights of their own; somebody has made a user there."""
    files = f"/etc/provision/redis/{app}"
    shell(
        server,
        f"rm -f {files}.acl {files}.password /var/lib/provision/stamps/redis-{app}.rights; sed -i '/^aclfile/d' {files}.conf;"
        f" systemctl restart provision-redis@{app};"
        f" {CLIENT} -s /run/provision-redis/{app}/redis.sock acl setuser other on '>secret' '~*' '&*' +@all",
    )
