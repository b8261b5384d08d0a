"""Converts between record timestamps and datetimes with a time zone."""

from datetime import UTC, datetime, timedelta

from labsupport.errors import LabError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime, name: str) -> int:
    """Kafka's timestamp: milliseconds since 1970, rounded up. Raises LabError, naming `name`, without a time zone."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise LabError(
            f"{name} is {moment!r}.",
            "without a time zone it means another time on another machine",
            "add one: datetime(2026, 4, 16, 10, 30, tzinfo=UTC), or in a terminal 2026-04-16T10:30:00Z",
        )
    return -((EPOCH - moment) // timedelta(milliseconds=1))


def moment(timestamp: int) -> datetime | None:
    """The time of a record; None if it has none, or if its timestamp is not in milliseconds since 1970."""
    try:
        return EPOCH + timedelta(milliseconds=timestamp) if timestamp >= 0 else None
    except OverflowError:  # such as microseconds
        return None


def time_in_words(timestamp: int) -> str:
    """The time of a record, to the second, or why it is unknown."""
    if at := moment(timestamp):
        return f"{at:%Y-%m-%dT%H:%M:%SZ}"
    return "unknown time" if timestamp == -1 else f"unknown time (its timestamp, {timestamp}, is not in milliseconds)"


# Reading
