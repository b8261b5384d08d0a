"""Pictures: each function takes data and returns its axes; none uses a broker. Lesson 02 draws the first.

Their own light background looks the same in JupyterLab's light and dark theme. Colour-blind readers can tell the
colours (Okabe and Ito's) apart, and hatching repeats what a colour says. The `repr` of a figure describes it in words.
"""

from labsupport.experiments.watching.plots.crash_matrix import broker_deaths, crashes
from labsupport.experiments.watching.plots.groups import attempts, timeline
from labsupport.experiments.watching.plots.hours import ages, hours
from labsupport.experiments.watching.plots.lag_over_time import lag_and_age
from labsupport.experiments.watching.plots.measures import counts, ratios, speed
from labsupport.experiments.watching.plots.replica_roles import replicas
from labsupport.experiments.watching.plots.spacetime_diagram import spacetime
from labsupport.experiments.watching.plots.topics import lag, log
from labsupport.experiments.watching.plots.verdict_table import verdicts

__all__ = [
    "ages", "attempts", "broker_deaths", "counts", "crashes", "hours", "lag", "lag_and_age", "log", "ratios",
    "replicas", "spacetime", "speed", "timeline", "verdicts",
]  # fmt: skip
