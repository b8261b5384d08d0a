"""Pictures: each takes data and returns its axes; none touches a broker. Lesson 02 draws the first.

They are drawn on a light ground of their own, so that they look the same in JupyterLab's light and dark theme. Colours
are those of Okabe and Ito, which colour-blind readers can tell apart; hatching says the same again. What a picture
shows is also its text: `repr` of the figure, which is what a reader without the picture gets.
"""

from labsupport.experiments.watching.plots.crash_matrix import crashes
from labsupport.experiments.watching.plots.groups import attempts, timeline
from labsupport.experiments.watching.plots.measures import counts, ratios, speed
from labsupport.experiments.watching.plots.spacetime_diagram import spacetime
from labsupport.experiments.watching.plots.topics import lag, log

__all__ = ["attempts", "counts", "crashes", "lag", "log", "ratios", "spacetime", "speed", "timeline"]
