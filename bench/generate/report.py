"""What was measured, as a table, a picture and JSON."""

import json
import pathlib
import subprocess
import tempfile

HEAD = f"{'':<34} {'median':>12} {'quartiles':>19} {'kept':>7} {'others':>7}"


def machine(build):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "info.json"
        command = [pathlib.Path(build) / "flash_mla", "info", "--json", path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(path.read_text())["machine"]


def line(name, timed, scale, unit):
    low, high = (scale * quartile for quartile in timed["quartiles"])
    return (f"{name:<34} {scale * timed['median']:>8.2f} {unit:<4} {low:>8.2f} -{high:>8.2f} "
            f"{timed['kept']:>3}/{timed['measured']:<3} {100 * timed['others']:>5.0f} %")


def shared(timed, read_bytes, seconds="flash_mla"):
    """Part of the read bandwidth that a step's bytes had; of its upper quartile, as a reading that was held up is no limit."""
    return read_bytes / timed[seconds]["median"] / timed["bandwidth"]["quartiles"][1]


def matrix_flop(about, tokens, width, vocabulary=8192):
    """Of the layers' weights for every token, and of the head for the last."""
    head = vocabulary * width
    layers = about["weight_bytes"] / 2 - head
    return 2 * (layers * tokens + head)


def peers_text(part):
    read_bytes = part["about"]["weight_bytes"] + part["cache_bytes"]
    decode, prefill = part["decode"], part["prefill"]
    lines = [f"Decode at {part['context']} tokens, {read_bytes / 1e9:.3f} GB a token", HEAD,
             line("read bandwidth", decode["bandwidth"], 1e-9, "GB/s")]
    own = decode["flash_mla"]["median"]
    for name in ("flash_mla", *part["versions"]):
        lines.append(line(part["versions"].get(name, name), decode[name], 1e3, "ms")
                     + f"  {decode[name]['median'] / own:.2f} x" + (f", {100 * shared(decode, read_bytes, name):.0f} % of the bandwidth"))
    flop = matrix_flop(part["about"], part["chunk"], 2048)
    lines += ["", f"Prefill of {part['chunk']} tokens, {flop / 1e9:.0f} GFLOP in matrix products", HEAD,
              line("BF16 peak", prefill["peak"], 1e-9, "GF/s")]
    own = prefill["flash_mla"]["median"]
    for name in ("flash_mla", *part["versions"]):
        share = flop / prefill[name]["median"] / prefill["peak"]["median"]
        lines.append(line(part["versions"].get(name, name), prefill[name], 1e3, "ms")
                     + f"  {prefill[name]['median'] / own:.2f} x, {100 * share:.0f} % of the peak")
    agree = len(set(map(tuple, part["greedy"].values()))) == 1
    lines.append(f"12 greedy tokens after one prompt: {'the same from all' if agree else part['greedy']}")
    return lines


def latent_text(part):
    timed = part["timed"]
    share = timed["attention"]["median"] / timed["step"]["median"]
    return [f"DeepSeek-V2-Lite's first {part['layers']} layers, decode at {part['context']} tokens", HEAD,
            line("read bandwidth", timed["bandwidth"], 1e-9, "GB/s"), line("a step", timed["step"], 1e3, "ms"),
            line("its attention", timed["attention"], 1e3, "ms") + f"  {100 * share:.1f} % of the step"]


def lengths_text(part):
    lines = ["Time a token against the context", HEAD]
    for row in part["rows"]:
        read_bytes = part["about"]["weight_bytes"] + row["cache_bytes"]
        lines.append(line(f"{row['length']} tokens, with the cache", row["with"], 1e3, "ms")
                     + f"  {100 * shared(row, read_bytes, 'with'):.0f} % of the bandwidth")
        if "without" in row:
            lines.append(line(f"{row['length']} tokens, without", row["without"], 1e3, "ms")
                         + f"  {row['without']['median'] / row['with']['median']:.0f} x")
    return lines


ABOUT = ("threads", "clock", "machine")
PARTS = {"peers": peers_text, "latent": latent_text, "lengths": lengths_text}


def text(results):
    blocks = [f"{results['machine'].get('cpu', '')}, {results['threads']} thread{'s' * (results['threads'] > 1)}, "
              f"{'processor time' if results['clock'] == 'cpu' else 'wall time'}"]
    blocks += ["\n".join(show(results[name])) for name, show in PARTS.items() if name in results]
    if results["clock"] == "cpu":
        return "\n\n".join(blocks) + "\n"
    blocks.append("Medians of what was kept: measurements with other programs on at most 10 % of the processors, or the third\n"
                  "that was disturbed least. Others: the processors' part that other programs had, a median of all.")
    return "\n\n".join(blocks) + "\n"


def plot(path, part):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for name, label in (("with", "with the KV cache"), ("without", "without")):
        rows = [row for row in part["rows"] if name in row]
        axes.plot([row["length"] for row in rows], [1e3 * row[name]["median"] for row in rows], "o-", label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = [row["length"] for row in part["rows"]]
    axes.set_xticks(ticks, [str(tick) if tick < 1024 else f"{tick // 1024} K" for tick in ticks])
    axes.set_xlabel("tokens of context")
    axes.set_ylabel("ms a token")
    axes.set_title(f"Llama, {part['about']['weight_bytes'] / 1e9:.1f} GB of bfloat16 weights a token", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def write(folder, results):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "speed.json"
    if path.exists():
        results = json.loads(path.read_text()) | results
    path.write_text(json.dumps(results, indent=2) + "\n")
    (folder / "speed.txt").write_text(text(results))
    if "lengths" in results:
        plot(folder / "speed.svg", results["lengths"])
