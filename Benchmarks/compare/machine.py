"""What a run was measured on: the machine, the commit, and the ceilings."""

import json
import os
import platform
import subprocess
import time

# What decides about speed, of the many flags of a CPU.
FLAGS = (
    "sse4_2 avx avx2 fma f16c avx512f avx512bw avx512vl avx512dq avx512_vnni avx512_bf16 avx512_fp16 avx_vnni "
    "amx_tile amx_int8 amx_bf16 asimd asimddp i8mm bf16 sve sve2"
).split()


def describe():
    """The machine and its system."""
    info = {"architecture": platform.machine(), "kernel": platform.release(), "cores": len(os.sched_getaffinity(0))}
    with open("/proc/cpuinfo") as file:
        fields = dict(
            (part.strip() for part in line.split(":", 1)) for line in file.read().split("\n\n")[0].splitlines() if ":" in line
        )
    info["cpu"] = fields.get("model name", "unknown")
    for key in ("cpu family", "model", "stepping", "cpu MHz", "cache size"):
        if key in fields:
            info[key.replace(" ", "_")] = fields[key]
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    info["flags"] = [flag for flag in FLAGS if flag in flags]
    with open("/proc/meminfo") as file:
        info["memory_bytes"] = int(file.readline().split()[1]) * 1024
    try:
        with open("/etc/os-release") as file:
            names = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
        info["system"] = names.get("PRETTY_NAME", "").strip('"')
    except OSError:
        pass
    try:
        with open("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") as file:
            info["governor"] = file.read().strip()
    except OSError:
        pass
    info["is_virtual"] = "hypervisor" in flags
    return info


def commit(root):
    """The commit that is measured, and whether tracked files differ from it."""

    def git(*arguments):
        return subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True).stdout.strip()

    return {"commit": git("rev-parse", "HEAD"), "is_changed": bool(git("status", "--porcelain", "--untracked-files=no"))}


def swift_version():
    lines = subprocess.run(["swift", "--version"], capture_output=True, text=True).stdout.splitlines()
    return lines[0] if lines else "unknown"


def ceilings(salangane, threads, environment):
    """The rate of memory and the peaks of the processor, measured now."""
    done = subprocess.run(
        [salangane, "roofline", "--ceilings", "-r", "10", "-t", str(threads), "--format", "json"],
        capture_output=True, text=True, env=environment, check=True,
    )
    found = json.loads(done.stdout)
    return {"at": time.time(), "threads": threads, "isa": found["isa"], **found["ceilings"]}


def best_ceilings(measured, threads):
    """Of several measurements the best: whatever else a machine does only takes time."""
    keys = ("read_gb_per_s", "int8_gmac_per_s", "f32_gflop_per_s")
    ours = [m for m in measured if m["threads"] == threads]
    return {key: max(m[key] for m in ours) for key in keys} if ours else None
