"""Pictures of measurements and attempts: what they show; their descriptions are the same on every machine."""

import pandas
from kafka import TopicPartition
from matplotlib import pyplot

from labsupport.delivery.moments import Moment
from labsupport.experiments.watching import plots
from labsupport.experiments.watching.lag_series import Sample
from labsupport.experiments.watching.ownership import GroupHistory
from labsupport.observability.time_lapse import Plan

POINTS = pandas.DataFrame(
    [("one", "0 ms", 900.0, 1.1), ("one", "1000 ms", 1.0, 1000.0), ("many", "16 kB", 20_000.0, 30.0)],
    columns=["series", "label", "per_second", "milliseconds"],
)
RATIOS = pandas.DataFrame({"records per second": [1.0, 8.5], "latency": [1.0, 0.3]}, index=["kafka-python", "other"])


def test_the_curve_has_a_line_for_each_series_and_a_label_for_each_point():
    """Both axes are logarithmic and have units; the description does not depend on the measurements."""
    ax = plots.speed(POINTS)
    assert [list(line.get_xdata()) for line in ax.lines] == [[900.0, 1.0], [20_000.0]]
    assert {text.get_text() for text in ax.texts} == {"0 ms", "1000 ms", "16 kB"}
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert "(records per second)" in ax.get_xlabel()
    assert "(ms, median)" in ax.get_ylabel()
    again = plots.speed(POINTS.assign(per_second=POINTS.per_second * 1.3))
    assert repr(again.figure) == repr(ax.figure)
    assert "one: 0 ms, 1000 ms; many: 16 kB" in repr(ax.figure)


def test_the_label_of_a_point_does_not_lie_on_a_line():
    """The line rises to the right of the first point, so the label is elsewhere."""
    ax = plots.speed(POINTS.assign(series="one", per_second=[1.0, 10.0, 100.0], milliseconds=[1.0, 10.0, 100.0]))
    ax.figure.draw_without_rendering()
    (line,) = ax.lines
    path = line.get_transform().transform_path(line.get_path())
    assert not any(path.intersects_bbox(text.get_window_extent(), filled=False) for text in ax.texts)


def test_ratios_are_bars_of_one_unit():
    """Each bar has its number; each row has a colour and is named once."""
    ax = plots.ratios(RATIOS, "times kafka-python's")
    assert [bar.get_width() for bar in ax.patches] == [1.0, 8.5, 1.0, 0.3]
    assert [text.get_text().strip() for text in ax.texts] == ["1.0", "8.5", "1.0", "0.3"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(RATIOS.index)
    assert repr(ax.figure).endswith("of kafka-python, other, times kafka-python's.")


def test_a_verdict_has_its_statement_what_was_found_and_where():
    """A cell for each, with a strip coloured by what was found; the description has them all."""
    table = {
        "events": {"coupling": ("loose", "holds if nobody asks", "here"), "speed": ("slow", "holds", "there")},
        "requests": {"coupling": ("tight", "does not hold", "here"), "speed": ("quick", "holds", "there")},
    }
    ax = plots.verdicts(table)
    hatches = [patch.get_hatch() for patch in ax.patches[1::2]]  # a cell, then its strip
    assert hatches == ["..", "", "//", ""]
    assert "coupling, events: loose: holds if nobody asks (here)" in repr(ax.figure)
    assert {"tight", "does not hold", 'seen in "there"'} <= {text.get_text() for text in ax.texts}


def test_a_picture_is_drawn_into_given_axes():
    """Then it makes no figure."""
    _, (left, right) = pyplot.subplots(1, 2)
    assert plots.speed(POINTS, left) is left
    assert plots.ratios(RATIOS, "times", right) is right


def test_attempts_are_crosses_and_dots_with_waits_between():
    """A lane for each partition, those with failures first; the description does not depend on times."""

    def tried(factor: float) -> list[Moment]:
        steps = [(0.0, "failed", 1, 0), (0.1, "handled", 0, 0), (0.2, "failed", 1, 0), (0.6, "handled", 1, 0)]
        steps += [(0.7, "handled", 1, 1), (0.7, "committed", 1, 2)]
        return [
            Moment(kind, 50 + factor * at, "A", (TopicPartition("orders", partition),), offset)
            for at, kind, partition, offset in steps
        ]

    ax = plots.attempts({"slow": tried(1.0)})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["slow, partition 1", "slow, partition 0"]
    assert [round(bar.get_width(), 6) for bar in ax.patches] == [0.2, 0.4]
    assert "(s)" in ax.get_xlabel()
    assert "slow: 0 failed 2 times, 0–1 handled; slow: 0 handled." in repr(ax.figure)
    assert repr(plots.attempts({"slow": tried(1.7)}).figure) == repr(ax.figure)
    assert not plots.attempts({}).patches


def test_two_owners_of_a_partition_are_drawn_side_by_side():
    """One owns the partition, the other believes that it does. No bar covers the other, whatever their names."""
    partition = TopicPartition("t", 0)

    def moment(kind, time, member):
        return Moment(kind, time, member, (partition,))

    for first, second in ("AC", "CA", "AB"):
        moments = [moment("assigned", 0.0, first), moment("assigned", 2.0, second), moment("revoked", 4.0, first)]
        moments += [moment("assigned", 0.1, "B" if "B" not in (first, second) else "C")]  # a name between the two
        moments[-1] = Moment("assigned", 0.1, moments[-1].client_id, (TopicPartition("t", 1),))
        ax = plots.timeline(GroupHistory.from_moments(moments))
        halves = sorted((bar.get_y(), bar.get_height()) for bar in ax.patches if bar.get_height() < 0.5)
        assert len(halves) == 2
        (above, height), (below, _) = halves
        assert above + height <= below + 0.01


def test_an_hour_is_lag_above_age():
    """A column for each hour; all have one scale, so that they can be compared, and the limit is a line."""
    plans = {"quiet": Plan((1,) * 4, (9,) * 4), "dead": Plan((2,) * 4, (9, 0, 0, 0))}
    figure = plots.hours({name: plan.expected() for name, plan in plans.items()}, lag_limit=3)
    above, below = figure.axes[:2], figure.axes[2:]
    assert [ax.get_title(loc="left") for ax in above] == list(plans)
    assert len({ax.get_ylim() for ax in above}) == len({ax.get_ylim() for ax in below}) == 1
    assert [list(ax.lines[0].get_ydata()) for ax in above] == [[3, 3]] * 2
    assert (above[0].get_ylabel(), below[0].get_ylabel()) == ("lag (records)", "age (minutes)")
    assert repr(figure) == (
        "Picture: lag above age, minute by minute. quiet: lag up to 0, age up to 0, in the end 0 and 0; "
        "dead: lag up to 6, age up to 2, in the end 6 and 2. A line marks a lag of 3."
    )


def test_ages_are_a_rising_curve_with_marks():
    """How many events (%) were no older; each mark is a line with its name."""
    ax = plots.ages([0, 0, 0, 8], {"p50": 0, "mean": 2.0})
    curve, *marks = ax.lines
    assert list(curve.get_ydata())[-1] == 1
    assert [line.get_xdata()[0] for line in marks] == [0, 2.0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["p50: 0 minutes", "mean: 2 minutes"]
    assert repr(ax.figure) == "Picture: ages of 4 events when they were handled, in minutes. p50 0, mean 2."


def test_the_words_of_a_mark_are_above_the_curves_and_below_the_title():
    """Also where the lag stays at its largest, and where two marks are close together."""
    samples = [Sample(float(at), 0, 1, 40, 0, 40, float(at)) for at in range(10)]
    above, _ = plots.lag_and_age({"payments": samples}, {"handled": 4.0, "stopped": 4.2})
    above.figure.draw_without_rendering()
    first, second = (text.get_window_extent() for text in above.texts)
    assert not first.overlaps(second)
    assert min(first.y0, second.y0) >= above.get_window_extent().y1
    assert max(first.y1, second.y1) <= above.title.get_window_extent().y0
