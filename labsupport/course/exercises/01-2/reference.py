import json
from decimal import Decimal


def total(values):
    """The sum of the payments' amounts, exact to the cent."""
    events = [json.loads(value, parse_float=Decimal) for value in values]
    return sum(event["payload"]["amount"] for event in events)
