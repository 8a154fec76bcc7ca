"""An app that attacks the server while it runs: it plants, races and forks in each place that its user can write to."""

from tests.lab import hostile

MAIN = """\
import attack
from fastapi import FastAPI

attack.begin("app")
app = FastAPI()


@app.get("/")
def greeting():
    print("notice: forged\\nerror: forged\\x1b[2J\\rforged\\x07", flush=True)
    return "hello from hostile"
"""
# What it could write to goes into shared/report-NAME.json.
ATTACK = (
    r"""
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

SHARED = "/srv/hostile/shared"
SECONDS = 240
TARGETS = ["/root/victim", "/root", "/etc/victim/env", "/srv/victim/shared", "/etc/passwd"]
NAMES = ["env", "held", "preview", "token", "output", "current", "release", "report", "current.sock", "blue.sock", ".new", "maintenance",
    "line\nbreak", "unit\tforged", "end\nend", "\x1b[2Jforged", "-rf", "--", "*", "$(touch victim)", "`reboot`", "'", '"', "x" * 250, "\udcff"]
PLACES = ["/etc", "/etc/*", "/etc/*/*", "/srv", "/srv/*", "/srv/*/*", "/srv/*/*/*", "/run", "/run/*", "/run/*/*", "/var", "/var/*", "/var/*/*",
    "/var/*/*/*", "/root", "/home/*", "/opt/*", "/usr/local/*", "/tmp", "/dev/shm", "/dev/mqueue", "/proc/1", "/sys/fs/cgroup", "."]
SECRETS = ["/etc/shadow", "/etc/victim/env", "/etc/victim/*/env", "/srv/victim/shared/*", "/srv/victim/current/*", "/srv/victim/releases/*/*",
    "/srv/victim/venvs/*/*", "/srv/victim/repository.git/*", "/var/cache/provision/*victim*/*", "/run/provision/*", "/root/*", "/proc/1/environ"]
SOCKETS = ["/run/victim/blue.sock", "/run/victim/green.sock", "/run/victim/current.sock", "/run/supervisor.sock", "/run/systemd/private"]
"""
    + hostile.TRIES
    + r'''

def write(folder):
    path = folder + "/attacked"
    with open(path, "w"):
        pass
    os.remove(path)


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def connect(path):
    socket.socket(socket.AF_UNIX).connect(path)


def listen(path):
    socket.socket(socket.AF_UNIX).bind(path)


def plant(folder):
    for number, name in enumerate(NAMES):
        path = folder + "/" + name
        actions = [(os.symlink, TARGETS[number % len(TARGETS)], path), (os.mkfifo, path), (listen, path), (os.mkdir, path, 0o777)]
        for turn in range(4):
            action, *arguments = actions[(number + turn) % 4]
            if tries(action, *arguments):
                break
    tries(os.chmod, folder, 0o777)
    for target in TARGETS:
        tries(os.link, target, folder + "/hard" + target.replace("/", "-"))
    with open(folder + "/special", "w") as file:
        tries(os.chmod, file.name, 0o6777)


def race():
    """What root looks at is a folder in one moment and a link in the next."""
    folder, link = SHARED + "/race", SHARED + "/.race"
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        tries(os.mkdir, folder)
        time.sleep(0.02)
        tries(os.rmdir, folder)
        tries(os.symlink, "/root", folder)
        time.sleep(0.02)
        tries(os.unlink, folder)


def linger():
    """A daemon that no polite signal ends, for as long as the tests take."""
    ignoring = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]; time.sleep(%d)" % SECONDS
    tries(lambda: subprocess.Popen([sys.executable, "-c", ignoring], start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


def attack(name):
    own = sorted({place for each in PLACES for place in glob.glob(each) if os.path.isdir(place) and not os.path.islink(place)
        and not place.startswith(SHARED + "/") and tries(write, place)})
    for folder in own:
        tries(plant, folder)
    seen = [int(each) for each in os.listdir("/proc") if each.isdigit() and tries(os.stat, "/proc/" + each)
        and os.stat("/proc/" + each).st_uid != os.getuid()]
    victims = [int(each) for file in glob.glob("/sys/fs/cgroup/**/*victim*/**/cgroup.procs", recursive=True) for each in open(file)]
    found = {
        "writes": own,
        "sees": seen,
        "targets": len(victims),
        "kills": [number for number in (1, *seen, *victims) if tries(os.kill, number, 0)],
        "looks": [number for number in victims if tries(read, "/proc/%d/environ" % number)],
        "reads": [path for each in SECRETS for path in glob.glob(each) if tries(read, path)],
        "connects": [path for path in SOCKETS if tries(connect, path)],
    }
    path = SHARED + "/report-" + name + ".json"
    with open(path + ".new", "w") as file:
        json.dump(found, file)
    os.replace(path + ".new", path)


def begin(name):
    attack(name)
    linger()
    threading.Thread(target=race, daemon=True).start()


if __name__ == "__main__":
    attack(sys.argv[1])
    linger()
    print("notice: forged by " + sys.argv[1], "error: forged", "\x1b]0;forged\x07", sep="\n", flush=True)
    if sys.argv[1] == "worker":
        race()
        time.sleep(3600)
'''
)
# In the place of a module of Python's own: whatever looks at the app's packages runs it.
SHADOW = """\
import os
from _csv import *

with open("/proc/self/status") as status, open("/srv/hostile/shared/loaded", "a") as file:
    file.write("".join(line for line in status if line.startswith("Seccomp:")))
"""
QUIET = """\
import sys
import time


def begin(name):
    pass


if __name__ == "__main__" and sys.argv[1] == "worker":
    time.sleep(3600)
"""
TREE = {"main.py": MAIN, "requirements.txt": "fastapi==0.165.0\n", "public/site.txt": "a static file\n"}
WELL_BEHAVED = {**TREE, "attack.py": QUIET, "csv.py": "from _csv import *\n"}
ATTACKS = {**TREE, "attack.py": ATTACK, "csv.py": SHADOW}
SITE = f"""{hostile.SITE}\
    process_manager: {{manager}}
    migrate: python attack.py migration
    migrate_on: every
    processes: {{{{worker: python attack.py worker}}}}
    schedules: {{{{tick: {{{{at: "03:00", run: python attack.py tick}}}}}}}}
    hooks: {{{{before: python attack.py before, after: python attack.py after}}}}
"""
