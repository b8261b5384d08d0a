# an age that grows is bad -> the group is catching up
def wake(samples):
    ages = [age for _, _, age in samples[-4:]]
    return len(ages) == 4 and ages == sorted(ages) and ages[-1] > ages[0] and ages[-1] > 3
