"""Checks of the harness itself: python3 -m unittest discover Benchmarks/compare"""

import math
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agreement
import bench
import cases
import claims
import report
from fit import exponent
from models import cost
from peer import TokenStream
from peers import OURS
from spread import deviations, interval, student_quantile


def data():
    """Results as of a run, small enough to compute by hand."""
    key = "decoders/qwen3-0.6b/Q4_0/p512-n32-t2"
    run = {"case": key, "round": 0, "load_seconds": 1.0, "ready_seconds": 2.0, "peak_bytes": 1000}
    return {
        "schema": 1, "name": "test", "created": "2026-01-01T00:00:00Z", "commit": "0" * 40, "is_changed": False,
        "options": {"threads": 2}, "versions": {}, "missing": {}, "checks": [],
        "machine": {"cpu": "a CPU", "cores": 2, "flags": [], "memory_bytes": 1 << 34, "kernel": "6"},
        "ceilings": [
            {"threads": 2, "read_gb_per_s": 9.0, "int8_gmac_per_s": 512.0, "f32_gflop_per_s": 200.0},
            {"threads": 2, "read_gb_per_s": 10.0, "int8_gmac_per_s": 400.0, "f32_gflop_per_s": 300.0},
        ],
        "models": {"qwen3-0.6b-Q4_0": {"macs_per_token": 512_000_000, "bytes_per_token": 99_999_984, "cache_bytes": 1}},
        "runs": [
            {**run, "peer": OURS, "tests": {"pp512": [1.0, 2.0, 1.28], "tg32": [0.64]}},
            {**run, "peer": "llama.cpp", "tests": {"pp512": [2.56], "tg32": [1.28]}},
        ],
    }


class HarnessTests(unittest.TestCase):
    def test_tokens_are_those_of_the_command(self):
        # BenchTests.swift has the same numbers.
        self.assertEqual(TokenStream(1, 30522).next(5), [11702, 5151, 19122, 21756, 16782])

    def test_rows_have_medians_and_shares_of_the_best_ceilings(self):
        rows = {(r["peer"], r["test"]): r for r in report.rows(data())}
        ours = rows[OURS, "pp512"]
        self.assertAlmostEqual(ours["median"], 400)
        self.assertEqual((ours["low"], ours["high"]), (256, 512))
        self.assertEqual((ours["limit"], ours["of"]), (1000, "int8"))
        self.assertAlmostEqual(ours["share"], 0.4)
        generated = rows["llama.cpp", "tg32"]
        # 16 positions on average, a byte each: 10^8 bytes a token.
        self.assertAlmostEqual(generated["limit"], 100)
        self.assertEqual(generated["of"], "read")
        self.assertAlmostEqual(generated["share"], 0.25)

    def test_runs_agree_where_their_spreads_overlap(self):
        first = report.rows(data())
        changed = data()
        changed["runs"][1]["tests"] = {"pp512": [5.12, 10.24], "tg32": [1.28]}
        pairs = agreement.compare(first, report.rows(changed))
        apart = [(row["peer"], row["test"]) for row, _, overlap in pairs if not overlap]
        self.assertEqual((len(pairs), apart), (4, [("llama.cpp", "pp512")]))
        lines = []
        self.assertEqual(agreement.check(first, report.rows(changed), lines.append), 1)
        self.assertTrue(lines[-1].startswith("3 of 4 rows agree"))
        self.assertEqual(agreement.check(first, report.rows(data()), lines.append), 0)

    def test_spread_is_that_of_rows_which_scatter_alike(self):
        self.assertAlmostEqual(student_quantile(5), 2.571, 2)
        self.assertAlmostEqual(student_quantile(30), 2.0423, 4)
        # Logarithms 0.1 around their mean in one row, and none in the other: 0.1 with two degrees of freedom.
        up, down = math.exp(0.1), math.exp(-0.1)
        scatter = deviations([("a", [up, down]), ("a", [1, 1]), ("b", [1])])
        self.assertEqual(list(scatter), ["a"])
        self.assertAlmostEqual(scatter["a"][0], 0.1)
        self.assertEqual(scatter["a"][1], 2)
        low, high = interval(100, [99, 101], 2, scatter["a"])
        self.assertAlmostEqual(high, 100 * math.exp(4.303 * 0.1 / math.sqrt(2)))
        self.assertAlmostEqual(low * high, 100**2)
        self.assertEqual(interval(100, [50, 300], 2, scatter["a"]), (50, 300))
        self.assertEqual(interval(100, [99, 101], 1, None), (99, 101))

    def test_every_table_can_be_made(self):
        parts = report.sections(data())
        for name in ("machine", "prefill", "decode", "load", "memory", "overview"):
            self.assertIn("|", parts[name], name)
        self.assertIn("**400** (256–512), 40 %", parts["prefill"])
        self.assertIn("2.00", parts["overview"])

    def test_keys_of_cases_are_read_back(self):
        for case in [*cases.full(4), *cases.quick(1)]:
            facts = report.case_facts(case.key)
            for field in ("section", "shape", "weights", "depth", "batch", "threads", "layers"):
                self.assertEqual(facts[field], getattr(case, field), case.key)
        keys = [case.key for case in cases.full(2)]
        self.assertEqual(len(keys), len(set(keys)))

    def test_cost_counts_chosen_experts_and_the_head(self):
        tensors = [
            {"name": "token_embd.weight", "shape": [100, 64], "bytes": 1000},
            {"name": "blk.0.attn_q.weight", "shape": [64, 64], "bytes": 400},
            {"name": "blk.0.attn_norm.weight", "shape": [64], "bytes": 256},
            {"name": "blk.0.ffn_up_exps.weight", "shape": [8, 32, 64], "bytes": 800},
        ]
        metadata = {
            "x.expert_count": 8, "x.expert_used_count": 2, "x.attention.head_count_kv": 2, "x.attention.key_length": 16,
            "x.attention.value_length": 16,
        }
        found = cost({"metadata": metadata, "tensors": tensors, "bytes": 1, "parameters": 1})
        self.assertEqual(found["macs_per_token"], 64 * 64 + 2 * 32 * 64)
        self.assertEqual(found["bytes_per_token"], 400 + 200 + 1000)
        self.assertEqual(found["cache_bytes"], 1 * 2 * 32 * 2)
        self.assertEqual((found["layers"], found["vocabulary"]), (1, 100))

    def test_exponent(self):
        slope, fit = exponent([(1, 3), (2, 12), (4, 48)])
        self.assertAlmostEqual(slope, 2)
        self.assertAlmostEqual(fit, 1)
        self.assertIsNone(exponent([(1, 1), (1, 2)]))
        self.assertIsNone(exponent([(0, 1), (2, 1)]))

    def test_claims(self):
        every = report.rows(data())
        row = "decoders qwen3-0.6b Q4_0 pp512"
        for claim, expected in {
            f"{row} > 399": True, f"{row} < 399": False, f"{row} / llama.cpp 1.9..2.1": True,
            f"{row} / llama.cpp > 2.1": False, f"{row} share 0.39..0.41": True, f"{row} / nobody > 1": "no such row",
            f"{row} d512 > 1": "no such row", "nonsense": "not understood",
        }.items():
            self.assertEqual(claims.evaluate(claim, every)[0], expected, claim)
        text = "It is faster.\n```\nfaster\n```\n<!-- bench:decode -->\ntokens/s\n<!-- /bench -->\nNothing.\n"
        self.assertEqual([index for index, _ in claims.sentences(text)], [1])

    def test_reads_the_last_row_of_an_array(self):
        import struct

        header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".ljust(117) + "\n"
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
            file.write(struct.pack("<6f", 1, 2, 3, 4, 5, 6))
            file.flush()
            self.assertEqual(bench.last_row(file.name), [4, 5, 6])

    def test_documents_get_tables_between_markers(self):
        with tempfile.TemporaryDirectory() as root:
            os.mkdir(os.path.join(root, "Docs"))
            text = "a\n<!-- bench:prefill -->\nold\n<!-- /bench -->\nb\n<!-- bench:depth -->\nold\n<!-- /bench -->\n"
            for name in ("README.md", "Docs/Benchmarks.md", "Docs/Profile.md"):
                with open(os.path.join(root, name), "w") as file:
                    file.write(text)
            report.update_documents(root, data(), os.path.join(root, "results.json"))
            with open(os.path.join(root, "Docs/Benchmarks.md")) as file:
                new = file.read()
            self.assertIn("**400**", new)
            self.assertIn("<!-- bench:depth -->\nNot measured yet.\n<!-- /bench -->", new)
            self.assertNotIn("old", new)


if __name__ == "__main__":
    unittest.main()
