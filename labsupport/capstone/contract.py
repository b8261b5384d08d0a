"""What a service and the lab agree on: names, numbers, and the events. The README of a new service says it in words."""

from collections.abc import Mapping
from dataclasses import dataclass

FLIGHTS, ALARMS, DEAD_LETTERS, GROUP = "19-flights", "19-alarms", "19-flights-dlt", "19-service"
PARTITIONS = 6

LATE = 15  # minutes: a flight that left as late as this is late until it arrives
ALARM = 60  # minutes: at this delay of a departure somebody wants to know
NEW_VERSION = "2013-07-01"  # from this day on (UTC) events have version 2: `delay_seconds` instead of `delay`

DEPARTED, ARRIVED, CANCELLED, CORRECTED = "FlightDeparted", "FlightArrived", "FlightCancelled", "DelayCorrected"
DELAYED = "FlightDelayed"  # the alarm

COUNTS = ("departed", "arrived", "cancelled")
NUMBERS = (*COUNTS, "minutes")  # what a service answers for each airport and carrier on a day


@dataclass(frozen=True)
class Cell:
    """An airport and a carrier on one day: a row of the answer."""

    day: str
    airport: str
    carrier: str

    def __str__(self) -> str:
        return f"{self.airport}, {self.carrier}, {self.day}"


def environment(bootstrap: str, port: int, folder: str, prefix: str = "", config: object = "") -> Mapping[str, str]:
    """The environment variables that a service is started with.

    `prefix` is that of all names on another Kafka; `config` a client.properties, if Kafka wants a password or TLS.
    """
    return {
        "CAPSTONE_KAFKA": bootstrap,
        "CAPSTONE_CONFIG": str(config or ""),
        "CAPSTONE_FLIGHTS": prefix + FLIGHTS,
        "CAPSTONE_ALARMS": prefix + ALARMS,
        "CAPSTONE_DEAD_LETTERS": prefix + DEAD_LETTERS,
        "CAPSTONE_GROUP": prefix + GROUP,
        "CAPSTONE_PORT": str(port),
        "CAPSTONE_DATA": folder,
    }
