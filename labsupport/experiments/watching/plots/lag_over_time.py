"""Lag and age over time, one above the other. Lesson 14."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from labsupport.experiments.watching.lag_series import Sample, Series, by_partition
from labsupport.experiments.watching.plots.figure import COLOURS, GROUND, INK, Described, describe, legend

LINES = ("-", "--", ":", "-.")  # repeats what the colour says
NOTHING: Mapping[str, float] = {}


def lag_and_age(runs: Mapping[str, Sequence[Sample]], marks: Mapping[str, float] = NOTHING) -> tuple[Axes, ...]:
    """Each run's lag (records, above) and age (seconds, below) over time; a line for each partition.

    `runs`: samples by the name of the run, a column each. `marks`: what was done at which time (s), drawn as vertical
    lines, with the words above the curves. The description has no numbers, because they differ in each run. Returns the
    axes, row by row.
    """
    figure: Described = plt.figure(  # type: ignore[assignment]
        FigureClass=Described,
        figsize=(min(2 + 3.5 * max(2, len(runs)), 11), 4.4),
        facecolor=GROUND,
        layout="constrained",
    )
    axes = figure.subplots(2, len(runs), sharex="col", squeeze=False)
    for column, (name, samples) in enumerate(runs.items()):
        above, below = axes[:, column]
        above.set_title(name, fontsize=9, color=INK, pad=28 if marks else 6)
        for number, (partition, series) in enumerate(by_partition(samples).items()):
            look = {"color": COLOURS[(0, 1, 2, 4)[number % 4]], "linestyle": LINES[number % 4], "linewidth": 1.8}
            times = [each.at for each in series]
            above.plot(times, [each.lag for each in series], label=f"partition {partition}", **look)
            below.plot(times, _ages(series), **look)
        for number, (what, at) in enumerate(marks.items()):
            for ax in (above, below):
                ax.axvline(at, color=INK, linewidth=0.9, linestyle="--")
            above.annotate(what, (at, 1), xycoords=("data", "axes fraction"), xytext=(0, 3 + 10 * (number % 2)),
                           textcoords="offset points", fontsize=8, color=INK)  # fmt: skip
        below.set_xlabel("time (s)")
    for ax in axes.flat:
        ax.set_facecolor(GROUND)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_ylim(bottom=0)
        ax.tick_params(length=0)
    axes[0][0].set_ylabel("lag (records)")
    axes[1][0].set_ylabel("age (s)")
    legend(axes[0][-1])
    done = f" Marked: {', '.join(marks)}." if marks else ""
    describe(axes[0][0], f"Picture: lag in records and age in seconds over time, of {', '.join(runs)}.{done}")
    return tuple(axes.flat)


def _ages(series: Series) -> list[float]:
    return [float("nan") if each.age is None else each.age for each in series]
