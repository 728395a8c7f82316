"""A histogram's interval as a few StatsD timings: which values, and how many each stands for."""

from __future__ import annotations

from collections.abc import Iterator

from falconkit.metrics.distribution import Distribution


def timings(seen: Distribution, most: int) -> Iterator[tuple[float, int]]:
    """Yield at most ``most`` values, each with the number of observations it stands for.

    The observations are cut by rank into groups as equal as can be, and each
    group speaks by its middle one: a daemon takes quantiles and the mean over
    the values as they come, without their rates, so that these must weigh the
    same. The numbers add up to all observations.

    >>> [n for _, n in timings(Distribution({700: 10}), 4)]
    [3, 3, 2, 2]
    """
    count = seen.count
    groups = min(count, most)
    if groups == 0:
        return
    size, bigger = divmod(count, groups)
    sizes = [size + 1] * bigger + [size] * (groups - bigger)
    middles, passed = [], 0
    for each in sizes:
        middles.append(passed + (each + 1) // 2)
        passed += each
    yield from zip(seen.at_ranks(middles), sizes, strict=True)
