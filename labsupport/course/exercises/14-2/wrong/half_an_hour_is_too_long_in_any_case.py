# half an hour is too long in any case -> the group is catching up
def wake(samples):
    _, lag, age = samples[-1]
    before = samples[max(0, len(samples) - 6)][1]
    return age > 30 or (age > 5 and lag >= before)
