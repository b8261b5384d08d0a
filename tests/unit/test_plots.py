"""The pictures that are drawn from figures: what they show, and that their words hold on every machine."""

import pandas
from kafka import TopicPartition
from matplotlib import pyplot

from labsupport.delivery.moments import Moment
from labsupport.experiments.watching import plots
from labsupport.experiments.watching.ownership import History

POINTS = pandas.DataFrame(
    [("one", "0 ms", 900.0, 1.1), ("one", "1000 ms", 1.0, 1000.0), ("many", "16 kB", 20_000.0, 30.0)],
    columns=["series", "label", "per_second", "milliseconds"],
)
RATIOS = pandas.DataFrame({"records per second": [1.0, 8.5], "latency": [1.0, 0.3]}, index=["kafka-python", "other"])


def test_the_curve_has_a_line_for_each_series_and_a_label_for_each_point():
    """Both axes logarithmic and with units; its words are the same whatever was measured."""
    ax = plots.speed(POINTS)
    assert [list(line.get_xdata()) for line in ax.lines] == [[900.0, 1.0], [20_000.0]]
    assert {text.get_text() for text in ax.texts} == {"0 ms", "1000 ms", "16 kB"}
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert "(records per second)" in ax.get_xlabel()
    assert "(ms, median)" in ax.get_ylabel()
    again = plots.speed(POINTS.assign(per_second=POINTS.per_second * 1.3))
    assert repr(again.figure) == repr(ax.figure)
    assert "one: 0 ms, 1000 ms; many: 16 kB" in repr(ax.figure)


def test_a_point_s_label_does_not_lie_on_a_line():
    """The line rises to the right of the first point, so its label does not stand there."""
    ax = plots.speed(POINTS.assign(series="one", per_second=[1.0, 10.0, 100.0], milliseconds=[1.0, 10.0, 100.0]))
    ax.figure.draw_without_rendering()
    (line,) = ax.lines
    road = line.get_transform().transform_path(line.get_path())
    assert not any(road.intersects_bbox(text.get_window_extent(), filled=False) for text in ax.texts)


def test_ratios_are_bars_of_one_unit():
    """Each bar has its figure, each row its colour and its name once."""
    ax = plots.ratios(RATIOS, "times kafka-python's")
    assert [bar.get_width() for bar in ax.patches] == [1.0, 8.5, 1.0, 0.3]
    assert [text.get_text().strip() for text in ax.texts] == ["1.0", "8.5", "1.0", "0.3"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(RATIOS.index)
    assert repr(ax.figure).endswith("of kafka-python, other, times kafka-python's.")


def test_a_picture_is_drawn_into_the_axes_that_it_is_given():
    """No figure of its own is made then."""
    _, (left, right) = pyplot.subplots(1, 2)
    assert plots.speed(POINTS, left) is left
    assert plots.ratios(RATIOS, "times", right) is right


def test_attempts_are_crosses_and_dots_with_waits_between_them():
    """A lane for each partition, the one that failed in front; the words are the same however long it took."""

    def tried(factor: float) -> list[Moment]:
        steps = [(0.0, "failed", 1, 0), (0.1, "handled", 0, 0), (0.2, "failed", 1, 0), (0.6, "handled", 1, 0)]
        steps += [(0.7, "handled", 1, 1), (0.7, "committed", 1, 2)]
        return [
            Moment(what, 50 + factor * at, "A", (TopicPartition("orders", partition),), offset)
            for at, what, partition, offset in steps
        ]

    ax = plots.attempts({"slow": tried(1.0)})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["slow, partition 1", "slow, partition 0"]
    assert [round(bar.get_width(), 6) for bar in ax.patches] == [0.2, 0.4]
    assert "(s)" in ax.get_xlabel()
    assert "slow: 0 failed 2 times, 0–1 handled; slow: 0 handled." in repr(ax.figure)
    assert repr(plots.attempts({"slow": tried(1.7)}).figure) == repr(ax.figure)
    assert not plots.attempts({}).patches


def test_two_owners_of_a_partition_are_drawn_beside_each_other_whoever_they_are():
    """A and C, of whom one has the partition while the other believes that it does: neither covers the other."""
    place = TopicPartition("t", 0)

    def moment(what, at, who):
        return Moment(what, at, who, (place,))

    for first, second in ("AC", "CA", "AB"):
        moments = [moment("assigned", 0.0, first), moment("assigned", 2.0, second), moment("revoked", 4.0, first)]
        moments += [moment("assigned", 0.1, "B" if "B" not in (first, second) else "C")]  # a name between the two
        moments[-1] = Moment("assigned", 0.1, moments[-1].client_id, (TopicPartition("t", 1),))
        ax = plots.timeline(History.of(moments))
        halves = sorted((bar.get_y(), bar.get_height()) for bar in ax.patches if bar.get_height() < 0.5)
        assert len(halves) == 2
        (above, height), (below, _) = halves
        assert above + height <= below + 0.01
