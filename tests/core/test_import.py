"""Importing falconkit defines; it opens, starts and writes nothing."""

import subprocess
import sys

SCRIPT = """
import builtins, importlib, io, os, pkgutil, socket, sys, threading

done = []
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
WATCHED = {"socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo",
           "subprocess.Popen", "os.fork", "os.mkdir", "tempfile.mkdtemp", "tempfile.mkstemp",
           "_thread.start_new_thread"}

def watch(event, args):
    if event in WATCHED:
        done.append((event, args))
    elif event == "open":
        path, mode, flags = args
        if flags & WRITES and "__pycache__" not in str(path):
            done.append((event, args))

import falconkit
import urllib3  # tries once, when it is imported, whether this machine has IPv6
sys.addaudithook(watch)
handlers = list(__import__("logging").getLogger().handlers)
names = [each for _, each, _ in pkgutil.walk_packages(falconkit.__path__, "falconkit.")]
assert not done, done
for name in names:
    if name.endswith("__main__"):
        continue
    importlib.import_module(name)
    assert not done, f"importing {name} did {done}"
    assert threading.active_count() == 1, name
    assert threading.excepthook is threading.__excepthook__, name
    assert sys.excepthook is sys.__excepthook__, name
assert __import__("logging").getLogger().handlers == handlers
print(len(names))
"""


def test_importing_every_module_has_no_effect_outside_of_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40
    assert list(tmp_path.iterdir()) == []


def test_the_core_imports_the_standard_library_only():
    script = (
        "import sys; before = set(sys.modules)\n"
        "import falconkit, falconkit.errors, falconkit.events, falconkit.clock\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - sys.stdlib_module_names - {'falconkit'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
