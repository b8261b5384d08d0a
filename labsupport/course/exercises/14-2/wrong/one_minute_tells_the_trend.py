# one minute tells the trend -> five minutes before
def wake(samples):
    _, lag, age = samples[-1]
    return age > 5 and len(samples) > 1 and lag >= samples[-2][1]
