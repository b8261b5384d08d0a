# more than 5000 records are too many, too -> it wakes somebody
def wake(samples):
    _, lag, age = samples[-1]
    before = samples[max(0, len(samples) - 6)][1]
    return lag > 5000 or (age > 5 and lag >= before)
