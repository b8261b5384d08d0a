# every amount has a point -> TypeError
import re


def total(values):
    return sum(Decimal(re.search(rb'"amount": (\d+\.\d+)', v)[1].decode()) for v in values)
