from collections import defaultdict
from decimal import Decimal

from labsupport import report


def paid(events):
    database = report.database(":memory:")
    for event in events:
        report.add(database, event)
    totals = defaultdict(Decimal)
    for line in report.lines(database):
        totals[line.customer] += line.paid
    return dict(totals)
