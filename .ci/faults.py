#!/usr/bin/python3
"""Faults for .ci/chaos: processes that are killed, a link that misbehaves, packets that are lost, a disk that is full,
a wall clock that is set."""
import asyncio
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A program that is started again after each kill, and ended by its process id."""

    def __init__(self, name, arguments, folder, prepare=None, environment=None):
        self.name, self.arguments, self.prepare = name, arguments, prepare
        self.environment = dict(os.environ, **environment) if environment else None
        self.log = open(os.path.join(folder, name + ".log"), "ab")
        self.child, self.starts, self.unexpected = None, 0, []

    def start(self):
        self.child = subprocess.Popen(self.arguments, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                      preexec_fn=self.prepare, env=self.environment)
        self.starts += 1

    def kill(self, number=signal.SIGKILL):
        if self.child.poll() is not None:
            self.unexpected.append(self.child.returncode)
        else:
            self.child.send_signal(number)
            self.child.wait(20)

    def resident_mb(self):
        try:
            with open(f"/proc/{self.child.pid}/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
        except (OSError, StopIteration):
            return 0

    def descriptors(self):
        try:
            return len(os.listdir(f"/proc/{self.child.pid}/fd"))
        except OSError:
            return 0


class Clock:
    """The wall clock that one program sees: the machine's, moved by some seconds, which may change at any time."""
    library = None

    def __init__(self, folder, name):
        self.path, self.seconds = os.path.join(folder, f"clock-{name}"), 0
        self.move(0)
        if Clock.library is None:
            compiler = shutil.which("cc") or shutil.which("clang")
            if not compiler:
                raise SystemExit("a C compiler is needed to set clocks")
            Clock.library = os.path.join(folder, "clock.so")
            source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clock.c")
            subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", Clock.library, source, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": Clock.library, "MARTLET_CLOCK": self.path}

    def move(self, seconds):
        self.seconds += seconds
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("=q", self.seconds))


class Gate(threading.Thread):
    """The line from one program to the broker: open, or stalled, slow, throttled, refused; and it can be torn."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.port, self.mode, self.ends = target, free_port(), "open", set()
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        self.start()
        self.ready.wait()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", self.port))
        self.ready.set()
        self.loop.run_forever()

    async def serve(self, reader, writer):
        if self.mode == "refuse":
            writer.transport.abort()
            return
        try:
            other = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        for end in (writer, other[1]):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ends |= {writer, other[1]}
        await asyncio.gather(self.pass_on(reader, other[1]), self.pass_on(other[0], writer))
        self.ends -= {writer, other[1]}

    async def pass_on(self, reader, writer):
        try:
            while data := await reader.read(4096):
                while self.mode == "stall":
                    await asyncio.sleep(0.02)
                if self.mode == "slow":
                    await asyncio.sleep(0.2)
                if self.mode == "throttle":
                    await asyncio.sleep(len(data) / 8192)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def tear(self):
        """Both sides get a reset."""
        self.loop.call_soon_threadsafe(lambda: [end.transport.abort() for end in list(self.ends)])


class Packets:
    """nftables in a network namespace of our own."""

    def __init__(self):
        self.rules("add table inet chaos", "add chain inet chaos input { type filter hook input priority 0; }")

    @staticmethod
    def rules(*lines):
        subprocess.run(["nft", "-f", "-"], input="\n".join(lines) + "\n", text=True, check=True)

    def apply(self, rule):
        self.rules("flush chain inet chaos input", "add rule inet chaos input " + rule)

    def clear(self):
        """Takes the rule away and says how many packets it hit."""
        listing = subprocess.run(["nft", "list", "table", "inet", "chaos"], capture_output=True, text=True).stdout
        self.rules("flush chain inet chaos input")
        words = listing.split()
        return sum(int(words[i + 1]) for i, word in enumerate(words) if word == "packets")


class Disk:
    """A small file system in memory that can be filled."""

    def __init__(self, folder, megabytes=48):
        self.folder, self.filler = folder, os.path.join(folder, "filler")
        os.makedirs(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder], check=True)

    def fill(self, left):
        room = shutil.disk_usage(self.folder).free - left
        with open(self.filler, "wb") as file:
            try:
                while room > 0:
                    room -= file.write(b"x" * min(room, 1 << 20))
            except OSError:
                pass

    def empty(self):
        os.unlink(self.filler)

    def end(self):
        subprocess.run(["umount", self.folder], check=False)


def in_own_namespaces():
    """Starts this script again with a network and mounts of its own, once."""
    if os.environ.get("MARTLET_CHAOS_NAMESPACE"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    if os.getuid() != 0:
        raise SystemExit("these faults need root: nftables and a file system of their own")
    os.environ["MARTLET_CHAOS_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])


def few_descriptors():
    """For a child: 64 open files at most."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
