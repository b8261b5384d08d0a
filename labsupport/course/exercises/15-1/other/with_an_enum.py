from enum import StrEnum, auto


class Way(StrEnum):
    ASK = auto()
    TELL = auto()


def way(interaction):
    return Way.ASK if interaction in {"card", "stock", "name", "cancel"} else Way.TELL
