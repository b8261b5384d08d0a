from itertools import takewhile


def whose_fault(attempts):
    tail = list(takewhile(lambda each: not each[1], reversed(attempts)))
    before = dict(reversed(attempts[: len(attempts) - len(tail)]))
    if any(each != tail[0] for each in tail):
        return "outage"
    return "poison" if tail[0][0] in before else "unknown"
