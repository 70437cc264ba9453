"""Prints a table of what was measured in rounds, with how far its ratios to two peers may be by chance.

    ratios.py TITLE RESULTS

RESULTS has lines of NAME VALUE, round after round. A ratio is that of two medians; its interval holds 95 of 100 ratios of rounds
drawn anew with replacement (the bootstrap of Efron, 1979). Where one includes 1, this run cannot tell the two apart.
"""

import random
import statistics
import sys

PEERS = ("nginx", "haproxy")
DRAWS = 2000

title, results = sys.argv[1:]
measured = {}
with open(results, encoding="utf-8") as lines:
    for line in lines:
        name, value = line.split()
        measured.setdefault(name, []).append(float(value))
rounds = len(measured[PEERS[0]])


def ratio(values, peer):
    """Returns the ratio of the medians, with the interval in which it would mostly be."""

    def of(chosen):
        return statistics.median(values[i] for i in chosen) / statistics.median(peer[i] for i in chosen)

    drawn = sorted(of(random.choices(range(rounds), k=rounds)) for _ in range(DRAWS))
    least, most = drawn[int(0.025 * DRAWS)], drawn[int(0.975 * DRAWS)]
    return f"{of(range(rounds)):.2f} ({least:.3f} to {most:.3f})"


print(f"\n| {title}: {rounds} rounds | median (least to most) | times nginx (95 of 100) | times HAProxy (95 of 100) |\n|---|---|---|---|")
for name in sorted(measured):
    values = measured[name]
    to_peers = " | ".join("1" if name == peer else ratio(values, measured[peer]) for peer in PEERS)
    print(f"| {name} | {statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g}) | {to_peers} |")
