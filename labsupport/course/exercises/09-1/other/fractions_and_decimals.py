from decimal import Decimal
from fractions import Fraction

from labsupport import retry


def decide(attempt, waited, error):
    kind = retry.classify(error)
    wait = min(Fraction(3), Fraction(1, 2) * 2 ** (attempt - 1))
    if kind == "permanent":
        return "dead letter"
    if attempt < 5 and waited + wait <= 8:
        return wait if attempt % 2 else Decimal(str(float(wait)))
    return "pause" if kind == "transient" else "dead letter"
