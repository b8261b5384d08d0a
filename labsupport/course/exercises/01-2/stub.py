import json
from decimal import Decimal


def total(values):
    """The sum of the payments' amounts, exact to the cent."""
    return ...
