# a day with a fault is a bad day -> nothing waits
def wake(samples):
    _, lag, age = samples[-1]
    before = samples[max(0, len(samples) - 6)][1]
    recently = any(age > 12 for _, _, age in samples[:-10])
    return (age > 5 and lag >= before) or (recently and lag == 0)
