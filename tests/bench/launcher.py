"""Run a command and write what it used as JSON: launcher.py FILE COMMAND...

A program of its own, since Linux counts the memory of whoever forked a process as the process's peak:
forked from a benchmark that has grown, every contender would look at least as large. This one stays below
12 MB.
"""

import json
import os
import sys
import time

if __name__ == "__main__":
    target, *command = sys.argv[1:]
    began = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    with open(target, "w", encoding="utf-8") as sink:
        json.dump(
            {
                "seconds": seconds,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_kib": usage.ru_maxrss,
                "exit_code": os.waitstatus_to_exitcode(status),
            },
            sink,
        )
