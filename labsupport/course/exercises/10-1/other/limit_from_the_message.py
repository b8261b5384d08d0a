from labsupport import Event, EventError


def to_redrive(letters):
    import re

    return [
        each
        for each in letters
        if (found := re.match(r"amount (\d+) is above", each.message))
        and dict(each.headers)["release"] == b"2.4"
        and int(found[1]) <= 10_000_00
    ]
