# the fifth sample is five minutes old -> with the lag of which minute
def wake(samples):
    _, lag, age = samples[-1]
    return age > 5 and lag >= samples[max(0, len(samples) - 5)][1]
