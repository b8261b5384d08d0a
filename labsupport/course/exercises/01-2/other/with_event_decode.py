from labsupport import Event


def total(values):
    return sum(Event.decode(v).payload["amount"] for v in values)
