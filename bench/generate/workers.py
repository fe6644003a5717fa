"""Processes that answer lines, and how much of the machine others took meanwhile."""

import json
import os
import pathlib
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Of all processors together since boot, the host's share (steal) included."""
    user, nice, system, _idle, _wait, irq, soft, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICKS


class Worker:
    def __init__(self, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended: exit code {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Quiet:
    """Waits for other programs, and says what part of the processors they had during a measurement."""

    ENOUGH = 0.1

    def __init__(self, patience, limit=ENOUGH):
        """`limit`: the part of the processors that others may have; None: any, where it is processor time that is measured."""
        self.left = patience if limit is not None else 0
        self.limit = limit
        self.processors = len(os.sched_getaffinity(0))

    def others_during(self, work, worker):
        start, busy, own = time.monotonic(), busy_seconds(), worker.cpu_seconds() if worker else 0
        result = work()
        wall = time.monotonic() - start
        others = busy_seconds() - busy - ((worker.cpu_seconds() if worker else 0) - own)
        return result, max(0.0, others / wall / self.processors)

    def wait(self):
        start = time.monotonic()
        while self.left > 0 and self.others_during(lambda: time.sleep(0.25), None)[1] > self.limit:
            now = time.monotonic()
            self.left -= now - start
            start = now

    def ask(self, worker, command):
        """The answer, with "others": the part of the processors that other programs had."""
        self.wait()
        answer, others = self.others_during(lambda: worker.ask(command), worker)
        return answer | {"others": others}
