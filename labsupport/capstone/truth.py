"""What a service must answer: computed from the data itself by pandas. No event takes part in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labsupport.capstone.contract import ALARM, LATE, Cell

if TYPE_CHECKING:
    import pandas

Numbers = Mapping[str, int]


@dataclass(frozen=True)
class Truth:
    """The right answers at one moment: numbers by cell, the flights late now, and those that an alarm is due for."""

    cells: Mapping[Cell, Numbers]
    late: frozenset[str]
    alarms: frozenset[str]


def at(flights: "pandas.DataFrame", now: float) -> Truth:
    """Return what is true of these flights at `now`, in seconds of Unix time."""
    departed, arrived = flights.departed <= now, flights.arrived <= now
    rows = flights.assign(
        departed=departed,
        arrived=arrived,
        cancelled=flights.departed.isna() & (flights.scheduled <= now),
        minutes=flights.arr_delay.where(arrived, 0),
    )
    sums = rows.groupby(["day", "airport", "carrier"])[["departed", "arrived", "cancelled", "minutes"]].sum()
    cells = {
        Cell(*index): {name: int(value) for name, value in row.items()} for index, row in sums.iterrows() if row.any()
    }
    late = flights.flight[departed & ~arrived & (flights.dep_delay >= LATE)]
    alarms = flights.flight[departed & (flights.dep_delay >= ALARM)]
    return Truth(cells, frozenset(late), frozenset(alarms))
