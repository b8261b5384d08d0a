from labsupport import LabError, until


def wait_for(sent, group, committed, limit):
    def passed():
        return committed(group).get((sent.topic, sent.partition), -1) >= sent.offset + 1

    try:
        return until(passed, limit, "the page")
    except LabError:
        return False
