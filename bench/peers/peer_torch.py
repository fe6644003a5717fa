"""torch's scaled_dot_product_attention. It knows no pages, so it gets keys that lie in order."""

import numpy as np
import torch

from case import D, D_V


def tensor(bits):
    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)


class Torch:
    name = "torch SDPA"
    version = torch.__version__

    def prepare(self, case, threads):
        torch.set_num_threads(threads)
        shape = case.shape
        self.scale = case.scale
        self.q = tensor(case.q).reshape(shape.batch, 1, shape.heads, D)
        self.kv = [
            tensor(np.stack([case.rows(copy, i) for i in range(shape.batch)])).reshape(shape.batch, 1, shape.s_k, D)
            for copy in range(case.copies)
        ]

    def run(self, copy):
        kv = self.kv[copy]
        # The query heads of the one KV head are its query tokens: no head is repeated.
        self.out = torch.nn.functional.scaled_dot_product_attention(self.q, kv, kv[..., :D_V], scale=self.scale)

    def result(self):
        return self.out.float().squeeze(1).numpy()

    def release(self):
        del self.kv
