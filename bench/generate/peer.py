"""A peer in a process of its own: peer.py KIND MODEL THREADS wall|cpu answers the same lines as model_speed, without a cache to fill.

    decode N | prefill TOKENS CHUNK | greedy N    the last: tokens after a fixed prompt, to show that it is the same model
"""

import importlib.metadata
import json
import sys
import time

PROMPT = [3, 1000, 77, 4096, 12, 8000, 512]
VOCABULARY = 8192


def token_at(position):
    return position * 7919 % VOCABULARY


class Transformers:
    def __init__(self, model, threads):
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
        self.make_cache = transformers.DynamicCache
        self.version = f"transformers {transformers.__version__}, torch {torch.__version__}"

    def clear(self):
        self.cache = self.make_cache(config=self.model.config)

    def step(self, tokens, _first):
        ids = self.torch.tensor([tokens])
        logits = self.model(ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits
        return int(logits[0, -1].argmax())


class Llama:
    def __init__(self, model, threads):
        import ik_llama_cpp._ctypes_api as api
        from ik_llama_cpp import _internals

        self.api, self.parts = api, _internals
        self.context = _internals.IkContext(_internals.IkModel(model), n_ctx=2048, n_threads=threads, flash_attn=True)
        self.version = f"ik-llama-cpp-python {importlib.metadata.version('ik-llama-cpp-python')}"

    def clear(self):
        self.context.kv_cache_clear()

    def step(self, tokens, first):
        batch = self.parts.make_batch_range(tokens, pos_start=first, logits_last=True)
        failed = self.context.decode(batch)
        self.api.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"llama_decode: {failed}")
        return self.context.sample(-1, temperature=0.0)


class Peer:
    def __init__(self, kind, model, threads, clock):
        self.peer = kind(model, threads)
        self.now = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
        self.restart()

    def restart(self):
        self.peer.clear()
        self.length = 0

    def run(self, tokens):
        start = self.now()
        drawn = self.peer.step(tokens, self.length)
        self.length += len(tokens)
        return drawn, self.now() - start

    def next(self, count):
        return [token_at(self.length + i) for i in range(count)]

    def context(self, tokens):
        self.restart()
        if tokens:
            self.run(self.next(tokens))
        return {}

    def decode(self, count):
        return {"seconds": [self.run(self.next(1))[1] for _ in range(count)]}

    def prefill(self, tokens, chunk):
        self.restart()
        return {"seconds": [self.run(self.next(chunk))[1] for _ in range(tokens // chunk)]}

    def greedy(self, count):
        self.restart()
        drawn = [self.run(PROMPT)[0]]
        while len(drawn) < count:
            drawn.append(self.run(drawn[-1:])[0])
        self.restart()
        return {"tokens": drawn}


def main():
    kind, model, threads, clock = sys.argv[1:]
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    peer = Peer({"transformers": Transformers, "llama": Llama}[kind], model, int(threads), clock)
    print(json.dumps({"version": peer.peer.version}), file=answers, flush=True)
    for line in sys.stdin:
        command, *counts = line.split()
        print(json.dumps(getattr(peer, command)(*map(int, counts))), file=answers, flush=True)


main()
