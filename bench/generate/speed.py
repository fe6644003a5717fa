"""Times generation against the machine's limits and its peers. Needs what bench/generate/run installs."""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import report
import to_gguf
from samples import take_turns
from workers import Quiet, Worker

CONTEXT = 128  # of the decode that is compared: short, so that weights are nearly all that is read
CHUNK = 512
LENGTHS = [128, 512, 1024, 2048, 4096, 8192, 16384, 32768]
LONGEST_WITHOUT = 2048  # without the cache a token costs what a prompt of its length costs
LATENT_CONTEXT = 32768


class Bench:
    def __init__(self, options):
        self.options = options
        self.quiet = Quiet(options.patience, Quiet.ENOUGH if options.clock == "wall" else None)
        self.models = pathlib.Path(options.models)

    def model(self, name):
        folder = self.models / name
        if not (folder / "config.json").exists():
            print(f"writing {folder}", flush=True)
            self.models.mkdir(parents=True, exist_ok=True)
            script = pathlib.Path(__file__).with_name("models.py")
            subprocess.run([self.options.transformers, script, name, folder], check=True)
        return folder

    def gguf(self):
        path = self.models / "llama.gguf"
        if not path.exists():
            to_gguf.write(self.model("llama"), path)
        return path

    def own(self, name, most_tokens):
        program = pathlib.Path(self.options.build) / "bench/generate/flash_mla_model_speed"
        return Worker(program, self.model(name), "bfloat16", self.options.threads, most_tokens, self.options.clock)

    def peer(self, kind, model):
        python = self.options.transformers if kind == "transformers" else sys.executable
        return Worker(python, pathlib.Path(__file__).with_name("peer.py"), kind, model, self.options.threads, self.options.clock)

    def peers(self):
        """Decode and prefill beside transformers and ik_llama.cpp, in turns."""
        own = self.own("llama", 4096)
        others = {"transformers": self.peer("transformers", self.model("llama")), "llama": self.peer("llama", self.gguf())}
        greedy = {name: worker.ask("greedy 12")["tokens"] for name, worker in ({"flash_mla": own} | others).items()}
        cache_bytes = own.ask(f"context {CONTEXT}")["cache_bytes"]
        for worker in others.values():
            worker.ask(f"context {CONTEXT}")
        turns = {"bandwidth": (own, "bandwidth", "bytes_per_s"), "flash_mla": (own, "decode 8", "seconds")}
        turns |= {name: (worker, "decode 4", "seconds") for name, worker in others.items()}
        decode = take_turns(self.quiet, self.options.rounds, turns)
        turns = {"peak": (own, "peak", "flops")}
        turns |= {n: (w, f"prefill {CHUNK} {CHUNK}", "seconds") for n, w in ({"flash_mla": own} | others).items()}
        prefill = take_turns(self.quiet, max(3, self.options.rounds // 2), turns)
        result = {"about": own.about, "versions": {n: w.about["version"] for n, w in others.items()}, "greedy": greedy,
                  "context": CONTEXT, "cache_bytes": cache_bytes, "chunk": CHUNK, "decode": decode, "prefill": prefill}
        for worker in (own, *others.values()):
            worker.close()
        return result

    def latent(self):
        """Attention's part of a decode step of DeepSeek-V2-Lite's layers."""
        name = f"deepseek{self.options.latent_layers}"
        own = self.own(name, LATENT_CONTEXT + 1024)
        cache_bytes = own.ask(f"context {LATENT_CONTEXT}")["cache_bytes"]
        turns = {"bandwidth": (own, "bandwidth", "bytes_per_s"), "step": (own, "decode 4", "seconds"),
                 "attention": (own, "attention 4", "seconds")}
        timed = take_turns(self.quiet, self.options.rounds, turns)
        result = {"about": own.about, "layers": self.options.latent_layers, "context": LATENT_CONTEXT,
                  "cache_bytes": cache_bytes, "timed": timed}
        own.close()
        return result

    def lengths(self):
        """Time a token against the length of the context, with the cache and without."""
        own = self.own("llama", LENGTHS[-1] + 1024)
        rows = []
        for length in LENGTHS:
            row = {"length": length, "cache_bytes": own.ask(f"context {length}")["cache_bytes"]}
            turns = {"bandwidth": (own, "bandwidth", "bytes_per_s"), "with": (own, "decode 3", "seconds")}
            row |= take_turns(self.quiet, max(3, self.options.rounds // 2), turns)
            if length <= LONGEST_WITHOUT:
                row |= take_turns(self.quiet, 3, {"without": (own, f"prefill {length} {length}", "seconds")})
            rows.append(row)
        own.close()
        return {"about": own.about, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--transformers", required=True, help="an interpreter that has transformers")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall",
                        help="cpu: the processor's time, which other programs lengthen little; with one thread only")
    parser.add_argument("--models", default=pathlib.Path.home() / ".cache/flash_mla/generate", help="folder for the models")
    parser.add_argument("--out", help="folder for speed.json, .txt and .svg; parts not measured now stay")
    parser.add_argument("--only", nargs="+", choices=["peers", "latent", "lengths"], default=["peers", "latent", "lengths"])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--patience", type=float, default=300, help="seconds to wait, in all, for other programs to be idle")
    parser.add_argument("--latent-layers", type=int, default=6, help="1.2 GB each in memory")
    options = parser.parse_args()
    if options.clock == "cpu" and options.threads != 1:
        parser.error(f"--clock cpu with --threads {options.threads}: must be 1, as threads that wait for others take time too")

    bench = Bench(options)
    results = {"threads": options.threads, "clock": options.clock, "machine": report.machine(options.build)}
    for part in options.only:
        results[part] = getattr(bench, part)()
        print(report.text({key: value for key, value in results.items() if key in (*report.ABOUT, part)}), flush=True)
    if options.out:
        report.write(pathlib.Path(options.out), results)


main()
