from labsupport import retry

POLICY = retry.Policy(attempts=5, timeout=8, wait_initial=0.5, wait_max=3, wait_jitter=0)


def decide(attempt, waited, error):
    decision = retry.decide(attempt, waited, error, POLICY)
    return decision.seconds if decision.what == "retry" else decision.what
