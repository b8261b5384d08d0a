# who is below the average is catching up -> it sleeps
def wake(samples):
    _, lag, age = samples[-1]
    lags = [each for _, each, _ in samples[-6:]]
    return age > 5 and lag >= sum(lags) / len(lags)
