from collections import deque

LISTS = [], ["rows"], ["copies"], ["copies", "rows"]


def exactly_once(service):
    transaction, inbox, reader = service.values()
    whole = transaction.endswith("offsets") and reader == "read_committed"
    return deque(LISTS[2 * whole + inbox])
