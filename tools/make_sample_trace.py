#!/usr/bin/env python3
"""Makes examples/traces/sample.csv: requests that look like those of a chat service, without being anybody's.

Prompt and answer lengths follow the quantiles of the conversation trace in the Azure LLM inference traces 2023 (19,366
requests), linear between them; arrivals are a Poisson process at that trace's 5.53 requests a second. Each length is drawn
once from each of as many equal slices of its distribution as there are requests, so that a small sample keeps the
quantiles of the large trace. The same arguments give the same bytes.
"""

import argparse
import datetime
import random
import sys

PROMPT_QUANTILES = [
    (0.0, 2), (0.01, 29), (0.05, 181), (0.1, 207), (0.2, 387), (0.3, 403), (0.4, 703), (0.5, 1020), (0.6, 1071),
    (0.7, 1130), (0.75, 1189), (0.8, 1315), (0.9, 2735), (0.95, 4083), (0.99, 4142), (0.999, 6212), (1.0, 14050),
]
ANSWER_QUANTILES = [
    (0.0, 7), (0.01, 16), (0.05, 41), (0.1, 54), (0.2, 77), (0.3, 91), (0.4, 103), (0.5, 129), (0.6, 177), (0.7, 384),
    (0.75, 395), (0.8, 400), (0.9, 424), (0.95, 451), (0.99, 601), (0.999, 954), (1.0, 1000),
]
REQUESTS_PER_SECOND = 5.53
START = datetime.datetime(2026, 1, 1)


def quantile(table, p):
    for (p0, x0), (p1, x1) in zip(table, table[1:]):
        if p <= p1:
            return round(x0 + (x1 - x0) * (p - p0) / (p1 - p0))
    return table[-1][1]


def draw_lengths(table, count, rng):
    lengths = [quantile(table, (i + rng.random()) / count) for i in range(count)]
    rng.shuffle(lengths)
    return lengths


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--output", help="file to write (default: standard output)")
    arguments = parser.parse_args()
    if arguments.requests < 1:
        parser.error("--requests must be 1 or more")

    rng = random.Random(arguments.seed)
    prompts = draw_lengths(PROMPT_QUANTILES, arguments.requests, rng)
    answers = draw_lengths(ANSWER_QUANTILES, arguments.requests, rng)
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    seconds = 0.0
    for prompt, answer in zip(prompts, answers):
        lines.append(f"{START + datetime.timedelta(microseconds=round(seconds * 1e6)):%Y-%m-%d %H:%M:%S.%f},{prompt},{answer}")
        seconds += rng.expovariate(REQUESTS_PER_SECOND)
    text = "\n".join(lines) + "\n"
    if arguments.output:
        with open(arguments.output, "w", encoding="ascii", newline="\n") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
