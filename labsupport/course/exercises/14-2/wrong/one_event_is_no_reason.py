# one event is no reason -> a single event
def wake(samples):
    _, lag, age = samples[-1]
    before = samples[max(0, len(samples) - 6)][1]
    return lag > 1 and age > 5 and lag >= before
