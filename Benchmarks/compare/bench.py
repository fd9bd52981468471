#!/usr/bin/env python3
"""Measures Salangane and its peers in turn. Scripts/bench starts it; its options are described there."""

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

import agreement
import cases
import claims
import machine
import models
import report
from peer import TokenStream
from peers import EMBEDDING, GENERATING, OURS, Failure, Pythons, run, run_ours, run_peer

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
RESULTS = os.path.join(ROOT, "Benchmarks", "results")
# Logits of models with random weights lie close together, and engines round activations differently. Where the two
# best tokens are nearer to each other than this share of the logits' standard deviation, neither choice is wrong.
NEAR_TIE = 0.25
# How alike vectors must be: in floats, and where every engine brings the model to 8 bits in its own way. Random tokens
# are harder than texts: what is much below 0.98 has lost precision, and what is below this has gone wrong.
LEAST_COSINE = {"F32": 0.9999, "int8": 0.85}
CHECK_TOKENS = 32


def log(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class Session:
    """One file of results, and what is needed to add to it."""

    def __init__(self, options):
        self.options = options
        self.start = time.monotonic()
        self.pythons = Pythons(options.python)
        self.folder = options.models
        os.makedirs(self.folder, exist_ok=True)
        os.makedirs(RESULTS, exist_ok=True)
        self.path = os.path.join(RESULTS, options.name + ".json")
        self.models = {}
        self.has_batches = None
        self.durations = {}
        self.data = self.open()

    def open(self):
        now = machine.commit(ROOT)
        if self.options.resume and os.path.exists(self.path):
            with open(self.path) as file:
                data = json.load(file)
            if data["commit"] != now["commit"]:
                raise SystemExit(f"{self.path}: measured at {data['commit'][:12]}, and this is {now['commit'][:12]}: not resumed")
            return data
        return {
            "schema": 1,
            "name": self.options.name,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **now,
            "options": {k: getattr(self.options, k) for k in ("quick", "minutes", "only", "threads")},
            "machine": machine.describe(),
            "versions": {"swift": machine.swift_version(), "python": platform.python_version()},
            "load_average": os.getloadavg(),
            "ceilings": [],
            "models": {},
            "missing": {},
            "checks": [],
            "runs": [],
        }

    def save(self):
        self.data["seconds"] = time.monotonic() - self.start
        with tempfile.NamedTemporaryFile("w", dir=RESULTS, delete=False, suffix=".part") as file:
            json.dump(self.data, file, indent=1)
            file.write("\n")
        os.chmod(file.name, 0o644)
        os.replace(file.name, self.path)

    def measure_ceilings(self, threads):
        environment = dict(os.environ)
        self.data["ceilings"].append(machine.ceilings(self.options.salangane, threads, environment))
        found = self.data["ceilings"][-1]
        log(
            f"{threads} threads: read {found['read_gb_per_s']} GB/s, int8 {found['int8_gmac_per_s']} GMAC/s, "
            f"f32 {found['f32_gflop_per_s']} GFLOP/s"
        )

    # Models

    def model(self, case, peer=OURS):
        """The file that a peer gets. All get the same one, but for peers that don't read GGUF."""
        if case.shape != "minilm":
            key = (case.shape, case.weights, case.layers)
            if key not in self.models:
                self.models[key] = models.synthesize(
                    self.options.salangane, self.folder, case.shape, case.weights, case.layers or None, log
                )
                self.describe(self.models[key])
            return self.models[key]
        if "minilm" not in self.models:
            if not self.options.minilm:
                raise Failure("all-MiniLM-L6-v2 isn't here: see Scripts/fetch-minilm")
            self.models["minilm"] = models.minilm(self.options.salangane, self.folder, self.options.minilm, log)
            self.describe(self.models["minilm"]["directory"])
        all_minilm = self.models["minilm"]
        if peer.startswith("llama.cpp"):
            return all_minilm["Q8_0" if case.weights == "int8" else "F32"]
        if peer.startswith(("ONNX", "OpenVINO")):
            return models.Model("all-MiniLM-L6-v2", self.exported(), case.weights)
        return all_minilm["directory"]

    def describe(self, model):
        model.measure(self.options.salangane)
        self.data["models"][model.name] = model.facts()

    def exported(self):
        """A folder with all-MiniLM-L6-v2 as ONNX and OpenVINO read it."""
        folder = os.path.join(self.folder, "all-MiniLM-L6-v2-graphs")
        wanted = [os.path.join(folder, name) for name in ("model.onnx", "model-int8.onnx", "openvino-int8.xml")]
        if "graphs" not in self.models and not all(os.path.exists(path) for path in wanted):
            self.models["graphs"] = True
            python = self.pythons.find(["torch", "transformers", "onnx"])
            log("exporting all-MiniLM-L6-v2 for ONNX Runtime and OpenVINO")
            text = os.path.join(ROOT, "Docs", "Examples", "SemanticSearch", "corpus.txt")
            program = os.path.join(os.path.dirname(__file__), "export_onnx.py")
            for line in run([python, program, self.options.minilm, folder, text], self.options.threads).splitlines():
                if re.match(r"\S+: \w+(Error|Exception)", line):
                    log(line)
        return folder

    # Running

    def engines(self, case):
        """Ours and the peers of a case that can be run, in order."""
        known = EMBEDDING if case.embed else GENERATING
        return [OURS] + [peer for peer in case.peers if peer in known]

    def run_once(self, case, peer, round_number):
        """Runs an engine once and keeps what it measured; a peer that fails is named and not asked again."""
        if self.is_missing(case, peer):
            return
        done = {(r["case"], r["peer"], r["round"]) for r in self.data["runs"]}
        if (case.key, peer, round_number) in done:
            return
        begin = time.monotonic()
        try:
            model = self.model(case, peer)
            vocabulary = self.model(case).vocabulary
            seed = 1 + round_number
            if peer == OURS:
                if case.batch > 1 and not self.bench_has_batches():
                    raise Failure("this salangane has no bench -b for generation")
                result = run_ours(
                    self.options.salangane, model.path, case, self.options.repetitions, seed, case.weights == "int8"
                )
            else:
                engine = (EMBEDDING if case.embed else GENERATING)[peer]
                python = self.pythons.find(engine.modules)
                wanted = self.check_tokens(vocabulary) if case.checks and round_number == 0 else None
                result = run_peer(
                    engine, python, model.path, case, self.options.repetitions, seed, vocabulary, wanted
                )
                if wanted:
                    self.check(case, peer, result.pop("check"))
        except Failure as failure:
            log(f"  {peer}: {failure}")
            self.data["missing"][self.missing_key(case, peer)] = str(failure)
            self.save()
            return
        seconds = time.monotonic() - begin
        self.durations[case.key, peer] = seconds
        self.data["versions"].update(result.pop("versions"))
        self.data["runs"].append(
            {
                "case": case.key, "peer": peer, "round": round_number, "seed": seed, "at": time.time(),
                "load_average": os.getloadavg()[0], **result, "seconds": seconds,
            }
        )
        tests = ", ".join(f"{name} {report.number(report.rate(name, min(times)))}" for name, times in result["tests"].items())
        log(f"  {peer}: {tests} ({seconds:.0f} s)")
        self.save()

    @staticmethod
    def missing_key(case, peer):
        return f"{peer} | {case.section}/{case.shape}/{case.weights}" + (f"/b{case.batch}" if case.batch > 1 else "")

    def is_missing(self, case, peer):
        return self.missing_key(case, peer) in self.data["missing"]

    def bench_has_batches(self):
        """Whether `salangane bench -b` takes several sequences to generate."""
        if self.has_batches is None:
            text = subprocess.run(
                [self.options.salangane, "bench", "--model", "none", "-b", "2", "-n", "1"], capture_output=True, text=True
            )
            self.has_batches = text.returncode != 64
        return self.has_batches

    def measure(self, plan):
        """Rounds over all cases, engines in turn and in the other order every second time, until time is up."""
        if not self.data["ceilings"]:
            self.measure_ceilings(self.options.threads)
        for threads in sorted({case.threads for case in plan} - {c["threads"] for c in self.data["ceilings"]}):
            self.measure_ceilings(threads)
        limit = self.options.minutes * 60
        for round_number in range(self.options.rounds):
            for case in plan:
                engines = self.engines(case)
                expected = sum(self.durations.get((case.key, peer), 0) for peer in engines)
                if round_number >= self.options.least_rounds and time.monotonic() - self.start + expected > limit:
                    continue
                log(f"round {round_number + 1}: {case.key}")
                try:
                    self.warm(self.model(case).path)
                except Failure as failure:
                    log(f"  {failure}")
                    self.data["missing"][f"{case.section}/{case.shape}"] = str(failure)
                    continue
                for peer in engines if round_number % 2 == 0 else engines[::-1]:
                    self.run_once(case, peer, round_number)
            self.measure_ceilings(self.options.threads)
            if time.monotonic() - self.start > limit:
                break
        self.save()

    def measure_phases(self, case):
        """Where the time of one model goes: for Docs/Profile.md."""
        work = ["-p", str(case.prompt), "-n", str(case.generate), "-t", str(case.threads), "-r", "3"]
        command = [self.options.salangane, "bench", "--model", self.model(case).path, *work, "--phases", "--format", "json"]
        self.data["phases"] = {"case": case.key, "tests": json.loads(run(command, case.threads))}
        self.save()

    @staticmethod
    def warm(path):
        """Reads a file, so that it is in the page cache for whoever comes first."""
        files = [path] if os.path.isfile(path) else [os.path.join(path, name) for name in os.listdir(path)]
        for name in files:
            if os.path.isfile(name):
                with open(name, "rb", buffering=0) as file:
                    while file.read(1 << 24):
                        pass

    # Checking

    @staticmethod
    def check_tokens(vocabulary):
        return TokenStream(7, vocabulary).next(CHECK_TOKENS)

    def check(self, case, peer, found):
        """Compares a peer's result with ours on the same ids, and keeps the verdict."""
        model = self.model(case)
        ids = ",".join(str(i) for i in self.check_tokens(model.vocabulary))
        verdict = {"case": case.key, "peer": peer, "tokens": CHECK_TOKENS}
        if "embedding" in found:
            arguments = [self.options.salangane, "embed", "--model", model.path, "--tokens", ids]
            arguments += ["-t", str(case.threads), *(["--int8"] if case.weights == "int8" else [])]
            ours = json.loads(run(arguments, case.threads).splitlines()[0])["embedding"]
            verdict["cosine"] = cosine(ours, found["embedding"])
            verdict["agrees"] = verdict["cosine"] >= LEAST_COSINE[case.weights]
            text = f"cosine {verdict['cosine']:.5f}"
        else:
            ours = self.last_logits(model, ids, case)
            best = max(range(len(ours)), key=ours.__getitem__)
            theirs = found["top"][0][0]
            mean = sum(ours) / len(ours)
            deviation = math.sqrt(sum((x - mean) ** 2 for x in ours) / len(ours))
            verdict.update(ours=best, theirs=theirs, gap=(ours[best] - ours[theirs]) / deviation)
            verdict["is_near_tie"] = best != theirs and verdict["gap"] < NEAR_TIE
            verdict["agrees"] = best == theirs or verdict["is_near_tie"]
            text = f"best token {theirs}, ours {best}, {verdict['gap']:.3f} standard deviations apart"
        self.data["checks"] = [c for c in self.data["checks"] if (c["case"], c["peer"]) != (case.key, peer)] + [verdict]
        log(f"  {peer} {'agrees' if verdict['agrees'] else 'DISAGREES'}: {text}")

    def last_logits(self, model, ids, case):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "logits.npy")
            arguments = [self.options.salangane, "logits", "--model", model.path, "--tokens", ids]
            # What `bench` takes by itself.
            kept = "f16" if case.weights in models.FLOAT_TYPES else "q8"
            run(arguments + ["--kv-type", kept, "-t", str(case.threads), "--output", path], case.threads)
            return last_row(path)


def last_row(path):
    """The last row of a float32 array [rows, columns] in NumPy's format, version 1."""
    import array

    with open(path, "rb") as file:
        content = file.read()
    header_end = 10 + int.from_bytes(content[8:10], "little")
    rows, columns = (int(n) for n in re.search(rb"\((\d+), *(\d+)\)", content[:header_end]).groups())
    values = array.array("f")
    values.frombytes(content[header_end + (rows - 1) * columns * 4 : header_end + rows * columns * 4])
    return values.tolist()


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def plot(session_options, path):
    """Draws the pictures with a Python that has matplotlib; says so if there is none."""
    try:
        python = Pythons(session_options.python).find(["matplotlib", "numpy"])
    except Failure as failure:
        log(f"no pictures: {failure}")
        return
    folder = os.path.splitext(path)[0]
    run([python, os.path.join(os.path.dirname(__file__), "plots.py"), path, folder], os.cpu_count())
    log(f"pictures: {os.path.relpath(folder, ROOT)}/")


def write_report(options, path):
    with open(path) as file:
        data = json.load(file)
    markdown = os.path.splitext(path)[0] + ".md"
    with open(markdown, "w") as file:
        file.write(report.markdown(data))
    log(f"table: {os.path.relpath(markdown, ROOT)}")
    plot(options, path)
    return data


def default_name(info):
    cpu = re.sub(r"\(R\)|\(TM\)|CPU|Processor|@.*", "", info["cpu"])
    words = "-".join(re.findall(r"[A-Za-z0-9]+", cpu)).lower() or "machine"
    return f"{words}-{info['cores']}cores-{time.strftime('%Y-%m-%d')}"


def parse():
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--salangane", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--only", default="")
    parser.add_argument("--name")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--models", help="where models are kept")
    parser.add_argument("--report")
    parser.add_argument("--update-docs")
    parser.add_argument("--check-claims", help="check what README and Docs say of speed against these results")
    parser.add_argument("--agree", nargs=2, help="compare the results of two runs")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    options.least_rounds = 2
    options.repetitions = options.repetitions or (1 if options.quick else 2)
    options.minutes = options.minutes or (8 if options.quick else 25)
    options.python += [p for p in os.environ.get("SALANGANE_BENCH_PYTHON", "").split(":") if p] + [sys.executable]
    cache = os.environ.get("SALANGANE_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "salangane"
    )
    options.models = options.models or os.path.join(cache, "bench-models")
    options.minilm = os.environ.get("SALANGANE_MINILM")
    options.name = options.name or default_name(machine.describe()) + ("-quick" if options.quick else "")
    unknown = {section for section in options.only.split(",") if section} - set(cases.SECTIONS)
    if unknown:
        parser.error(f"--only: expected some of {', '.join(cases.SECTIONS)}, found {', '.join(sorted(unknown))}")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", options.name):
        parser.error("--name: expected letters, digits, points and hyphens")
    return options


def main():
    options = parse()
    if options.list:
        for section, text in cases.SECTIONS.items():
            print(f"{section:12s} {text}")
        return 0
    if options.report:
        write_report(options, options.report)
        return 0
    if options.update_docs:
        with open(options.update_docs) as file:
            report.update_documents(ROOT, json.load(file), options.update_docs)
        return 0
    if options.check_claims:
        with open(options.check_claims) as file:
            return claims.check(ROOT, report.rows(json.load(file)))
    if options.agree:
        runs = []
        for path in options.agree:
            with open(path) as file:
                runs.append(report.rows(json.load(file)))
        return agreement.check(*runs)
    plan = list(cases.quick(options.threads) if options.quick else cases.full(options.threads))
    wanted = [section for section in options.only.split(",") if section]
    plan = [case for case in plan if not wanted or case.section in wanted]
    session = Session(options)
    log(f"{len(plan)} cases, {options.minutes:g} minutes, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    # Models are made before the clock starts: it is done once, and says nothing about speed.
    for case in plan:
        try:
            session.model(case)
        except Failure as failure:
            log(f"{case.key}: {failure}")
    session.start = time.monotonic()
    session.measure(plan)
    profiled = [case for case in plan if case.section == "decoders" and case.weights == "Q4_K_M"]
    if profiled:
        session.measure_phases(profiled[0])
    data = write_report(options, session.path)
    for key, reason in data["missing"].items():
        log(f"missing: {key}: {reason}")
    wrong = [c for c in data["checks"] if not c["agrees"]]
    for verdict in wrong:
        log(f"{verdict['peer']} and Salangane disagree: {verdict['case']}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
