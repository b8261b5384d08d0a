from labsupport import retry

POLICY = retry.Policy(attempts=5, total=8, first=0.5, most=3, jitter=0)


def decide(attempt, waited, error):
    decision = retry.decide(attempt, waited, error, POLICY)
    return decision.seconds if decision.what == "retry" else decision.what
