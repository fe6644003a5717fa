"""Triton's kernels on the emulator: right results and no report, whatever the order of warps and copies."""

from ctypes import c_float, c_int32

import kernels
import ml_dtypes
import numpy as np
import pytest

seeds = pytest.mark.parametrize("seed", range(1, 6))


def random(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@seeds
def test_add(device, compiled, seed):
    kernel = compiled(kernels.add, {"x": "*fp32", "y": "*fp32", "out": "*fp32", "n": "i32"}, {"BLOCK": 256})
    x, y, out = random(seed, 1000), random(seed + 100, 1000), np.full(1000, np.nan, np.float32)
    device.run(kernel, (4, 1, 1), [x, y, out, c_int32(1000)], seed)
    np.testing.assert_array_equal(out, x + y)


@seeds
def test_softmax(device, compiled, seed):
    signature = {"x": "*fp32", "out": "*fp32", "stride": "i32", "columns": "i32"}
    kernel = compiled(kernels.softmax, signature, {"BLOCK": 1024})
    x, out = random(seed, 5, 800) * 4, np.full((5, 800), np.nan, np.float32)
    device.run(kernel, (5, 1, 1), [x, out, c_int32(800), c_int32(781)], seed)
    weights = np.exp(x[:, :781].astype(np.float64) - x[:, :781].max(axis=1, keepdims=True))
    np.testing.assert_allclose(out[:, :781], weights / weights.sum(axis=1, keepdims=True), rtol=1e-5)
    assert np.isnan(out[:, 781:]).all()


@seeds
def test_layer_norm(device, compiled, seed):
    signature = {"x": "*fp16", "weight": "*fp32", "bias": "*fp32", "out": "*fp32", "mean_out": "*fp32",
                 "columns": "i32", "eps": "fp32"}
    kernel = compiled(kernels.layer_norm, signature, {"BLOCK": 256})
    columns = 700
    x = (random(seed, 4, columns) * 3 + 1).astype(np.float16)
    weight, bias = random(seed + 1, columns), random(seed + 2, columns)
    out, mean = np.full((4, columns), np.nan, np.float32), np.full(4, np.nan, np.float32)
    device.run(kernel, (4, 1, 1), [x, weight, bias, out, mean, c_int32(columns), c_float(1e-5)], seed)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(axis=1, keepdims=True)) / np.sqrt(wide.var(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(mean, wide.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(out, expected * weight + bias, atol=2e-5, rtol=1e-5)


@seeds
def test_atomics_and_reductions(device, compiled, seed):
    signature = {"x": "*i32", "counts": "*i32", "sums": "*fp32", "largest": "*i32", "n": "i32"}
    kernel = compiled(kernels.histogram, signature, {"BLOCK": 256, "BINS": 16})
    x = np.random.default_rng(seed).integers(0, 1000, 2000, dtype=np.int32)
    counts, sums, largest = np.zeros(16, np.int32), np.zeros(1, np.float32), np.full(1, -1, np.int32)
    device.run(kernel, (8, 1, 1), [x, counts, sums, largest, c_int32(2000)], seed)
    np.testing.assert_array_equal(counts, np.bincount(x % 16, minlength=16))
    assert sums[0] == x.sum()
    assert largest[0] == x.max()


@seeds
def test_a_lock_that_programs_spin_on(device, compiled, seed):
    signature = {"x": "*fp32", "total": "*fp32", "lock": "*i32", "n": "i32"}
    kernel = compiled(kernels.locked_sum, signature, {"BLOCK": 128})
    x = np.random.default_rng(seed).integers(-50, 50, (12, 128)).astype(np.float32)
    total, lock = np.zeros(128, np.float32), np.zeros(1, np.int32)
    device.run(kernel, (12, 1, 1), [x, total, lock, c_int32(12 * 128)], seed)
    np.testing.assert_array_equal(total, x.sum(axis=0))
    assert lock[0] == 0


@seeds
def test_scan_and_sort(device, compiled, seed):
    kernel = compiled(kernels.scan, {"x": "*i32", "out": "*i32", "order": "*i32"}, {"BLOCK": 256})
    x = np.random.default_rng(seed).integers(-10000, 10000, (3, 256), dtype=np.int32)
    out, order = np.zeros_like(x), np.zeros_like(x)
    device.run(kernel, (3, 1, 1), [x, out, order], seed)
    np.testing.assert_array_equal(out, np.cumsum(x, axis=1))
    np.testing.assert_array_equal(order, np.sort(x, axis=1))


# Name, NumPy's type, that of the result, warps, block, and the error allowed of a sum of K products.
products = {
    "bf16": ("bf16", ml_dtypes.bfloat16, ml_dtypes.bfloat16, 4, (64, 64, 32), 2e-2),
    "bf16_few_warps": ("bf16", ml_dtypes.bfloat16, ml_dtypes.bfloat16, 2, (32, 32, 32), 2e-2),
    "fp16": ("fp16", np.float16, np.float16, 4, (64, 64, 32), 3e-3),
    "fp16_two_warpgroups": ("fp16", np.float16, np.float16, 8, (128, 64, 32), 3e-3),
    "tf32": ("fp32", np.float32, np.float32, 4, (64, 64, 32), 2e-2),
    "e4m3": ("fp8e4nv", ml_dtypes.float8_e4m3fn, np.float32, 4, (64, 64, 32), 1e-2),
    "e5m2": ("fp8e5", ml_dtypes.float8_e5m2, np.float32, 4, (64, 64, 32), 1e-2),
}
names = {np.float16: "fp16", np.float32: "fp32", ml_dtypes.bfloat16: "bf16"}


def check_product(a, b, c, tolerance):
    expected = a.astype(np.float64) @ b.astype(np.float64)
    assert np.abs(c.astype(np.float64) - expected).max() <= tolerance * np.abs(expected).max()


@seeds
@pytest.mark.parametrize("product", products)
def test_matmul(device, compiled, product, seed):
    name, kind, result, warps, block, tolerance = products[product]
    rows, columns, inner = 100, 96, 80
    signature = {"a": "*" + name, "b": "*" + name, "c": "*" + names[result], "M": "i32", "N": "i32", "K": "i32"}
    kernel = compiled(kernels.matmul, signature, dict(zip(("BM", "BN", "BK"), block)), num_warps=warps)
    a, b = random(seed, rows, inner).astype(kind), random(seed + 1, inner, columns).astype(kind)
    c = np.full((rows, columns), np.nan).astype(result)
    grid = (-(-rows // block[0]), -(-columns // block[1]), 1)
    device.run(kernel, grid, [a, b, c, c_int32(rows), c_int32(columns), c_int32(inner)], seed)
    check_product(a, b, c, tolerance)


@seeds
@pytest.mark.parametrize("warps", [4, 8])
def test_matmul_with_tensor_descriptors(device, compiled, warps, seed):
    rows, columns, inner = 130, 128, 192
    signature = {"a": "*bf16", "b": "*bf16", "c": "*bf16", "M": "i32", "N": "i32", "K": "i32"}
    block = {"BM": 64 * (warps // 4), "BN": 64, "BK": 64}
    kernel = compiled(kernels.matmul_descriptors, signature, block, num_warps=warps)
    a = random(seed, rows, inner).astype(ml_dtypes.bfloat16)
    b = random(seed + 1, inner, columns).astype(ml_dtypes.bfloat16)
    c = np.full((rows, columns), np.nan).astype(ml_dtypes.bfloat16)
    grid = (-(-rows // block["BM"]), -(-columns // block["BN"]), 1)
    device.run(kernel, grid, [a, b, c, c_int32(rows), c_int32(columns), c_int32(inner)], seed)
    check_product(a, b, c, 1e-2)


@seeds
@pytest.mark.parametrize(
    ("name", "kind", "causal", "warps", "block"),
    [("bf16", ml_dtypes.bfloat16, True, 4, 64), ("fp16", np.float16, False, 2, 32), ("fp16", np.float16, True, 8, 128)],
)
def test_flash_attention(device, compiled, name, kind, causal, warps, block, seed):
    length, width, heads = 256, 64, 2
    pointer = "*" + name
    signature = {"q": pointer, "k": pointer, "v": pointer, "out": pointer, "scale": "fp32", "length": "i32"}
    constants = {"CAUSAL": causal, "BM": block, "BN": min(block, 64), "D": width}
    kernel = compiled(kernels.attention, signature, constants, num_warps=warps)
    q, k, v = (random(seed + i, heads, length, width).astype(kind) for i in range(3))
    out = np.full((heads, length, width), np.nan).astype(kind)
    scale = 1 / np.sqrt(width)
    device.run(kernel, (length // block, heads, 1), [q, k, v, out, c_float(scale), c_int32(length)], seed)
    scores = q.astype(np.float64) @ k.astype(np.float64).transpose(0, 2, 1) * scale
    if causal:
        scores = np.where(np.tril(np.ones((length, length), bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    expected = weights / weights.sum(axis=2, keepdims=True) @ v.astype(np.float64)
    np.testing.assert_allclose(out.astype(np.float64), expected, atol=2e-2)
