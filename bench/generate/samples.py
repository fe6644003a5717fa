"""Rounds of measurements that take turns, and what remains of them."""

import statistics


class Series:
    """Numbers of one kind, each with the part of the processors that other programs had while it was taken."""

    def __init__(self):
        self.samples = []

    def add(self, values, others):
        self.samples += [(value, others) for value in values]

    def kept(self, limit):
        """Those that were disturbed little, or all if there is no limit; if these are few, the third that was disturbed least."""
        if limit is None:
            return [value for value, _ in self.samples]
        quiet = [value for value, others in self.samples if others <= limit]
        if len(quiet) >= max(3, len(self.samples) // 3):
            return quiet
        least = sorted(self.samples, key=lambda sample: sample[1])
        return [value for value, _ in least[: max(1, len(least) // 3)]]

    def summary(self, limit):
        kept = sorted(self.kept(limit))
        quartiles = statistics.quantiles(kept, n=4) if len(kept) > 1 else kept * 3
        others = [others for _, others in self.samples]
        return {
            "median": statistics.median(kept), "quartiles": [quartiles[0], quartiles[2]], "kept": len(kept),
            "measured": len(self.samples), "others": statistics.median(others),
        }


def take_turns(quiet, rounds, turns):
    """turns: name -> (worker, command, key of the answer). Returns name -> summary."""
    series = {name: Series() for name in turns}
    for _ in range(rounds):
        for name, (worker, command, key) in turns.items():
            answer = quiet.ask(worker, command)
            values = answer[key]
            series[name].add(values if isinstance(values, list) else [values], answer["others"])
    return {name: one.summary(quiet.limit) for name, one in series.items()}
