import pandas


def wake(samples):
    seen = pandas.DataFrame(samples, columns=["minute", "lag", "age"])
    catches_up = (seen.lag.diff(5) < 0).iloc[-1]
    return bool((seen.age.iloc[-1] >= 4) & ~catches_up)
