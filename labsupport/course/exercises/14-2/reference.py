def wake(samples):
    """Whether somebody must be woken now."""
    _, lag, age = samples[-1]
    _, before, _ = samples[max(0, len(samples) - 6)]
    return age > 5 and lag >= before
